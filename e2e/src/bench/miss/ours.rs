//! The exporter's sensor, drained as the exporter drains it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use inotrail::container::cgroup::Hierarchy;
use inotrail::container::{KernelFilter as _, Recorded};
use inotrail::event::Backend;
use inotrail::sensor::scopes::Scopes;
use inotrail::sensor::{Options, Record, Sensor};
use inotrail_ebpf::program;
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use super::super::memory::policies;
use super::rows::{ALL_OPENS, Case, DRAIN, opens_with};
use crate::accesses::RING_BYTES;
use crate::cgroup::Cgroup;

const BTF: &str = "/sys/kernel/btf/vmlinux";
const BTF_COPY: &str = "/tmp/btf";
const EMPTY: &str = "/dev/null";

/// One backend and what it is to do.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Ours {
    pub(in super::super) backend: Backend,
    /// Whether the raw tracepoint has typed arguments: without the kernel's own type information it cannot.
    pub(in super::super) typed: bool,
    /// What becomes of this process's accesses.
    pub(in super::super) case: Case,
}

impl Ours {
    /// Instructions of one open and close.
    ///
    /// # Errors
    /// The backend does not run, or did not count or report every open.
    pub(in super::super) fn cost(self) -> Result<f64> {
        let _hidden = (!self.typed).then(Hidden::new).transpose()?;
        let cgroup = Cgroup::create_top("inotrail-miss")?;
        let root = if self.case == Case::OutOfScope { cgroup.path() } else { Path::new("/") };
        let btf = PathBuf::from(if self.typed { BTF } else { BTF_COPY });
        let hierarchy = Hierarchy::detect()?;
        let (backend, ring_bytes) = (Some(self.backend), RING_BYTES);
        // This process stands for any other.
        let options =
            Options { backend, btf, root: root.to_owned(), include_self: true, ..Options::new(hierarchy, ring_bytes) };
        let mut sensor = Sensor::start(&options).with_context(|| format!("start {}", self.backend.as_str()))?;
        let _policies = self.apply_policies(&mut sensor, &cgroup)?;
        sensor.drain(|_| ());
        let counters = sensor.counters();
        let hook = match self.backend {
            Backend::Fexit => program::FEXIT,
            Backend::Kprobe => program::KPROBE,
            Backend::RawTracepoint => program::SYS_EXIT,
        };
        let before = counters.totals(hook);
        let mut reported = 0;
        let cost = opens_with(|| {
            sensor.drain(|record| reported += u64::from(matches!(record, Ok(Record::Access(_)))));
            thread::sleep(DRAIN);
        })?;
        let after = counters.totals(hook);
        let found = [after.ignored - before.ignored, after.filtered - before.filtered, reported];
        let expected = match self.case {
            Case::OutOfScope | Case::NoRule => [ALL_OPENS, 0, 0],
            Case::NoFile => [0, ALL_OPENS, 0],
            Case::Wanted => [0, 0, ALL_OPENS],
        };
        ensure!(found == expected, "{self:?}: opens ignored, filtered and reported: {found:?}");
        Ok(cost)
    }

    /// Has a thousand policies in force, for this process or for another one's cgroup.
    fn apply_policies(self, sensor: &mut Sensor, other: &Cgroup) -> Result<Option<Scopes>> {
        if matches!(self.case, Case::OutOfScope | Case::Wanted) {
            return Ok(None);
        }
        let hierarchy = Hierarchy::detect()?;
        let own = hierarchy.own_cgroup()?;
        let mut scopes = sensor.take_scopes().context("the filter is taken")?;
        let policies = policies();
        let filtered = Recorded::Filtered(Arc::new(policies.filter(&policies.all())));
        scopes.record(hierarchy.id_of(other.path())?, other.path(), &filtered)?;
        let what = if self.case == Case::NoRule { Recorded::Nothing } else { filtered };
        scopes.record(hierarchy.id_of(&own)?, &own, &what)?;
        Ok(Some(scopes))
    }
}

/// Takes the kernel's type information away, as far as the loader of programs can see.
struct Hidden;

impl Hidden {
    fn new() -> Result<Self> {
        std::fs::copy(BTF, BTF_COPY).context("copy the type information")?;
        mount_bind(EMPTY, BTF).with_context(|| format!("hide {BTF}"))?;
        Ok(Self)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Err(error) = unmount(BTF, UnmountFlags::empty()) {
            eprintln!("{BTF} stays hidden: {error}");
        }
    }
}
