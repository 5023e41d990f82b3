use std::fs;

use super::*;

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

#[test]
fn reads_the_running_kernel() {
    let btf = Btf::load(Path::new(VMLINUX)).unwrap();
    // Facts of every kernel: `struct path` is two pointers, inode_permission's inode is its first or second parameter.
    assert_eq!(btf.offset("path", "mnt"), Ok(0));
    assert_eq!(btf.offset("path", "dentry"), Ok(8));
    let parameters = btf.parameters("inode_permission").unwrap();
    assert!(parameters.iter().position(|name| *name == "inode").is_some_and(|index| index < 2), "{parameters:?}");
    assert!(btf.enum_value("cgroup_subsys_id", "memory_cgrp_id").is_ok());
    assert_eq!(btf.offset("task_struct", "no_such_member"), Err(Fault::NoMember));
    assert_eq!(btf.offset("no_such_struct", "x"), Err(Fault::NoType));
}

#[test]
fn follows_anonymous_members_and_dots() {
    let btf = Btf::load(Path::new(VMLINUX)).unwrap();
    let name = btf.offset("dentry", "d_name").unwrap();
    // qstr.len sits in an anonymous struct in an anonymous union.
    assert_eq!(btf.offset("dentry", "d_name.len"), Ok(name + btf.offset("qstr", "len").unwrap()));
}

#[test]
fn refuses_what_is_no_btf() {
    let reason = |bytes: &[u8]| Btf::parse(bytes.to_vec()).map(|_| ()).unwrap_err();
    let file = |words: [u32; 5], rest: &[u8]| {
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        bytes.extend(words.into_iter().flat_map(u32::to_ne_bytes));
        bytes.extend(rest);
        bytes
    };
    assert_eq!(reason(b""), "it does not start with BTF's magic number");
    assert_eq!(reason(b"\x7fELF"), "it does not start with BTF's magic number");
    assert_eq!(reason(&MAGIC.swap_bytes().to_ne_bytes()), "its magic number says that it is in the other byte order");
    assert_eq!(reason(&MAGIC.to_ne_bytes()), "the header is cut short");
    assert_eq!(reason(&file([24, 0, 1000, 0, 0], b"")), "the type section lies behind the end of the file");
    assert_eq!(reason(&file([24, 0, 0, 0, 1], b"")), "the string section lies behind the end of the file");
    assert_eq!(reason(&file([u32::MAX; 5], b"")), "the type section lies behind the end of the file");
    let short = [0, STRUCT << 24].map(u32::to_ne_bytes).concat();
    assert_eq!(reason(&file([24, 0, 8, 0, 0], &short)), "a type is cut short");
    let unknown = [0, 31 << 24, 0].map(u32::to_ne_bytes).concat();
    assert_eq!(reason(&file([24, 0, 12, 0, 0], &unknown)), "a type is of unknown kind");
    let long = [0, STRUCT << 24 | 1, 0].map(u32::to_ne_bytes).concat();
    assert_eq!(reason(&file([24, 0, 12, 0, 0], &long)), "a type is cut short");
}

#[test]
fn names_the_file_and_bounds_it() {
    let error = |path: &str| Btf::load(Path::new(path)).map(|_| ()).unwrap_err().to_string();
    assert!(error("/nonexistent").starts_with("cannot read type information from /nonexistent: No such file"));
    assert_eq!(error("/dev/null"), "/dev/null is not valid BTF: it does not start with BTF's magic number");
    assert_eq!(error("/dev/zero"), "/dev/zero is not valid BTF: it is larger than 256 MiB");
}

/// The running kernel's, cut off: whole types stay readable, and the first that is not is refused.
#[test]
fn refuses_a_truncated_file() {
    let whole = fs::read(VMLINUX).unwrap();
    for cut in [24, 100, 5000, whole.len() / 2, whole.len() - 1] {
        let reason = Btf::parse(whole[..cut].to_vec()).map(|_| ()).unwrap_err();
        assert!(reason.ends_with("section lies behind the end of the file"), "{cut}: {reason}");
    }
}

/// What a loader finds in the outline is what the kernel knows its types by.
#[test]
fn an_outline_has_the_numbers_of_the_whole() {
    let bytes = fs::read(VMLINUX).unwrap();
    let whole = Btf::parse(bytes).unwrap();
    let (functions, typedefs) = (["vfs_unlink", "no_such_function", "inode_permission"], ["btf_trace_sys_exit", "u32"]);
    let outline = whole.outline(&functions, &typedefs);
    let outline = Btf::parse(outline).unwrap();
    let number = |btf: &Btf, name, kind| btf.find(name, kind, 1..btf.types.len());
    for (name, kind) in functions.map(|name| (name, FUNC)).into_iter().chain(typedefs.map(|name| (name, TYPEDEF))) {
        assert_eq!(number(&outline, name, kind), number(&whole, name, kind), "{name}");
    }
    assert_eq!(number(&outline, "vfs_unlink", TYPEDEF), Err(Fault::NoType), "it is no typedef");
    let last = functions.iter().filter_map(|name| number(&whole, name, FUNC).ok()).max().unwrap();
    assert_eq!(outline.types.len(), last + 1, "nothing lies behind the last");
    assert!(Btf::parse(whole.outline(&[], &[])).is_ok());
}
