//! What the kernel asks of this process: capabilities that a backend needs, and dropping them once the programs run.
//!
//! A capability belongs to a thread: dropping them must happen before the first other thread is made, which inherits
//! what is left.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{
    CapabilitySet, capabilities, remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::kernel::Kernel;
use crate::event::Backend;

/// What the sensor ever asks for, with the names of `capability.h`. Others, such as `CAP_SYS_PTRACE`, are not its own.
const ALL: [(CapabilitySet, &str); 4] = [
    (CapabilitySet::BPF, "CAP_BPF"),
    (CapabilitySet::PERFMON, "CAP_PERFMON"),
    (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN"),
    (CapabilitySet::SYS_RESOURCE, "CAP_SYS_RESOURCE"),
];

const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

/// A capability that every backend needs and that this process lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// `CAP_BPF`
    pub capability: &'static str,
    /// What it is needed for.
    pub need: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.capability, self.need)
    }
}

/// What [`drop_all_but`] did, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Held before, and no more.
    pub dropped: Vec<&'static str>,
    /// Held still.
    pub kept: Vec<&'static str>,
}

/// What every backend needs and this process lacks. What only one needs shows where it is attached.
#[must_use]
pub fn missing(kernel: &Kernel) -> Vec<Missing> {
    let locked = getrlimit(Resource::Memlock).current.is_some();
    lacking(effective(), kernel.version, locked)
}

/// `locked`: the limit on locked memory is finite.
fn lacking(held: CapabilitySet, version: (u32, u32), locked: bool) -> Vec<Missing> {
    let mut list = Vec::new();
    // CAP_SYS_ADMIN includes these two (bpf_capable() and perfmon_capable(), include/linux/capability.h).
    if !held.intersects(CapabilitySet::BPF | CapabilitySet::SYS_ADMIN) {
        list.push(Missing { capability: "CAP_BPF", need: "to load programs and make maps" });
    }
    if !held.intersects(CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN) {
        list.push(Missing { capability: "CAP_PERFMON", need: "to let programs read the kernel's memory" });
    }
    if version < (5, 11) && locked && !held.contains(CapabilitySet::SYS_RESOURCE) {
        let need = "to lift RLIMIT_MEMLOCK, which limits maps before Linux 5.11";
        list.push(Missing { capability: "CAP_SYS_RESOURCE", need });
    }
    list
}

/// What must be kept to attach this backend later on, its programs being loaded already or not.
#[must_use]
pub fn to_attach(backend: Backend) -> CapabilitySet {
    let base = CapabilitySet::BPF | CapabilitySet::PERFMON;
    if backend == Backend::Kprobe && paranoid().is_none_or(|level| level > 2) {
        base | CapabilitySet::SYS_ADMIN
    } else {
        base
    }
}

/// What must be kept as long as maps are changed by system calls: before Linux 5.19 each asks for `CAP_BPF` where
/// `kernel.unprivileged_bpf_disabled` is set, and that may be set at any time.
#[must_use]
pub fn to_change_maps(kernel: &Kernel) -> CapabilitySet {
    if kernel.version < (5, 19) { CapabilitySet::BPF } else { CapabilitySet::empty() }
}

/// Gives up what the sensor asked the kernel for, but for `keep`, and the possibility to gain anything by an exec. Other
/// capabilities stay as they are.
///
/// # Errors
/// The process has other threads, which would keep theirs; or the kernel refuses.
pub fn drop_all_but(keep: CapabilitySet) -> io::Result<Dropped> {
    let threads = fs::read_dir("/proc/self/task")?.count();
    if threads > 1 {
        return Err(io::Error::other(format!("{} threads run already, which would keep theirs", threads - 1)));
    }
    set_no_new_privs(true)?;
    let mut sets = capabilities(None)?;
    let mut result = Dropped::default();
    for (capability, name) in ALL {
        if keep.contains(capability) {
            if sets.permitted.contains(capability) {
                result.kept.push(name);
            }
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            // Without CAP_SETPCAP it stays in that set, of which nothing can be gained any more; a kernel before 5.8
            // knows no CAP_BPF.
            Ok(()) | Err(Errno::PERM | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
        if sets.permitted.contains(capability) {
            result.dropped.push(name);
        }
        sets.effective -= capability;
        sets.permitted -= capability;
        sets.inheritable -= capability;
    }
    set_capabilities(None, sets)?;
    Ok(result)
}

/// Why `perf_event_open` may have been refused to a kprobe: distributions let it need more than the kernel does.
pub(super) fn kprobe_refusal() -> Option<String> {
    let level = paranoid().filter(|level| *level > 2)?;
    (!effective().contains(CapabilitySet::SYS_ADMIN)).then(|| {
        format!("it needs CAP_SYS_ADMIN because kernel.perf_event_paranoid is {level}; give it, or set that to 2")
    })
}

fn effective() -> CapabilitySet {
    capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective)
}

fn paranoid() -> Option<i32> {
    fs::read_to_string(Path::new(PARANOID)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_missing_and_what_for() {
        use CapabilitySet as Set;
        let check = |held: Set, version, locked, expected: &[&str]| {
            let missing = lacking(held, version, locked);
            assert_eq!(missing.iter().map(|one| one.capability).collect::<Vec<_>>(), expected, "{held:?} {version:?}");
        };
        check(Set::empty(), (6, 12), true, &["CAP_BPF", "CAP_PERFMON"]);
        check(Set::BPF, (6, 12), true, &["CAP_PERFMON"]);
        check(Set::PERFMON, (6, 12), true, &["CAP_BPF"]);
        check(Set::BPF | Set::PERFMON, (6, 12), true, &[]);
        check(Set::SYS_ADMIN, (6, 12), true, &[]);
        check(Set::BPF | Set::PERFMON, (5, 10), true, &["CAP_SYS_RESOURCE"]);
        check(Set::BPF | Set::PERFMON, (5, 10), false, &[]);
        check(Set::BPF | Set::PERFMON | Set::SYS_RESOURCE, (5, 10), true, &[]);
        let text = lacking(Set::PERFMON, (6, 12), true)[0].to_string();
        assert_eq!(text, "CAP_BPF (to load programs and make maps)");
    }

    #[test]
    fn refuses_to_drop_where_threads_would_keep() {
        let error = std::thread::spawn(|| drop_all_but(CapabilitySet::empty()).unwrap_err()).join().unwrap();
        assert!(error.to_string().contains("threads run already"), "{error}");
    }
}
