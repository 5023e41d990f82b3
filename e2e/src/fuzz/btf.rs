//! Type information.

use std::{collections::BTreeSet, fs, sync::LazyLock};

use anyhow::{Context as _, Result, ensure};
use inotrail::sensor::{btf::Btf, layout};

use super::{
    corpus::{Corpus, Seed},
    writer::{CONST, POINTER, TYPEDEF, Types, Writer, size},
};

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
const FUNCTIONS: [&str; 2] = ["inode_permission", "__traceiter_io_uring_complete"];
const ENUMERATIONS: [&str; 1] = ["cgroup_subsys_id"];
/// The largest seed.
const SEED_MAX: usize = 64 << 10;

/// The running kernel's structures one by one and all together, and shapes that no compiler writes.
pub(super) fn corpus() -> Result<Corpus> {
    let real = fs::read(VMLINUX).with_context(|| format!("read {VMLINUX}: seeds are cut from it"))?;
    let types = Types::read(&real)?;
    let structures: BTreeSet<_> = layout::names().into_iter().map(|(structure, _)| structure).collect();
    let mut small = hostile();
    for structure in &structures {
        let seed = types.cut(&[structure], &[], &[]);
        // task_struct is large, and no other input could be made in its time.
        if seed.len() <= 4 << 10 {
            small.push(seed);
        }
    }
    small.push(types.cut(&["path", "qstr"], &FUNCTIONS, &ENUMERATIONS));
    let all: Vec<_> = structures.iter().copied().collect();
    let whole = types.cut(&all, &FUNCTIONS, &ENUMERATIONS);
    ensure!(whole.len() <= SEED_MAX, "the largest seed has {} bytes", whole.len());
    let resolves = Btf::parse(whole.clone()).is_ok_and(|btf| layout::resolve(&btf, Some("memory"), 1).is_ok());
    ensure!(resolves, "the largest seed does not hold what the sensor needs");
    Ok(Corpus::new(small.into_iter().map(seed).collect(), vec![seed(whole)]))
}

/// With the offsets of all words but the names.
fn seed(bytes: Vec<u8>) -> Seed {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default());
    let mut fields: Vec<_> = (4..24).step_by(4).map(|at| (at, 4)).collect();
    let (mut at, end) = (24, 24 + word(12) as usize);
    while at < end {
        let body = size(word(at + 4) >> 24 & 0x1f, (word(at + 4) & 0xffff) as usize).unwrap_or(0);
        fields.extend((at..at + 12 + body).step_by(4).map(|at| (at, 4)));
        at += 12 + body;
    }
    Seed { bytes, fields }
}

/// Types that refer to themselves, that nest without end, and that have more members than could be looked at.
fn hostile() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let mut of = |build: &dyn Fn(&mut Writer)| {
        let mut writer = Writer::default();
        build(&mut writer);
        seeds.push(writer.finish());
    };
    // A typedef and a const that are one another; and a structure with a member of them.
    of(&|writer| {
        writer.push(b"loop", TYPEDEF, 0, 2, &[]);
        writer.push(b"", CONST, 0, 1, &[]);
        writer.structure(b"path", 16, &[(b"mnt", 1, 0), (b"dentry", 2, 64)]);
    });
    // A structure that is its own nameless member, once and many times.
    of(&|writer| {
        writer.structure(b"path", 16, &[(b"", 1, 0)]);
    });
    of(&|writer| {
        let member: (&[u8], _, _) = (b"", 1, 0);
        writer.structure(b"path", 16, &[member; 500]);
    });
    // Two that are each other's, and offsets that sum up to more than 32 bits hold.
    of(&|writer| {
        writer.structure(b"path", u32::MAX, &[(b"", 2, u32::MAX), (b"mnt", 3, 0)]);
        writer.structure(b"", u32::MAX, &[(b"", 1, u32::MAX), (b"dentry", 3, u32::MAX)]);
        writer.push(b"", POINTER, 0, 0, &[]);
    });
    // A chain as deep as it goes.
    of(&|writer| {
        for id in 1..40 {
            writer.structure(b"", u32::MAX, &[(b"", id + 1, u32::MAX)]);
        }
        writer.structure(b"", 8, &[(b"mnt", 0, 0)]);
        writer.structure(b"path", u32::MAX, &[(b"", 1, 0)]);
        writer.structure(b"dentry", u32::MAX, &[(b"", 26, 0)]);
    });
    seeds
}

/// What the sensor looks up, without the bytes behind a `+`.
static NAMES: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let plain = |member: &'static str| member.split('+').next().unwrap_or(member);
    layout::names().into_iter().map(|(structure, member)| (structure, plain(member))).collect()
});

/// Whether the reader takes it. What it does not tell, it names.
pub(super) fn feed(bytes: &[u8]) -> bool {
    let Ok(btf) = Btf::parse(bytes.to_vec()) else { return false };
    for (structure, member) in &*NAMES {
        // Not its answer is of interest: that there is one.
        let _answer = btf.offset(structure, member);
    }
    for function in FUNCTIONS {
        let _answer = btf.parameters(function);
    }
    if let Err(error) = layout::resolve(&btf, Some("memory"), 1) {
        let (text, field) = (error.to_string(), format!("{}.{}", error.structure, error.member));
        assert!(text.contains(&field), "{text} does not name {field}");
    }
    true
}
