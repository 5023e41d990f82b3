use super::*;

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

#[test]
fn reads_the_running_kernel() {
    let btf = Btf::load(Path::new(VMLINUX)).unwrap();
    // Facts of every kernel: `struct path` is two pointers, inode_permission's inode is its first or second parameter.
    assert_eq!(btf.offset("path", "mnt"), Some(0));
    assert_eq!(btf.offset("path", "dentry"), Some(8));
    let parameters = btf.parameters("inode_permission").unwrap();
    assert!(parameters.iter().position(|name| *name == "inode").is_some_and(|index| index < 2), "{parameters:?}");
    assert!(btf.enum_value("cgroup_subsys_id", "memory_cgrp_id").is_some());
    assert_eq!(btf.offset("task_struct", "no_such_member"), None);
    assert_eq!(btf.offset("no_such_struct", "x"), None);
}

#[test]
fn follows_anonymous_members_and_dots() {
    let btf = Btf::load(Path::new(VMLINUX)).unwrap();
    let name = btf.offset("dentry", "d_name").unwrap();
    // qstr.len sits in an anonymous struct in an anonymous union.
    assert_eq!(btf.offset("dentry", "d_name.len"), Some(name + btf.offset("qstr", "len").unwrap()));
}

#[test]
fn refuses_what_is_no_btf() {
    let reason = |bytes: &[u8]| Btf::parse(bytes.to_vec()).map(|_| ()).unwrap_err();
    assert!(reason(b"").contains("magic"));
    assert!(reason(b"\x7fELF").contains("magic"));
    assert!(reason(&MAGIC.to_ne_bytes()).contains("header"));
    let mut header = MAGIC.to_ne_bytes().to_vec();
    header.extend([1, 0]);
    for word in [24u32, 0, 1000, 0, 0] {
        header.extend(word.to_ne_bytes());
    }
    assert!(reason(&header).contains("end of the file"));
}

#[test]
fn never_panics_on_damage() {
    let whole = fs::read(VMLINUX).unwrap();
    // Cut short anywhere, and with bytes of the type section overwritten.
    for cut in [3, 23, 24, 100, 5000, whole.len() / 2] {
        let _refused = Btf::parse(whole[..cut].to_vec()).map(|btf| btf.offset("task_struct", "files"));
    }
    for seed in 0..20usize {
        let mut damaged = whole[..whole.len()].to_vec();
        for step in 0..2000usize {
            let at = 24 + (seed * 7919 + step * 104_729) % (damaged.len() - 24);
            damaged[at] = (seed * 31 + step) as u8;
        }
        if let Ok(btf) = Btf::parse(damaged) {
            let _any = btf.offset("task_struct", "files");
            let _any = btf.parameters("inode_permission");
        }
    }
}
