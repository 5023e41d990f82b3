//! Which backend runs: the order in which they are tried, and what each is good for.

use super::kernel::Kernel;
use super::layout::Features;
use crate::event::Backend;

/// What no backend can do anything about.
pub const CONFIDENTIAL: &str = "the kernel is locked down for confidentiality, under which no program may read its memory: boot with lockdown=integrity";

/// Why a backend does not run here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel lacks something.
    #[error("{0}")]
    Unsupported(String),
    /// The kernel refused a program.
    #[error("the kernel refused the program {program}: {reason}")]
    Load {
        /// The program's name.
        program: String,
        /// The system call's error.
        reason: String,
        /// What the verifier said; empty where it said nothing.
        verifier_log: String,
    },
    /// The program loaded and could not be attached.
    #[error("the program {program} loads but does not attach: {reason}")]
    Attach {
        /// The program's name.
        program: String,
        /// The system call's error.
        reason: String,
    },
}

/// Whether the kernel may skip calls of a backend's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misses {
    /// It never does.
    Never,
    /// It may, and counts them: an upper bound of the accesses that were not seen.
    Counted,
    /// It may, and does not tell.
    NotCountable,
}

impl Misses {
    /// As `inotrail check` shows it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Counted => "counted",
            Self::NotCountable => "not countable",
        }
    }
}

/// The first kernel that does not enter a fexit program that a preempted task is in, and counts that (`recursion_misses`).
const FEXIT_GUARDED: (u32, u32) = (5, 12);
/// The first kernel that counts calls of kprobes' programs that it skips (`trace_call_bpf` in `kernel/trace/bpf_trace.c`).
const KPROBE_COUNTED: (u32, u32) = (6, 7);
/// The first kernel whose syscall tracepoints can be preempted.
const TRACEPOINT_PREEMPTIBLE: (u32, u32) = (6, 19);

/// Whether the kernel may skip calls of this backend's programs. A kprobe's is skipped on a CPU where a task was preempted
/// in the middle of a `bpf()` call for a map; the exporter makes none while it runs, but others may.
#[must_use]
pub fn misses(backend: Backend, kernel: &Kernel) -> Misses {
    let preemptible = kernel.preemption.is_preemptible();
    match backend {
        Backend::Fexit if kernel.version < FEXIT_GUARDED => Misses::Never,
        Backend::Fexit if preemptible || kernel.version >= TRACEPOINT_PREEMPTIBLE => Misses::Counted,
        Backend::RawTracepoint if kernel.version >= TRACEPOINT_PREEMPTIBLE => Misses::Counted,
        Backend::Kprobe if preemptible && kernel.version < KPROBE_COUNTED => Misses::NotCountable,
        Backend::Kprobe if preemptible => Misses::Counted,
        _ => Misses::Never,
    }
}

/// Backends in the order of what they lose, then of what they cost.
///
/// A preemptible kernel skips fexit programs when a task is preempted inside one, and from 6.19 on the syscall
/// tracepoints are preemptible as well; kprobes only where something else makes `bpf()` calls all the time.
#[must_use]
pub fn order(kernel: &Kernel) -> [Backend; 3] {
    use Backend::{Fexit, Kprobe, RawTracepoint};
    let old_arm = kernel.architecture == "aarch64" && kernel.version < (6, 4);
    if old_arm || kernel.version >= TRACEPOINT_PREEMPTIBLE {
        [Kprobe, Fexit, RawTracepoint]
    } else if kernel.preemption.is_preemptible() {
        [Kprobe, RawTracepoint, Fexit]
    } else {
        [Fexit, Kprobe, RawTracepoint]
    }
}

/// Whether this backend may lose accesses on this kernel, and why.
#[must_use]
pub fn degraded(backend: Backend, kernel: &Kernel) -> Option<&'static str> {
    match (backend, misses(backend, kernel)) {
        (Backend::Fexit, Misses::Counted) => {
            Some("a preemptible kernel skips fexit programs under load; skipped calls are counted as hook_missed")
        }
        (Backend::RawTracepoint, Misses::Counted) => {
            Some("this kernel skips syscall tracepoints under load; skipped calls are counted as hook_missed")
        }
        _ => None,
    }
}

/// What this backend can never see, for `check` and the README.
#[must_use]
pub fn not_seen(backend: Backend, features: &Features) -> Vec<&'static str> {
    let mut list = vec!["reads and writes on descriptors that are open already, inherited or passed"];
    match backend {
        Backend::Fexit | Backend::Kprobe => {
            list.push("opens with O_PATH, and opens refused before the file is reached (no such file, a directory on the way)");
            list.push("the mount of a file made by O_TMPFILE: its path starts at its file system");
        }
        Backend::RawTracepoint => {
            list.push("the resolved path of a refused open: only what was asked for");
            list.push("opens by the kernel itself; the dynamic loader's and a script's own open at exec");
            list.push(if features.io_uring.is_some() {
                "io_uring: opens into fixed slots (no path), refused ones (no path), completions that are skipped"
            } else {
                "opens by io_uring"
            });
        }
    }
    if backend == Backend::Kprobe {
        list.push("whether the access was allowed (the outcome is unknown)");
    }
    list
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::kernel::Preemption;
    use super::*;
    use Backend::{Fexit, Kprobe, RawTracepoint};

    fn kernel(architecture: &str, version: (u32, u32), preemption: Preemption) -> Kernel {
        Kernel { release: String::new(), architecture: architecture.to_owned(), version, preemption }
    }

    #[test]
    fn orders_by_loss_then_cost() {
        let check = |architecture, version, preemption, expected| {
            assert_eq!(
                order(&kernel(architecture, version, preemption)),
                expected,
                "{architecture} {version:?} {preemption:?}"
            );
        };
        check("x86_64", (6, 12), Preemption::None, [Fexit, Kprobe, RawTracepoint]);
        check("x86_64", (6, 12), Preemption::Voluntary, [Fexit, Kprobe, RawTracepoint]);
        check("x86_64", (6, 12), Preemption::Full, [Kprobe, RawTracepoint, Fexit]);
        check("x86_64", (6, 18), Preemption::Lazy, [Kprobe, RawTracepoint, Fexit]);
        check("x86_64", (7, 2), Preemption::Lazy, [Kprobe, Fexit, RawTracepoint]);
        check("x86_64", (5, 10), Preemption::Full, [Kprobe, RawTracepoint, Fexit]);
        check("aarch64", (6, 1), Preemption::Voluntary, [Kprobe, Fexit, RawTracepoint]);
    }

    #[test]
    fn names_what_degrades() {
        let lazy = kernel("x86_64", (7, 2), Preemption::Lazy);
        assert!(degraded(Fexit, &lazy).is_some() && degraded(RawTracepoint, &lazy).is_some());
        assert!(degraded(Kprobe, &lazy).is_none());
        assert!(degraded(RawTracepoint, &kernel("x86_64", (6, 18), Preemption::Full)).is_none());
    }

    #[test]
    fn knows_what_the_kernel_counts() {
        let check = |backend, version, preemption, expected| {
            assert_eq!(misses(backend, &kernel("x86_64", version, preemption)), expected, "{backend:?} {version:?}");
        };
        check(Fexit, (5, 10), Preemption::Full, Misses::Never);
        check(Fexit, (6, 12), Preemption::Voluntary, Misses::Never);
        check(Fexit, (6, 12), Preemption::Full, Misses::Counted);
        check(Kprobe, (6, 1), Preemption::Voluntary, Misses::Never);
        check(Kprobe, (6, 1), Preemption::Full, Misses::NotCountable);
        check(Kprobe, (7, 2), Preemption::Lazy, Misses::Counted);
        check(RawTracepoint, (6, 18), Preemption::Full, Misses::Never);
        check(RawTracepoint, (7, 2), Preemption::Lazy, Misses::Counted);
    }
}
