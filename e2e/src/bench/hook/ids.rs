//! Our programs as they would be if they told no path: what is left is the identity of the file, the process and its cgroup.
//! No exporter runs them; they show what a record costs without the walk.

use std::mem::offset_of;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, RingBuf};
use aya::programs::FExit;
use aya::{Ebpf, EbpfLoader};
use inotrail::container::cgroup::Hierarchy;
use inotrail::sensor::btf::Btf;
use inotrail::sensor::layout;
use inotrail_ebpf::{Control, GENERATION, Gate, Gates, global, map, program, scope};
use zerocopy::IntoBytes as _;

use super::super::miss::rows::{ALL_OPENS, DRAIN, opens_with};
use super::IDS_ONLY;
use crate::accesses::RING_BYTES;

/// [`Control`] as the map takes it: plain words.
type Words = [u32; size_of::<Control>() / 4];
/// [`Gates`] likewise.
type GateWords = [u32; size_of::<Gates>() / 4];

/// Instructions of one open and close, with fexit.
///
/// # Errors
/// The program does not run, or did not report every open.
pub(super) fn cost() -> Result<f64> {
    let hierarchy = Hierarchy::detect()?;
    let btf = Btf::load(Path::new("/sys/kernel/btf/vmlinux"))?;
    let (layout, features) = layout::resolve(&btf, hierarchy.controller, hierarchy.id)?;
    drop(btf);
    let mut ebpf = EbpfLoader::new()
        .override_global(global::LAYOUT, layout.as_bytes(), true)
        .override_global(global::INSTANCE, &1u32, true)
        .map_max_entries(map::EVENTS, RING_BYTES)
        .map_max_entries(map::SCRATCH, program::WITHOUT_MUTATIONS)
        .load_file(IDS_ONLY)
        .with_context(|| format!("load {IDS_ONLY}"))?;
    let mut control = Array::<_, Words>::try_from(ebpf.map_mut(map::CONTROL).context("the control map")?)?;
    let mut words = [0; size_of::<Control>() / 4];
    words[offset_of!(Control, default_scope) / 4] = scope::KEEP;
    control.set(0, &words, 0)?;
    let mut gates = Array::<_, GateWords>::try_from(ebpf.map_mut(map::GATES).context("the gates")?)?;
    let mut words = [0; size_of::<Gates>() / 4];
    words[offset_of!(Gate, generation) / 4] = GENERATION as u32;
    gates.set(0, &words, 0)?;
    let mut ring = RingBuf::try_from(ebpf.take_map(map::EVENTS).context("the ring")?)?;
    attach(&mut ebpf, features.inode_permission.context("the kernel's inode_permission has another form")?)?;
    let mut records = 0;
    let cost = opens_with(|| {
        while ring.next().is_some() {
            records += 1;
        }
        thread::sleep(DRAIN);
    })?;
    ensure!(records >= ALL_OPENS, "{records} records of {ALL_OPENS} opens");
    Ok(cost)
}

fn attach(ebpf: &mut Ebpf, arguments: usize) -> Result<()> {
    let name = format!("fexit_{arguments}");
    let program: &mut FExit = ebpf.program_mut(&name).with_context(|| format!("no program {name}"))?.try_into()?;
    program.load("inode_permission", &aya::Btf::from_sys_fs()?).with_context(|| format!("load {name}"))?;
    program.attach().with_context(|| format!("attach {name}"))?;
    Ok(())
}
