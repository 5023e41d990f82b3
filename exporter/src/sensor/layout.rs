//! Fills the [`Layout`] of the running kernel from its type information.

use inotrail_ebpf::{ABSENT, ENTRY_WORDS, Layout};

use super::btf::{Btf, Fault};
use super::mutations::{self, Mutation};

/// A member that every backend needs and that the type information does not tell.
#[derive(Debug, thiserror::Error)]
#[error(
    "the type information does not tell {structure}.{member}: {fault}; is it this kernel's? It may also be newer than this version of inotrail"
)]
pub struct Unresolved {
    /// The structure.
    pub structure: &'static str,
    /// Its member.
    pub member: String,
    /// Why.
    pub fault: Fault,
}

/// What this kernel has, beside the offsets.
#[derive(Clone, Debug)]
pub struct Features {
    /// `inode_permission` takes (inode, mask): 2, or (idmap, inode, mask): 3; nothing where its form is not known.
    pub inode_permission: Option<usize>,
    /// `task_struct.nameidata` and what hangs on it can be read.
    pub nameidata: bool,
    /// The form of `io_uring_complete`: with a completion entry, or with the result itself.
    pub io_uring: Option<IoUring>,
    /// What is done to files without opening them.
    pub mutations: Vec<Mutation>,
}

/// How `io_uring_complete` tells the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoUring {
    /// `(ctx, req, cqe)`: since 6.16.
    Entry,
    /// `(ctx, req, user_data, res, ...)`: since 5.19.
    Result,
}

#[cfg(target_arch = "x86_64")]
mod registers {
    /// `struct pt_regs`: number, arguments, arguments of a 32-bit call.
    pub(super) const NAMES: [&str; 7] = ["orig_ax", "di", "si", "dx", "bx", "cx", "dx"];
    pub(super) const COMPAT: &str = "thread_info.status";
}

#[cfg(target_arch = "aarch64")]
mod registers {
    /// The first register holds the result when the call returns; its first argument is kept in `orig_x0`.
    pub(super) const NAMES: [&str; 7] = ["syscallno", "orig_x0", "regs+8", "regs+16", "orig_x0", "regs+8", "regs+16"];
    pub(super) const COMPAT: &str = "thread_info.flags";
}

/// Resolves every offset. `controller` and `hierarchy` name the cgroup hierarchy in which containers live: a version 1
/// controller or none for version 2, and its number.
///
/// # Errors
/// A member that every backend needs cannot be told. What only one backend needs is left [`ABSENT`] and told in
/// [`Features`].
pub fn resolve(btf: &Btf, controller: Option<&str>, hierarchy: u32) -> Result<(Layout, Features), Unresolved> {
    let mut layout = Layout::ABSENT;
    for (field, structure, member) in of_tasks(&mut layout) {
        *field = required(btf, structure, member)?;
    }
    for (field, structure, member) in of_files(&mut layout) {
        *field = required(btf, structure, member)?;
    }
    for (field, structure, member) in optional(&mut layout) {
        *field = offset(btf, structure, member).unwrap_or(ABSENT);
    }
    namespace_pid(btf, &mut layout);
    // kernfs_node.parent became an RCU pointer with another name in 6.15.
    layout.kernfs_node_parent = required(btf, "kernfs_node", "parent")
        .or_else(|error| btf.offset("kernfs_node", "__parent").map_err(|_| error))?;
    // dentry.d_u became anonymous in 7.2.
    layout.dentry_alias =
        ["d_alias", "d_u"].iter().find_map(|member| btf.offset("dentry", member).ok()).unwrap_or(ABSENT);
    layout.dentry_words = dentry_words(&layout);
    layout.helper_typed_task = btf.enum_value("bpf_func_id", "BPF_FUNC_get_current_task_btf").unwrap_or(ABSENT);
    if layout.helper_typed_task == ABSENT || layout.css_set_dfl_cgrp == ABSENT {
        layout.css_set_dfl_cgrp = 0;
    }
    layout.hierarchy_id = hierarchy;
    layout.css_set_subsys = subsystem(btf, controller)?;
    let features = features(btf, &layout);
    Ok((layout, features))
}

/// Every structure and member that is looked up, for tests that make type information.
#[must_use]
pub fn names() -> Vec<(&'static str, &'static str)> {
    let (mut tasks, mut files, mut others) = (Layout::ABSENT, Layout::ABSENT, Layout::ABSENT);
    let fields = of_tasks(&mut tasks).into_iter().chain(of_files(&mut files)).chain(optional(&mut others));
    let more = [("kernfs_node", "parent"), ("css_set", "subsys")];
    fields.map(|(_, structure, member)| (structure, member)).chain(more).collect()
}

/// Where the words start that hold what a walk reads of each dentry, if they lie close together.
fn dentry_words(layout: &Layout) -> u32 {
    let start = layout.dentry_seq & !7;
    let name = layout.dentry_name.saturating_add(layout.qstr_name.max(layout.qstr_len));
    let is_inside = |offset: u32| offset >= start + 8 && offset.saturating_add(8) <= start + ENTRY_WORDS * 8;
    if [layout.dentry_parent, layout.dentry_name, name].into_iter().all(is_inside) { start } else { ABSENT }
}

/// What the id in a process's own PID namespace is read by: all of it, or nothing.
fn namespace_pid(btf: &Btf, layout: &mut Layout) {
    layout.upid_size = btf.size("upid").unwrap_or(ABSENT);
    let parts = [layout.pid_level, layout.pid_numbers, layout.upid_nr, layout.upid_size];
    if parts.contains(&ABSENT) {
        layout.task_thread_pid = ABSENT;
    }
}

/// Where `css_set` keeps the pointer of the hierarchy's controller; [`ABSENT`] for version 2.
fn subsystem(btf: &Btf, controller: Option<&str>) -> Result<u32, Unresolved> {
    let Some(controller) = controller else { return Ok(ABSENT) };
    let name = format!("{controller}_cgrp_id");
    let unresolved = |fault| Unresolved { structure: "cgroup_subsys_id", member: name.clone(), fault };
    let index = btf.enum_value("cgroup_subsys_id", &name).map_err(unresolved)?;
    let start = required(btf, "css_set", "subsys")?;
    index
        .checked_mul(8)
        .and_then(|bytes| start.checked_add(bytes))
        .ok_or_else(|| unresolved(Fault::Damaged("its value is too large")))
}

fn features(btf: &Btf, layout: &Layout) -> Features {
    let nameidata = [layout.task_nameidata, layout.nameidata_path, layout.nameidata_name, layout.filename_name];
    // By the parameter's place and never by version: vendors port signatures back.
    let parameters = |function| btf.parameters(function).unwrap_or_default();
    let place = parameters("inode_permission").iter().position(|name| *name == "inode");
    let complete = parameters("__traceiter_io_uring_complete");
    let io_uring = match (complete.get(2), complete.get(3), complete.get(4)) {
        (Some(&"req"), Some(&"cqe"), _) if layout.io_cqe_res != ABSENT => Some(IoUring::Entry),
        (Some(&"req"), _, Some(&"res")) => Some(IoUring::Result),
        _ => None,
    };
    let io_members = [layout.io_opcode, layout.io_cmd, layout.io_open_slot];
    Features {
        inode_permission: place.filter(|place| *place < 2).map(|place| place + 2),
        nameidata: !nameidata.contains(&ABSENT),
        io_uring: io_uring.filter(|_| !io_members.contains(&ABSENT)),
        mutations: mutations::resolve(btf, layout),
    }
}

fn required(btf: &Btf, structure: &'static str, member: &str) -> Result<u32, Unresolved> {
    offset(btf, structure, member).map_err(|fault| Unresolved { structure, member: member.to_owned(), fault })
}

/// `member`, or `member+bytes`.
fn offset(btf: &Btf, structure: &str, member: &str) -> Result<u32, Fault> {
    let (member, more) = member.split_once('+').unwrap_or((member, "0"));
    let more = more.parse().map_err(|_| Fault::NoMember)?;
    let start = btf.offset(structure, member)?;
    start.checked_add(more).ok_or(Fault::Damaged("an offset is too large"))
}

type Field<'a> = (&'a mut u32, &'static str, &'static str);

fn of_tasks(layout: &mut Layout) -> [Field<'_>; 27] {
    [
        (&mut layout.task_files, "task_struct", "files"),
        (&mut layout.task_fs, "task_struct", "fs"),
        (&mut layout.task_mm, "task_struct", "mm"),
        (&mut layout.task_real_cred, "task_struct", "real_cred"),
        (&mut layout.task_real_parent, "task_struct", "real_parent"),
        (&mut layout.task_group_leader, "task_struct", "group_leader"),
        (&mut layout.task_start_boottime, "task_struct", "start_boottime"),
        (&mut layout.task_pid, "task_struct", "pid"),
        (&mut layout.task_tgid, "task_struct", "tgid"),
        (&mut layout.task_cgroups, "task_struct", "cgroups"),
        (&mut layout.task_exit_code, "task_struct", "exit_code"),
        (&mut layout.task_signal, "task_struct", "signal"),
        (&mut layout.signal_live, "signal_struct", "live"),
        (&mut layout.task_compat, "task_struct", registers::COMPAT),
        (&mut layout.mm_exe_file, "mm_struct", "exe_file"),
        (&mut layout.mm_arg_start, "mm_struct", "arg_start"),
        (&mut layout.mm_arg_end, "mm_struct", "arg_end"),
        (&mut layout.bprm_filename, "linux_binprm", "filename"),
        (&mut layout.cred_uid, "cred", "uid"),
        (&mut layout.cred_euid, "cred", "euid"),
        (&mut layout.cred_gid, "cred", "gid"),
        (&mut layout.css_cgroup, "cgroup_subsys_state", "cgroup"),
        (&mut layout.cgroup_kn, "cgroup", "kn"),
        (&mut layout.cgroup_root, "cgroup", "root"),
        (&mut layout.cgroup_level, "cgroup", "level"),
        (&mut layout.kernfs_node_id, "kernfs_node", "id"),
        (&mut layout.cgroup_root_hierarchy_id, "cgroup_root", "hierarchy_id"),
    ]
}

fn of_files(layout: &mut Layout) -> [Field<'_>; 28] {
    [
        (&mut layout.path_mnt, "path", "mnt"),
        (&mut layout.path_dentry, "path", "dentry"),
        (&mut layout.dentry_inode, "dentry", "d_inode"),
        (&mut layout.dentry_parent, "dentry", "d_parent"),
        (&mut layout.dentry_name, "dentry", "d_name"),
        (&mut layout.dentry_seq, "dentry", "d_seq"),
        (&mut layout.qstr_name, "qstr", "name"),
        (&mut layout.qstr_len, "qstr", "len"),
        (&mut layout.inode_sb, "inode", "i_sb"),
        (&mut layout.inode_ino, "inode", "i_ino"),
        (&mut layout.inode_mode, "inode", "i_mode"),
        (&mut layout.inode_nlink, "inode", "i_nlink"),
        (&mut layout.sb_dev, "super_block", "s_dev"),
        (&mut layout.mount_mnt, "mount", "mnt"),
        (&mut layout.mount_ns, "mount", "mnt_ns"),
        (&mut layout.mount_parent, "mount", "mnt_parent"),
        (&mut layout.mount_mountpoint, "mount", "mnt_mountpoint"),
        (&mut layout.vfsmount_root, "vfsmount", "mnt_root"),
        (&mut layout.files_fdt, "files_struct", "fdt"),
        (&mut layout.files_count, "files_struct", "count"),
        (&mut layout.fdtable_fd, "fdtable", "fd"),
        (&mut layout.fdtable_max, "fdtable", "max_fds"),
        (&mut layout.file_path, "file", "f_path"),
        (&mut layout.file_inode, "file", "f_inode"),
        (&mut layout.file_flags, "file", "f_flags"),
        (&mut layout.file_mode, "file", "f_mode"),
        (&mut layout.fs_pwd, "fs_struct", "pwd"),
        (&mut layout.fs_root, "fs_struct", "root"),
    ]
}

fn optional(layout: &mut Layout) -> [Field<'_>; 29] {
    let [number, argument0, argument1, argument2, compat0, compat1, compat2] = registers::NAMES;
    [
        (&mut layout.regs_number, "pt_regs", number),
        (&mut layout.regs_arg0, "pt_regs", argument0),
        (&mut layout.regs_arg1, "pt_regs", argument1),
        (&mut layout.regs_arg2, "pt_regs", argument2),
        (&mut layout.regs_compat0, "pt_regs", compat0),
        (&mut layout.regs_compat1, "pt_regs", compat1),
        (&mut layout.regs_compat2, "pt_regs", compat2),
        (&mut layout.task_nameidata, "task_struct", "nameidata"),
        (&mut layout.task_io_uring, "task_struct", "io_uring"),
        (&mut layout.css_set_dfl_cgrp, "css_set", "dfl_cgrp"),
        (&mut layout.task_flags, "task_struct", "flags"),
        (&mut layout.task_thread_pid, "task_struct", "thread_pid"),
        (&mut layout.pid_level, "pid", "level"),
        (&mut layout.pid_numbers, "pid", "numbers"),
        (&mut layout.upid_nr, "upid", "nr"),
        (&mut layout.nameidata_path, "nameidata", "path"),
        (&mut layout.nameidata_name, "nameidata", "name"),
        (&mut layout.filename_name, "filename", "name"),
        (&mut layout.mount_point, "mount", "mnt_mp"),
        (&mut layout.mountpoint_dentry, "mountpoint", "m_dentry"),
        (&mut layout.namespace_root, "mnt_namespace", "root"),
        (&mut layout.namespace_inum, "mnt_namespace", "ns.inum"),
        (&mut layout.task_cred, "task_struct", "cred"),
        (&mut layout.inode_dentries, "inode", "i_dentry"),
        (&mut layout.iattr_valid, "iattr", "ia_valid"),
        (&mut layout.io_opcode, "io_kiocb", "opcode"),
        (&mut layout.io_cmd, "io_kiocb", "cmd"),
        (&mut layout.io_open_slot, "io_open", "file_slot"),
        (&mut layout.io_cqe_res, "io_uring_cqe", "res"),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn resolves_the_running_kernel() {
        let btf = Btf::load(Path::new("/sys/kernel/btf/vmlinux")).unwrap();
        let (layout, features) = resolve(&btf, Some("memory"), 4).unwrap();
        assert!(features.nameidata);
        assert!(features.inode_permission.is_some());
        assert_eq!(layout.hierarchy_id, 4);
        assert_ne!(layout.css_set_subsys, ABSENT);
        assert_ne!(layout.regs_number, ABSENT);
        let walk = [layout.mount_point, layout.mountpoint_dentry, layout.namespace_root, layout.namespace_inum];
        assert!(!walk.contains(&ABSENT), "{layout:?}");
        assert!(![layout.dentry_alias, layout.inode_dentries, layout.task_cred].contains(&ABSENT), "{layout:?}");
        assert_ne!(layout.task_thread_pid, ABSENT);
        assert_eq!(layout.upid_size, 16);
        assert_eq!(resolve(&btf, None, 0).unwrap().0.css_set_subsys, ABSENT);
    }

    /// The kernel's own file, with one name in it changed.
    fn without(name: &[u8]) -> Result<Layout, String> {
        let mut bytes = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        let name = [b"\0", name, b"\0"].concat();
        let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
        bytes[at + 1] = b'#';
        let btf = Btf::parse(bytes).unwrap();
        resolve(&btf, Some("memory"), 4).map(|(layout, _)| layout).map_err(|error| error.to_string())
    }

    #[test]
    fn a_kernel_without_upid_has_all_the_rest() {
        let layout = without(b"upid").unwrap();
        assert_eq!((layout.task_thread_pid, layout.upid_size), (ABSENT, ABSENT));
        assert_ne!(layout.task_tgid, ABSENT);
    }

    #[test]
    fn names_what_is_missing() {
        let rest = "is it this kernel's? It may also be newer than this version of inotrail";
        let check = |name: &[u8], expected: &str| {
            assert_eq!(without(name).unwrap_err(), format!("the type information does not tell {expected}; {rest}"));
        };
        check(b"start_boottime", "task_struct.start_boottime: the type has no such member");
        check(b"d_seq", "dentry.d_seq: the type has no such member");
        check(b"css_set", "css_set.subsys: there is no such type");
        check(b"memory_cgrp_id", "cgroup_subsys_id.memory_cgrp_id: the type has no such member");
    }
}
