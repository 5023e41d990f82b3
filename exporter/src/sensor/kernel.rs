//! What kind of kernel this is, and what this process may do with it.

use std::fs;
use std::path::Path;

/// Facts that decide which backend loses nothing.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// `uname -r`
    pub release: String,
    /// `uname -m`
    pub architecture: String,
    /// Major and minor version; (0, 0) where the release does not start with them.
    pub version: (u32, u32),
    /// When kernel code may be preempted.
    pub preemption: Preemption,
}

/// The preemption model (`preempt=`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preemption {
    /// Never inside the kernel.
    None,
    /// At explicit points.
    Voluntary,
    /// Anywhere.
    Full,
    /// Anywhere, but later.
    Lazy,
    /// It could not be found out; treated like `Full`.
    Unknown,
}

impl Preemption {
    /// The model as `preempt=` spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Voluntary => "voluntary",
            Self::Full => "full",
            Self::Lazy => "lazy",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a task can be preempted inside a program, which then is skipped for others on that CPU.
    #[must_use]
    pub const fn is_preemptible(self) -> bool {
        matches!(self, Self::Full | Self::Lazy | Self::Unknown)
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::None, Self::Voluntary, Self::Full, Self::Lazy].into_iter().find(|model| model.as_str() == name)
    }
}

impl Kernel {
    /// Asks the running kernel.
    #[must_use]
    pub fn detect() -> Self {
        let uname = rustix::system::uname();
        let release = uname.release().to_string_lossy().into_owned();
        let version = version(&release);
        Self {
            preemption: preemption(&uname.version().to_string_lossy(), version),
            architecture: uname.machine().to_string_lossy().into_owned(),
            version,
            release,
        }
    }
}

fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => (0, 0),
    }
}

/// debugfs says it exactly; without it the command line does, and else what the kernel was built as.
fn preemption(build: &str, version: (u32, u32)) -> Preemption {
    let debugfs = ["/sys/kernel/debug/sched/preempt", "/sys/kernel/debug/sched_preempt"];
    if let Some(text) = debugfs.iter().find_map(|path| fs::read_to_string(Path::new(path)).ok())
        && let Some(model) = selected(&text)
    {
        return model;
    }
    let command_line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    guess(build, &command_line, version)
}

/// `none voluntary (full) lazy`
fn selected(text: &str) -> Option<Preemption> {
    Preemption::parse(text.split_once('(')?.1.split_once(')')?.0)
}

fn guess(build: &str, command_line: &str, version: (u32, u32)) -> Preemption {
    let asked = command_line.split_whitespace().find_map(|word| word.strip_prefix("preempt="));
    if let Some(model) = asked.and_then(Preemption::parse) {
        return model;
    }
    let has = |word: &str| build.split_whitespace().any(|part| part == word);
    if has("PREEMPT_RT") || has("PREEMPT") {
        Preemption::Full
    } else if has("PREEMPT_LAZY") || (has("PREEMPT_DYNAMIC") && version >= (7, 0)) {
        Preemption::Lazy
    } else if has("PREEMPT_DYNAMIC") {
        Preemption::Unknown
    } else {
        // Without any of these words the kernel was built for `none` or `voluntary`.
        Preemption::Voluntary
    }
}

/// Whether the kernel is locked down for confidentiality, where it is known: then no program may read its memory
/// (`LOCKDOWN_BPF_READ_KERNEL`, include/linux/security.h).
#[must_use]
pub fn is_confidential() -> bool {
    match fs::read_to_string("/sys/kernel/security/lockdown") {
        Ok(text) => text.contains("[confidentiality]"),
        // A container sees no securityfs.
        Err(_) => fs::read_to_string("/proc/cmdline")
            .is_ok_and(|line| line.split_whitespace().any(|word| word == "lockdown=confidentiality")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        for (release, expected) in
            [("6.12.107+deb13-cloud-amd64", (6, 12)), ("7.2-rc1", (7, 2)), ("5.10.0", (5, 10)), ("odd", (0, 0))]
        {
            assert_eq!(version(release), expected, "{release}");
        }
    }

    #[test]
    fn finds_the_preemption_model() {
        assert_eq!(selected("none voluntary (full) lazy\n"), Some(Preemption::Full));
        assert_eq!(selected("none voluntary full\n"), None);
        let check =
            |build, line, version, expected| assert_eq!(guess(build, line, version), expected, "{build} {line}");
        check("#1 SMP PREEMPT_DYNAMIC Debian", "quiet preempt=none", (6, 12), Preemption::None);
        check("#1 SMP PREEMPT_DYNAMIC Debian", "quiet", (6, 12), Preemption::Unknown);
        check("#1 SMP PREEMPT_DYNAMIC Debian", "quiet", (7, 2), Preemption::Lazy);
        check("#1 SMP Debian", "", (5, 10), Preemption::Voluntary);
        check("#1 SMP PREEMPT_RT Debian", "", (6, 1), Preemption::Full);
    }
}
