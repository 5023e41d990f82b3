//! Where this kernel keeps what the programs read.

/// Marks a field of [`Layout`] that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// Words of a dentry that are read at once, see [`Layout::dentry_words`].
pub const ENTRY_WORDS: u32 = 6;

macro_rules! layout {
    ($($(#[$doc:meta])* $field:ident),* $(,)?) => {
        /// Byte offsets of struct members (and a few constants), read from the kernel's BTF at start and set as a
        /// read-only global before the programs load: to the verifier they are constants. Named `<struct>_<member>`.
        #[derive(Clone, Copy, Debug)]
        #[cfg_attr(not(target_arch = "bpf"), derive(zerocopy::IntoBytes, zerocopy::Immutable))]
        #[repr(C)]
        pub struct Layout { $($(#[$doc])* pub $field: u32,)* }

        impl Layout {
            /// Every field [`ABSENT`].
            pub const ABSENT: Self = Self { $($field: ABSENT,)* };
        }
    };
}

layout! {
    /// Constant: the number of the helper `bpf_get_current_task_btf` (since 5.11).
    helper_typed_task,
    /// `task_struct.nameidata`: the lookup under way (fs/namei.c).
    task_nameidata,
    /// `task_struct.files`
    task_files,
    /// `task_struct.fs`
    task_fs,
    /// `task_struct.mm`
    task_mm,
    /// `task_struct.real_cred`
    task_real_cred,
    /// `task_struct.cred`: what the task acts with, which a file system may override.
    task_cred,
    /// `task_struct.io_uring`
    task_io_uring,
    /// `task_struct.flags`
    task_flags,
    /// `task_struct.real_parent`
    task_real_parent,
    /// `task_struct.group_leader`
    task_group_leader,
    /// `task_struct.start_boottime`
    task_start_boottime,
    /// `task_struct.pid`
    task_pid,
    /// `task_struct.tgid`
    task_tgid,
    /// `task_struct.thread_pid`, or [`ABSENT`] where anything of what hangs on it is not known.
    task_thread_pid,
    /// `pid.level`: how deep its PID namespace is below the initial one.
    pid_level,
    /// `pid.numbers`: a `struct upid` for each level (include/linux/pid.h).
    pid_numbers,
    /// `upid.nr`
    upid_nr,
    /// Constant: bytes of a `struct upid`.
    upid_size,
    /// `task_struct.cgroups`
    task_cgroups,
    /// `task_struct.exit_code`
    task_exit_code,
    /// `task_struct.signal`
    task_signal,
    /// `signal_struct.live`: threads of the group that have not exited.
    signal_live,
    /// `thread_info.status` (x86) or `thread_info.flags` (arm64) inside the task: says whether the call was 32-bit.
    task_compat,
    /// `iattr.ia_valid`
    iattr_valid,
    /// `nameidata.path`
    nameidata_path,
    /// `nameidata.name`, a `struct filename *`
    nameidata_name,
    /// `filename.name`
    filename_name,
    /// `path.mnt`
    path_mnt,
    /// `path.dentry`
    path_dentry,
    /// `dentry.d_inode`
    dentry_inode,
    /// `dentry.d_parent`
    dentry_parent,
    /// `dentry.d_name`
    dentry_name,
    /// `dentry.d_seq`
    dentry_seq,
    /// Constant: a multiple of eight from which [`ENTRY_WORDS`] words hold `d_seq`, `d_parent` and `d_name`, `d_seq` in the first;
    /// or [`ABSENT`].
    dentry_words,
    /// `qstr.name`
    qstr_name,
    /// `qstr.len`
    qstr_len,
    /// `dentry.d_u.d_alias`: the entry in its inode's list.
    dentry_alias,
    /// `inode.i_dentry`: the list of its dentries.
    inode_dentries,
    /// `inode.i_sb`
    inode_sb,
    /// `inode.i_ino`
    inode_ino,
    /// `inode.i_mode`
    inode_mode,
    /// `inode.i_nlink`
    inode_nlink,
    /// `super_block.s_dev`
    sb_dev,
    /// `mount.mnt`
    mount_mnt,
    /// `mount.mnt_ns`
    mount_ns,
    /// `mount.mnt_parent`
    mount_parent,
    /// `mount.mnt_mountpoint`
    mount_mountpoint,
    /// `mount.mnt_mp`: what it is mounted on, as the mount point itself knows it.
    mount_point,
    /// `mountpoint.m_dentry`
    mountpoint_dentry,
    /// `mnt_namespace.root`
    namespace_root,
    /// `ns_common.inum` inside `mnt_namespace`
    namespace_inum,
    /// `vfsmount.mnt_root`
    vfsmount_root,
    /// `files_struct.fdt`
    files_fdt,
    /// `files_struct.count`
    files_count,
    /// `fdtable.fd`
    fdtable_fd,
    /// `fdtable.max_fds`
    fdtable_max,
    /// `file.f_path`
    file_path,
    /// `file.f_inode`
    file_inode,
    /// `file.f_flags`
    file_flags,
    /// `file.f_mode`
    file_mode,
    /// `fs_struct.pwd`
    fs_pwd,
    /// `fs_struct.root`
    fs_root,
    /// `mm_struct.exe_file`
    mm_exe_file,
    /// `mm_struct.arg_start`
    mm_arg_start,
    /// `mm_struct.arg_end`
    mm_arg_end,
    /// `linux_binprm.filename`
    bprm_filename,
    /// `cred.uid`
    cred_uid,
    /// `cred.euid`
    cred_euid,
    /// `cred.gid`
    cred_gid,
    /// Where the pointer to the task's cgroup state starts in `css_set`: `subsys[n]` of the chosen version 1
    /// controller, or [`ABSENT`] where pods live in version 2 (then the kernel's helper gives the id).
    css_set_subsys,
    /// `css_set.dfl_cgrp`: the cgroup in version 2; or 0 where the helper is to tell it, as without `helper_typed_task`.
    css_set_dfl_cgrp,
    /// `cgroup_subsys_state.cgroup`
    css_cgroup,
    /// `cgroup.kn`
    cgroup_kn,
    /// `cgroup.root`
    cgroup_root,
    /// `cgroup.level`
    cgroup_level,
    /// `kernfs_node.id`
    kernfs_node_id,
    /// `kernfs_node.parent` (`__parent` since 6.15)
    kernfs_node_parent,
    /// `cgroup_root.hierarchy_id`
    cgroup_root_hierarchy_id,
    /// Constant: the chosen hierarchy's id; cgroups of others are not recorded.
    hierarchy_id,
    /// `pt_regs`: the system call's number.
    regs_number,
    /// `pt_regs`: the first argument.
    regs_arg0,
    /// `pt_regs`: the second argument.
    regs_arg1,
    /// `pt_regs`: the third argument.
    regs_arg2,
    /// `pt_regs`: the first argument of a 32-bit call.
    regs_compat0,
    /// `pt_regs`: the second argument of a 32-bit call.
    regs_compat1,
    /// `pt_regs`: the third argument of a 32-bit call.
    regs_compat2,
    /// `io_kiocb.opcode`
    io_opcode,
    /// `io_kiocb.cmd`, where an open's `struct io_open` lies
    io_cmd,
    /// `io_open.file_slot`
    io_open_slot,
    /// `io_uring_cqe.res`, or [`ABSENT`] where `io_uring_complete` passes the result itself (before 6.16).
    io_cqe_res,
}
