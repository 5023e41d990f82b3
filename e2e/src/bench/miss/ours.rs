//! The exporter's sensor, drained as the exporter drains it.

use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use inotrail::container::cgroup::Hierarchy;
use inotrail::event::Backend;
use inotrail::sensor::{Options, Record, Sensor};
use inotrail_ebpf::program;
use rustix::mount::{UnmountFlags, mount_bind, unmount};

use super::rows::{ALL_OPENS, DRAIN, opens_with};
use crate::accesses::RING_BYTES;
use crate::cgroup::Cgroup;

const BTF: &str = "/sys/kernel/btf/vmlinux";
const BTF_COPY: &str = "/tmp/btf";
const EMPTY: &str = "/dev/null";

/// One backend and what it is to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours {
    pub(super) backend: Backend,
    /// Whether the raw tracepoint has typed arguments: without the kernel's own type information it cannot.
    pub(super) typed: bool,
    /// Whether this process's accesses are reported.
    pub(super) wanted: bool,
}

impl Ours {
    /// Instructions of one open and close.
    ///
    /// # Errors
    /// The backend does not run, or did not count or report every open.
    pub(super) fn cost(self) -> Result<f64> {
        let _hidden = (!self.typed).then(Hidden::new).transpose()?;
        let cgroup = Cgroup::create_top("inotrail-miss")?;
        let root = if self.wanted { Path::new("/") } else { cgroup.path() };
        let btf = PathBuf::from(if self.typed { BTF } else { BTF_COPY });
        let hierarchy = Hierarchy::detect()?;
        let (backend, ring_bytes) = (Some(self.backend), RING_BYTES);
        // This process stands for any other.
        let options =
            Options { backend, btf, root: root.to_owned(), include_self: true, ..Options::new(hierarchy, ring_bytes) };
        let mut sensor = Sensor::start(&options).with_context(|| format!("start {}", self.backend.as_str()))?;
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
        let ignored = counters.totals(hook).ignored - before.ignored;
        let expected = if self.wanted { (0, ALL_OPENS) } else { (ALL_OPENS, 0) };
        ensure!((ignored, reported) == expected, "{self:?}: {ignored} opens ignored and {reported} reported");
        Ok(cost)
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
