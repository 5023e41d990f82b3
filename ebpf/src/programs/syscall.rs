//! Which system calls open files, by number, and where they keep their arguments.

/// How to read the arguments of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Not one of ours.
    None,
    /// `open(path, flags)`
    Open,
    /// `creat(path)`
    Creat,
    /// `openat(dirfd, path, flags)`
    OpenAt,
    /// `openat2(dirfd, path, how)`
    OpenAt2,
    /// `open_by_handle_at(mount_fd, handle, flags)`
    Handle,
    /// `execve(path)`
    Exec,
    /// `execveat(dirfd, path)`
    ExecAt,
}

impl Call {
    #[inline(always)]
    pub(super) fn is_exec(self) -> bool {
        self == Self::Exec || self == Self::ExecAt
    }

    /// Whether the first argument is a directory descriptor and the second the path.
    #[inline(always)]
    pub(super) fn has_directory(self) -> bool {
        self == Self::OpenAt || self == Self::OpenAt2 || self == Self::ExecAt
    }
}

/// arch/x86/entry/syscalls/syscall_64.tbl; numbers with bit 30 are the x32 ABI's.
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub(super) fn native(number: u64) -> Call {
    match number {
        2 | 0x4000_0002 => Call::Open,
        85 | 0x4000_0055 => Call::Creat,
        257 | 0x4000_0101 => Call::OpenAt,
        437 | 0x4000_01b5 => Call::OpenAt2,
        304 | 0x4000_0130 => Call::Handle,
        59 | 0x4000_0208 => Call::Exec,
        322 | 0x4000_0221 => Call::ExecAt,
        _ => Call::None,
    }
}

/// arch/x86/entry/syscalls/syscall_32.tbl
#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
pub(super) fn compat(number: u64) -> Call {
    match number {
        5 => Call::Open,
        8 => Call::Creat,
        295 => Call::OpenAt,
        437 => Call::OpenAt2,
        342 => Call::Handle,
        11 => Call::Exec,
        358 => Call::ExecAt,
        _ => Call::None,
    }
}

/// include/uapi/asm-generic/unistd.h
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub(super) fn native(number: u64) -> Call {
    match number {
        56 => Call::OpenAt,
        437 => Call::OpenAt2,
        265 => Call::Handle,
        221 => Call::Exec,
        281 => Call::ExecAt,
        _ => Call::None,
    }
}

/// arch/arm64/tools/syscall_32.tbl
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
pub(super) fn compat(number: u64) -> Call {
    match number {
        5 => Call::Open,
        8 => Call::Creat,
        322 => Call::OpenAt,
        437 => Call::OpenAt2,
        371 => Call::Handle,
        11 => Call::Exec,
        387 => Call::ExecAt,
        _ => Call::None,
    }
}

/// `thread_info.status & TS_COMPAT`
#[cfg(bpf_target_arch = "x86_64")]
pub(super) const COMPAT_BIT: u32 = 0x2;
/// `thread_info.flags & _TIF_32BIT`
#[cfg(bpf_target_arch = "aarch64")]
pub(super) const COMPAT_BIT: u32 = 1 << 22;

/// `pt_regs.orig_ax`
#[cfg(bpf_target_arch = "x86_64")]
pub(super) type Number = u64;
/// `pt_regs.syscallno`
#[cfg(bpf_target_arch = "aarch64")]
pub(super) type Number = u32;
