//! Which backend runs: the order in which they are tried, and loading and attaching one.

use aya::programs::{BtfTracePoint, FExit, KProbe, Program, ProgramError, RawTracePoint};
use aya::{Btf as KernelBtf, Ebpf};

use super::kernel::Kernel;
use super::layout::{Features, IoUring};
use super::mutations::Mutations;
use super::report::MutationReport;
use crate::event::Backend;

/// The function that fexit and kprobe hook.
const FUNCTION: &str = "inode_permission";

/// Programs of cgroups and processes, with their tracepoints.
const TRACEPOINTS: [(&str, &str); 5] = [
    ("cgroup_mkdir", "cgroup_mkdir"),
    ("cgroup_release", "cgroup_release"),
    ("process_fork", "sched_process_fork"),
    ("process_exec", "sched_process_exec"),
    ("process_exit", "sched_process_exit"),
];

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

/// Backends in the order of what they lose, then of what they cost.
///
/// A preemptible kernel skips fexit programs when a task is preempted inside one, and from 6.19 on the syscall
/// tracepoints are preemptible as well; kprobes never are.
#[must_use]
pub fn order(kernel: &Kernel) -> [Backend; 3] {
    use Backend::{Fexit, Kprobe, RawTracepoint};
    let old_arm = kernel.architecture == "aarch64" && kernel.version < (6, 4);
    if old_arm || kernel.version >= (6, 19) {
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
    match backend {
        Backend::Fexit if kernel.preemption.is_preemptible() || kernel.version >= (6, 19) => {
            Some("a preemptible kernel skips fexit programs under load; skipped calls are counted as hook_missed")
        }
        Backend::RawTracepoint if kernel.version >= (6, 19) => {
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
            list.push("the name of a file made by O_TMPFILE");
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

/// Programs that the kernel took, not yet attached: loading is slow, and nothing may be seen by halves meanwhile.
pub struct Loaded {
    hook: &'static str,
    io_uring: Option<&'static str>,
    mutations: Mutations,
}

/// Loads all programs of one backend; those of mutations only where they are asked for.
///
/// # Errors
/// The kernel lacks something or refuses a program.
pub fn load(ebpf: &mut Ebpf, backend: Backend, features: &Features, mutations: bool) -> Result<Loaded, Error> {
    let hook = load_hook(ebpf, backend, features)?;
    let io_uring = match features.io_uring {
        Some(IoUring::Entry) if backend == Backend::RawTracepoint => Some("io_uring_complete_cqe"),
        Some(IoUring::Result) if backend == Backend::RawTracepoint => Some("io_uring_complete_result"),
        _ => None,
    };
    for name in TRACEPOINTS.map(|(program, _)| program).into_iter().chain(io_uring) {
        loaded(name, program::<RawTracePoint>(ebpf, name)?.load())?;
    }
    let wanted = if mutations { &features.mutations[..] } else { &[] };
    Ok(Loaded { hook, io_uring, mutations: Mutations::load(ebpf, backend, wanted) })
}

impl Loaded {
    /// Attaches what records of accesses refer to: cgroups and processes.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn attach_tables(&self, ebpf: &mut Ebpf) -> Result<(), Error> {
        TRACEPOINTS.into_iter().try_for_each(|(program, tracepoint)| attach_raw_tracepoint(ebpf, program, tracepoint))
    }

    /// Attaches what reports accesses.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn attach_hook(&mut self, ebpf: &mut Ebpf) -> Result<(), Error> {
        if let Some(program) = self.io_uring {
            attach_raw_tracepoint(ebpf, program, "io_uring_complete")?;
        }
        self.mutations.attach(ebpf);
        attach_hook(ebpf, self.hook)
    }

    /// What came of the programs of mutations.
    #[must_use]
    pub fn mutations(&self) -> Vec<MutationReport> {
        self.mutations.report()
    }

    /// Names of all programs.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        TRACEPOINTS
            .into_iter()
            .map(|(program, _)| program)
            .chain(self.io_uring)
            .chain([self.hook])
            .chain(self.mutations.names())
    }
}

/// The access hook's program, loaded and not yet attached.
fn load_hook(ebpf: &mut Ebpf, backend: Backend, features: &Features) -> Result<&'static str, Error> {
    let arity = || {
        if !features.nameidata {
            return Err(Error::Unsupported("this kernel's type information lacks task_struct.nameidata".to_owned()));
        }
        features
            .inode_permission
            .ok_or_else(|| Error::Unsupported("this kernel's inode_permission has a form that is not known".to_owned()))
    };
    match backend {
        Backend::Fexit => {
            let name = if arity()? == 2 { "fexit_2" } else { "fexit_3" };
            let btf = kernel_btf()?;
            loaded(name, program::<FExit>(ebpf, name)?.load(FUNCTION, &btf))
        }
        Backend::Kprobe => {
            let name = if arity()? == 2 { "kprobe_2" } else { "kprobe_3" };
            loaded(name, program::<KProbe>(ebpf, name)?.load())
        }
        Backend::RawTracepoint => {
            // The typed twin costs every system call less; kernels before 5.11, or without type information, take the other.
            let typed = kernel_btf().and_then(|btf| {
                loaded("sys_exit_btf", program::<BtfTracePoint>(ebpf, "sys_exit_btf")?.load("sys_exit", &btf))
            });
            typed.or_else(|_| loaded("sys_exit_raw", program::<RawTracePoint>(ebpf, "sys_exit_raw")?.load()))
        }
    }
}

fn attach_hook(ebpf: &mut Ebpf, name: &'static str) -> Result<(), Error> {
    match ebpf.program_mut(name) {
        Some(Program::FExit(program)) => attached(name, program.attach().map(|_| ())),
        Some(Program::KProbe(program)) => attached(name, program.attach(FUNCTION, 0).map(|_| ())),
        Some(Program::BtfTracePoint(program)) => attached(name, program.attach().map(|_| ())),
        Some(Program::RawTracePoint(program)) => attached(name, program.attach("sys_exit").map(|_| ())),
        _ => Err(absent(name)),
    }
}

fn attach_raw_tracepoint(ebpf: &mut Ebpf, name: &'static str, tracepoint: &str) -> Result<(), Error> {
    attached(name, program::<RawTracePoint>(ebpf, name)?.attach(tracepoint).map(|_| ()))
}

fn program<'a, T>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut T, Error>
where
    &'a mut T: TryFrom<&'a mut Program>,
{
    ebpf.program_mut(name).and_then(|program| program.try_into().ok()).ok_or_else(|| absent(name))
}

fn absent(name: &str) -> Error {
    Error::Unsupported(format!("the built object has no program {name} of this kind"))
}

fn kernel_btf() -> Result<KernelBtf, Error> {
    KernelBtf::from_sys_fs().map_err(|error| Error::Unsupported(format!("the kernel has no readable BTF: {error}")))
}

fn loaded(name: &'static str, result: Result<(), ProgramError>) -> Result<&'static str, Error> {
    result.map(|()| name).map_err(|error| match error {
        ProgramError::LoadError { io_error, verifier_log } => Error::Load {
            program: name.to_owned(),
            reason: io_error.to_string(),
            verifier_log: verifier_log.to_string(),
        },
        other => Error::Load { program: name.to_owned(), reason: chain(&other), verifier_log: String::new() },
    })
}

fn attached(name: &str, result: Result<(), ProgramError>) -> Result<(), Error> {
    result.map_err(|error| Error::Attach { program: name.to_owned(), reason: chain(&error) })
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
}
