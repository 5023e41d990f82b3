//! The tests that run in machines. A new one is a line in [`TESTS`] and a subcommand of the guest.

use std::time::Duration;

use anyhow::{Context as _, Result};
use inotrail::event::Backend;

use super::{BACKENDS, qemu::Threads};

/// What runs in a machine.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Name on the command line and in messages.
    pub name: &'static str,
    /// Arguments of the guest; `--backend` and a name are added for each backend.
    pub guest: &'static [&'static str],
    /// How QEMU runs the machine's CPUs.
    pub threads: Threads,
    /// How long the machine may run once it is up.
    pub timeout: Duration,
    /// The backends that are tested.
    pub backends: &'static [Backend],
    /// Whether the machine has the exporter's image's program too.
    pub image: bool,
    /// Whether it runs on one preemption model of each kernel, the last, and not on all.
    pub once: bool,
}

/// Every test of machines. The first one asks the machine what works there; the others must pass where that says so.
///
/// Loads are for emulation, which is 10 to 20 times slower than the machine it runs on.
pub const TESTS: &[Test] = &[
    Test::new("check", &["facts"], 120),
    Test::new("accesses", &["prove", "accesses"], 300),
    Test::new("filtered", &["prove", "filtered"], 600).once(),
    Test::new("scopes", &["prove", "scopes"], 120).once(),
    Test::new("watched", &["prove", "watched"], 200).once(),
    Test::new("opens", &["prove", "opens", "--threads", "8", "--each", "100000"], 600),
    Test::new("swap", &["prove", "swap", "--each", "25000"], 500).single_threaded().backends(&[Backend::Fexit]).once(),
    Test::new("restarts", &["prove", "restarts", "--each", "12500"], 500).single_threaded().once(),
    Test::new("mutations", &["prove", "mutations"], 600).backends(&[Backend::Fexit, Backend::Kprobe]).once(),
    Test::new("changes", &["prove", "changes", "--each", "10000"], 300).once(),
    Test::new("privileges", &["prove", "privileges"], 600).once(),
    Test::new("namespace", &["prove", "namespace"], 120).backends(&[Backend::Fexit]).once(),
    Test::new("lockdown", &["prove", "lockdown"], 200).once(),
    Test::new("hostile", &["prove", "hostile", "--opens", "5000"], 400).once(),
    Test::new("renames", &["prove", "renames", "--opens", "20000"], 300).once(),
    Test::new("clock", &["prove", "clock"], 300).once(),
    Test::new("hotplug", &["prove", "hotplug"], 300).once(),
    Test::new("repeats", &["prove", "repeats", "--threads", "8", "--each", "25000"], 300).once(),
    Test::new("ledger", &["prove", "ledger", "--threads", "8", "--each", "100000"], 600),
];

/// Tests of the whole exporter: for one kernel, as they say nothing of the others.
const WHOLE: &[Test] = &[
    Test::new("jumps", &["prove", "jumps"], 120),
    Test::new("away", &["prove", "away"], 300).counted(),
    Test::new("image", &["prove", "image"], 120).with_image(),
];

/// How much longer than on a quiet machine a test may take: time is only to end a machine that hangs.
const PATIENCE: u64 = 4;

impl Test {
    /// The test of this name, of [`TESTS`], or of those of the whole exporter.
    ///
    /// # Errors
    /// Where there is none; the message lists those there are.
    pub fn named(name: &str) -> Result<&'static Self> {
        let all = || TESTS.iter().chain(WHOLE);
        let names = || all().map(|test| test.name).collect::<Vec<_>>().join(", ");
        all().find(|test| test.name == name).with_context(|| format!("no test {name}: there are {}", names()))
    }

    /// The tests of these names; all where there are none.
    ///
    /// # Errors
    /// As [`Self::named`].
    pub(super) fn all_named(names: &[String]) -> Result<Vec<&'static Self>> {
        if names.is_empty() {
            return Ok(TESTS.iter().collect());
        }
        names.iter().map(|name| Self::named(name)).collect()
    }

    /// A test that takes at most so many seconds on a quiet machine.
    #[must_use]
    pub const fn new(name: &'static str, guest: &'static [&'static str], seconds: u64) -> Self {
        Self {
            name,
            guest,
            threads: Threads::Multi,
            timeout: Duration::from_secs(PATIENCE * seconds),
            backends: &BACKENDS,
            image: false,
            once: false,
        }
    }

    /// With all emulated CPUs in one thread: for programs that are attached or detached under load.
    #[must_use]
    pub const fn single_threaded(mut self) -> Self {
        self.threads = Threads::Single;
        self
    }

    /// With time that is counted in instructions.
    #[must_use]
    pub const fn counted(mut self) -> Self {
        self.threads = Threads::Counted;
        self
    }

    /// With the exporter's image's program.
    #[must_use]
    pub const fn with_image(mut self) -> Self {
        self.image = true;
        self
    }

    /// Only on these backends.
    #[must_use]
    pub const fn backends(mut self, backends: &'static [Backend]) -> Self {
        self.backends = backends;
        self
    }

    /// On the last preemption model of each kernel only: what it tests does not depend on that, or most on that one.
    #[must_use]
    pub const fn once(mut self) -> Self {
        self.once = true;
        self
    }

    /// Whether it asks the machine what works, and so runs on backends that do not.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.guest == TESTS[0].guest
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_names_one_test_and_the_machine_is_asked_first() {
        let names: BTreeSet<_> = TESTS.iter().chain(WHOLE).map(|test| test.name).collect();
        assert_eq!(names.len(), TESTS.len() + WHOLE.len());
        assert_eq!(TESTS[0].guest, ["facts"]);
    }
}
