//! The cookbook's programs, each with the reader that goes with it.

use std::collections::HashSet;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{HashMap, RingBuf};
use aya::programs::KProbe;
use aya::{Ebpf, EbpfLoader};
use cookbook::{CGROUP_ID, global, map, program};
use inotrail::sensor::btf::Btf;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{major, minor};

use super::COOKBOOK;
use super::rows::{ALL_OPENS, DRAIN, FILE, opens_with};

pub(super) const PERMISSION: &str = "inode_permission";
const OPEN: &str = "do_sys_openat2";
/// For the reader's own end: nothing else waits for it.
pub(super) const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A way to audit files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Peer {
    /// kprobe on the permission check; the reader drops other cgroups' records.
    PermissionAll,
    /// The same with paths.
    PermissionPaths,
    /// The same with paths, of opens alone.
    PermissionOpens,
    /// As the first, with a reader that looks now and then.
    PermissionLazy,
    /// As the first, and the record goes nowhere.
    PermissionQuiet,
    /// kprobe on the permission check; a hash of inodes decides.
    PermissionInodes,
    /// kprobe on the open call; the reader drops other cgroups' records.
    OpenAll,
    /// kprobe and kretprobe on the open call; a hash of cgroups decides.
    OpenCgroups,
}

impl Peer {
    pub(super) const ALL: [Self; 4] = [Self::PermissionAll, Self::PermissionInodes, Self::OpenAll, Self::OpenCgroups];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::PermissionAll => "inode_permission, filter in the reader",
            Self::PermissionPaths => "inode_permission, with paths",
            Self::PermissionOpens => "inode_permission, opens with paths",
            Self::PermissionLazy => "inode_permission, without wake-ups",
            Self::PermissionQuiet => "inode_permission, without a record",
            Self::PermissionInodes => "inode_permission, hash of inodes",
            Self::OpenAll => "do_sys_openat2, filter in the reader",
            Self::OpenCgroups => "do_sys_openat2 and return, hash of cgroups",
        }
    }

    /// Instructions of one open and close.
    ///
    /// # Errors
    /// The program does not load, or did not report what it should.
    pub(super) fn cost(self, wanted: bool) -> Result<f64> {
        let Read { cost, seen, kept } = self.read(wanted)?;
        let comes = wanted || matches!(self, Self::PermissionAll | Self::OpenAll);
        ensure!(
            (seen >= ALL_OPENS) == comes && (kept >= ALL_OPENS) == wanted && (wanted || kept == 0),
            "{self:?}: {seen} records and {kept} of them wanted, of {ALL_OPENS} opens"
        );
        Ok(cost)
    }

    /// The same, of a program that reports whatever it sees, and how many records came.
    ///
    /// # Errors
    /// As above.
    pub(in super::super) fn cost_of_all(self) -> Result<(f64, u64)> {
        let Read { cost, seen, kept } = self.read(true)?;
        let comes = self != Self::PermissionQuiet;
        ensure!(
            (kept >= ALL_OPENS) == comes,
            "{self:?}: {seen} records and {kept} of them wanted, of {ALL_OPENS} opens"
        );
        Ok((cost, seen))
    }

    fn read(self, wanted: bool) -> Result<Read> {
        let btf = Btf::load(Path::new("/sys/kernel/btf/vmlinux"))?;
        let mut ebpf = load(&btf)?;
        let own = std::fs::metadata("/sys/fs/cgroup").context("the cgroup that this process is in")?.ino();
        choose(&mut ebpf, wanted, own)?;
        let wanted = HashSet::from([if wanted { own } else { u64::MAX }]);
        let arity = btf.parameters(PERMISSION).context("the kernel's type information has no inode_permission")?.len();
        let mut ring = RingBuf::try_from(ebpf.take_map(map::EVENTS).context("the ring")?)?;
        self.attach(&mut ebpf, arity)?;
        let (mut seen, mut kept) = (0u64, 0u64);
        let cost = opens_with(|| {
            if self == Self::PermissionLazy {
                thread::sleep(DRAIN);
            } else {
                let mut descriptors = [PollFd::from_borrowed_fd(ring.as_fd(), PollFlags::IN)];
                // What the signal of a child interrupts is tried again anyway.
                if poll(&mut descriptors, Some(&PATIENCE)).is_err() {
                    return;
                }
            }
            while let Some(item) = ring.next() {
                seen += 1;
                let id = item.get(CGROUP_ID).and_then(|bytes| bytes.try_into().ok()).map(u64::from_ne_bytes);
                kept += u64::from(id.is_some_and(|id| wanted.contains(&id)));
            }
        })?;
        Ok(Read { cost, seen, kept })
    }

    fn attach(self, ebpf: &mut Ebpf, arity: usize) -> Result<()> {
        let form = arity.checked_sub(2).filter(|form| *form < 2).context("inode_permission has another form here")?;
        let programs: &[(&str, &str)] = match self {
            Self::PermissionAll => &[(program::PERMISSION_ALL[form], PERMISSION)],
            Self::PermissionPaths => &[(program::PERMISSION_PATHS[form], PERMISSION)],
            Self::PermissionOpens => &[(program::PERMISSION_OPENS[form], PERMISSION)],
            Self::PermissionLazy => &[(program::PERMISSION_LAZY[form], PERMISSION)],
            Self::PermissionQuiet => &[(program::PERMISSION_QUIET[form], PERMISSION)],
            Self::PermissionInodes => &[(program::PERMISSION_INODES[form], PERMISSION)],
            Self::OpenAll => &[(program::OPEN_ALL, OPEN)],
            Self::OpenCgroups => &[(program::OPEN_CGROUPS, OPEN), (program::OPEN_CGROUPS_RETURN, OPEN)],
        };
        for (name, function) in programs {
            let program: &mut KProbe =
                ebpf.program_mut(name).with_context(|| format!("no program {name}"))?.try_into()?;
            program.load().with_context(|| format!("load {name}"))?;
            program.attach(*function, 0).with_context(|| format!("attach {name}"))?;
        }
        Ok(())
    }
}

/// What came of a run.
struct Read {
    cost: f64,
    /// Records.
    seen: u64,
    /// Those that were wanted.
    kept: u64,
}

fn load(btf: &Btf) -> Result<Ebpf> {
    let offset = |structure, member| {
        btf.offset(structure, member).with_context(|| format!("{structure}.{member} in the kernel's type information"))
    };
    let (number, superblock) = (offset("inode", "i_ino")?, offset("inode", "i_sb")?);
    let device = offset("super_block", "s_dev")?;
    let (dentries, parent) = (offset("inode", "i_dentry")?, offset("dentry", "d_parent")?);
    let name = offset("dentry", "d_name")? + offset("qstr", "name")?;
    // It became anonymous in 7.2.
    let alias = offset("dentry", "d_alias").or_else(|_| offset("dentry", "d_u"))?;
    let mut loader = EbpfLoader::new();
    loader.override_global(global::INODE_DENTRIES, &dentries, true);
    loader.override_global(global::DENTRY_ALIAS, &alias, true);
    loader.override_global(global::DENTRY_PARENT, &parent, true);
    loader.override_global(global::DENTRY_NAME, &name, true);
    loader.override_global(global::INODE_NUMBER, &number, true);
    loader.override_global(global::INODE_SUPER, &superblock, true);
    loader.override_global(global::SUPER_DEVICE, &device, true);
    loader.load_file(COOKBOOK).with_context(|| format!("load {COOKBOOK}"))
}

/// Says what is wanted, where the kernel decides.
fn choose(ebpf: &mut Ebpf, wanted: bool, own: u64) -> Result<()> {
    if !wanted {
        // Tables are not empty where anything is watched.
        HashMap::<_, [u64; 2], u32>::try_from(ebpf.map_mut(map::INODES).context("inodes")?)?.insert(&[1, 1], &1, 0)?;
        HashMap::<_, u64, u32>::try_from(ebpf.map_mut(map::CGROUPS).context("cgroups")?)?.insert(&u64::MAX, &1, 0)?;
        return Ok(());
    }
    let file = std::fs::metadata(FILE)?;
    // MKDEV of include/linux/kdev_t.h
    let device = u64::from(major(file.dev())) << 20 | u64::from(minor(file.dev()));
    let mut inodes = HashMap::<_, [u64; 2], u32>::try_from(ebpf.map_mut(map::INODES).context("inodes")?)?;
    inodes.insert(&[file.ino(), device], &1, 0)?;
    let mut cgroups = HashMap::<_, u64, u32>::try_from(ebpf.map_mut(map::CGROUPS).context("cgroups")?)?;
    Ok(cgroups.insert(&own, &1, 0)?)
}
