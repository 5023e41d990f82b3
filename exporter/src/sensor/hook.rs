//! Programs and the places where they hook the kernel: loading, attaching, taking over what an earlier run left.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use aya::Ebpf;
use aya::programs::kprobe::KProbeLink;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{BtfTracePoint, FExit, KProbe, ProbeKind, Program, ProgramError, ProgramFd, RawTracePoint};

use super::backend::{CONFIDENTIAL, Error, chain};
use super::layout::{Features, IoUring};
use super::mutations;
use super::pins::Pins;
use super::privileges;
use super::types::Types;
use crate::event::Backend;

/// The function that fexit and kprobe hook.
pub(super) const FUNCTION: &str = "inode_permission";
/// The tracepoint with typed arguments.
pub(super) const SYS_EXIT: &str = "sys_exit";

/// The first kernel on which the link of a kprobe can be pinned (5.15: `BPF_LINK_TYPE_PERF_EVENT`).
pub(super) const KPROBE_PINS: (u32, u32) = (5, 15);

/// One program and where it hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    /// Name in the object.
    pub(super) program: &'static str,
    place: Place,
}

/// Where a program hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The return of a function.
    Fexit(&'static str),
    /// The entry of a function.
    Kprobe(&'static str),
    /// A tracepoint.
    Tracepoint(&'static str),
    /// A tracepoint, with typed arguments.
    TypedTracepoint(&'static str),
}

/// Programs of cgroups and processes: what records of accesses refer to.
pub(super) const TABLES: [Hook; 5] = [
    Hook::tracepoint("cgroup_mkdir", "cgroup_mkdir"),
    Hook::tracepoint("cgroup_release", "cgroup_release"),
    Hook::tracepoint("process_fork", "sched_process_fork"),
    Hook::tracepoint("process_exec", "sched_process_exec"),
    Hook::tracepoint("process_exit", "sched_process_exit"),
];

/// Every program that reports accesses, of whichever backend.
const ACCESSES: [Hook; 8] = [
    Hook { program: "fexit_2", place: Place::Fexit(FUNCTION) },
    Hook { program: "fexit_3", place: Place::Fexit(FUNCTION) },
    Hook { program: "kprobe_2", place: Place::Kprobe(FUNCTION) },
    Hook { program: "kprobe_3", place: Place::Kprobe(FUNCTION) },
    Hook { program: "sys_exit_btf", place: Place::TypedTracepoint(SYS_EXIT) },
    Hook::tracepoint("sys_exit_raw", "sys_exit"),
    Hook::tracepoint("io_uring_complete_cqe", "io_uring_complete"),
    Hook::tracepoint("io_uring_complete_result", "io_uring_complete"),
];

impl Hook {
    const fn tracepoint(program: &'static str, tracepoint: &'static str) -> Self {
        Self { program, place: Place::Tracepoint(tracepoint) }
    }

    /// A program for the return of a function.
    pub(super) const fn fexit(program: &'static str, function: &'static str) -> Self {
        Self { program, place: Place::Fexit(function) }
    }

    /// A program for the entry of a function.
    pub(super) const fn kprobe(program: &'static str, function: &'static str) -> Self {
        Self { program, place: Place::Kprobe(function) }
    }

    /// The hook of a program by its name.
    pub(super) fn named(program: &str) -> Option<Self> {
        let known = TABLES.into_iter().chain(ACCESSES).find(|hook| hook.program == program);
        known.or_else(|| match mutations::place(program)? {
            mutations::Place::Return(program, function) => Some(Self::fexit(program, function)),
            mutations::Place::Entry(program, function) => Some(Self::kprobe(program, function)),
        })
    }

    /// Whether its records are accesses.
    pub(super) fn reports_accesses(self) -> bool {
        !TABLES.contains(&self)
    }

    /// Lets the verifier see the program, if it has not yet.
    ///
    /// # Errors
    /// The kernel lacks something or refuses the program.
    pub(super) fn load(self, ebpf: &mut Ebpf, types: &mut Types) -> Result<(), Error> {
        let name = self.program;
        let result = match self.place {
            Place::Fexit(function) => program::<FExit>(ebpf, name)?.load(function, types.get()?),
            Place::Kprobe(_) => program::<KProbe>(ebpf, name)?.load(),
            Place::Tracepoint(_) => program::<RawTracePoint>(ebpf, name)?.load(),
            Place::TypedTracepoint(tracepoint) => program::<BtfTracePoint>(ebpf, name)?.load(tracepoint, types.get()?),
        };
        loaded(name, result)
    }

    /// Attaches the loaded program.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn attach(self, ebpf: &mut Ebpf) -> Result<Attached, Error> {
        let link = self.link(ebpf).map_err(|error| match error {
            LinkError::Absent(error) => error,
            LinkError::Refused(error) => Error::Attach { program: self.program.to_owned(), reason: refusal(&error) },
        })?;
        let program = ebpf.program(self.program).ok_or_else(|| absent(self.program))?;
        let descriptor =
            program.fd().map_err(|error| failed(self.program, &error)).and_then(|fd| own(self.program, fd))?;
        Ok(Attached { hook: self, link, program: descriptor })
    }

    fn link(self, ebpf: &mut Ebpf) -> Result<Link, LinkError> {
        let name = self.program;
        Ok(match self.place {
            Place::Fexit(_) => {
                let program = program::<FExit>(ebpf, name)?;
                let id = program.attach()?;
                Link::Plain(program.take_link(id)?.into())
            }
            Place::Kprobe(function) => {
                let program = program::<KProbe>(ebpf, name)?;
                let id = program.attach(function, 0)?;
                Link::Kprobe(program.take_link(id)?)
            }
            Place::Tracepoint(tracepoint) => {
                let program = program::<RawTracePoint>(ebpf, name)?;
                let id = program.attach(tracepoint)?;
                Link::Plain(program.take_link(id)?.into())
            }
            Place::TypedTracepoint(_) => {
                let program = program::<BtfTracePoint>(ebpf, name)?;
                let id = program.attach()?;
                Link::Plain(program.take_link(id)?.into())
            }
        })
    }
}

/// Programs of one backend, the tables first.
///
/// # Errors
/// The kernel lacks what the backend hooks.
pub(super) fn hooks(backend: Backend, features: &Features) -> Result<Vec<Hook>, Error> {
    let arity = || {
        if !features.nameidata {
            return Err(Error::Unsupported("this kernel's type information lacks task_struct.nameidata".to_owned()));
        }
        features
            .inode_permission
            .ok_or_else(|| Error::Unsupported("this kernel's inode_permission has a form that is not known".to_owned()))
    };
    let io_uring = features.io_uring.map(|form| match form {
        IoUring::Entry => "io_uring_complete_cqe",
        IoUring::Result => "io_uring_complete_result",
    });
    let names = match backend {
        Backend::Fexit => vec![if arity()? == 2 { "fexit_2" } else { "fexit_3" }],
        Backend::Kprobe => vec![if arity()? == 2 { "kprobe_2" } else { "kprobe_3" }],
        Backend::RawTracepoint => io_uring.into_iter().chain(["sys_exit_btf"]).collect(),
    };
    Ok(TABLES.into_iter().chain(names.into_iter().filter_map(Hook::named)).collect())
}

/// Loads a backend's programs. Returns the hooks as they will be attached.
///
/// # Errors
/// The kernel lacks something or refuses a program.
pub(super) fn load(
    ebpf: &mut Ebpf,
    backend: Backend,
    features: &Features,
    types: &mut Types,
) -> Result<Vec<Hook>, Error> {
    let mut hooks = hooks(backend, features)?;
    for hook in &mut hooks {
        let result = hook.load(ebpf, types);
        // The typed twin costs every system call less; kernels before 5.11, or without type information, take the other.
        if result.is_err()
            && let Place::TypedTracepoint(tracepoint) = hook.place
        {
            *hook = Hook::tracepoint("sys_exit_raw", tracepoint);
            hook.load(ebpf, types)?;
        } else {
            result?;
        }
    }
    Ok(hooks)
}

/// A program that the kernel runs. Dropping it detaches the program, unless its link is pinned.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) hook: Hook,
    link: Link,
    /// For its statistics.
    pub(super) program: OwnedFd,
}

#[derive(Debug)]
enum Link {
    Plain(FdLink),
    Kprobe(KProbeLink),
    Pinned(PinnedLink),
}

impl Attached {
    /// Lets the program stay attached when this process ends. Where the kernel cannot pin a kprobe's link (before 5.15 it is
    /// a perf event, and trying destroys it) nothing changes.
    ///
    /// # Errors
    /// The file system refuses. The program is detached then.
    pub(super) fn pin(self, pins: &Pins, ebpf: &mut Ebpf, kprobes: bool) -> Result<Self, Error> {
        let Self { hook, link, program } = self;
        let name = hook.program;
        let refused = |error: &dyn std::error::Error| Error::Attach {
            program: name.to_owned(),
            reason: format!("its link cannot be pinned in {}: {}", pins.folder().display(), chain(error)),
        };
        let link = match link {
            Link::Plain(link) => link,
            Link::Kprobe(link) if kprobes => FdLink::try_from(link).map_err(|error| refused(&error))?,
            link => return Ok(Self { hook, link, program }),
        };
        let file = ebpf.program_mut(name).ok_or_else(|| absent(name))?;
        file.pin(pins.program(name)).map_err(|error| refused(&error))?;
        let link = link.pin(pins.link(name)).map_err(|error| refused(&error))?;
        Ok(Self { hook, link: Link::Pinned(link), program })
    }

    /// Takes over the program that an earlier run left attached; nothing where it left none of this name.
    pub(super) fn adopt(hook: Hook, pins: &Pins) -> Option<Self> {
        let link = PinnedLink::from_pin(pins.link(hook.program)).ok()?;
        let path = pins.program(hook.program);
        let name = hook.program;
        let program = match hook.place {
            Place::Fexit(_) => own(name, FExit::from_pin(path).ok()?.fd().ok()?),
            Place::Kprobe(_) => own(name, KProbe::from_pin(path, ProbeKind::Entry).ok()?.fd().ok()?),
            Place::Tracepoint(_) => own(name, RawTracePoint::from_pin(path).ok()?.fd().ok()?),
            Place::TypedTracepoint(_) => own(name, BtfTracePoint::from_pin(path).ok()?.fd().ok()?),
        };
        Some(Self { hook, link: Link::Pinned(link), program: program.ok()? })
    }

    /// Whether the program stays attached when this process ends.
    pub(super) const fn is_pinned(&self) -> bool {
        matches!(self.link, Link::Pinned(_))
    }

    /// Detaches the program for good; this may take seconds.
    ///
    /// # Errors
    /// The link's file cannot be removed, and the program stays attached.
    pub(super) fn detach(self, pins: Option<&Pins>) -> io::Result<()> {
        // The file keeps the link alive as much as the descriptor does.
        if let Link::Pinned(link) = self.link {
            drop(link.unpin()?);
            if let Some(pins) = pins {
                std::fs::remove_file(pins.program(self.hook.program))?;
            }
        }
        Ok(())
    }
}

fn refusal(error: &ProgramError) -> String {
    let denied = matches!(error, ProgramError::SyscallError(error)
        if error.call == "perf_event_open" && error.io_error.kind() == io::ErrorKind::PermissionDenied);
    denied.then(privileges::kprobe_refusal).flatten().unwrap_or_else(|| chain(error))
}

/// Why there is no link.
enum LinkError {
    Absent(Error),
    Refused(ProgramError),
}

impl From<Error> for LinkError {
    fn from(error: Error) -> Self {
        Self::Absent(error)
    }
}

impl From<ProgramError> for LinkError {
    fn from(error: ProgramError) -> Self {
        Self::Refused(error)
    }
}

fn own(name: &'static str, descriptor: &ProgramFd) -> Result<OwnedFd, Error> {
    descriptor.as_fd().try_clone_to_owned().map_err(|error| failed(name, &error))
}

pub(super) fn failed(name: &str, error: &dyn std::error::Error) -> Error {
    Error::Load { program: name.to_owned(), reason: chain(error), verifier_log: String::new() }
}

pub(super) fn program<'a, T>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut T, Error>
where
    &'a mut T: TryFrom<&'a mut Program>,
{
    ebpf.program_mut(name).and_then(|program| program.try_into().ok()).ok_or_else(|| absent(name))
}

fn absent(name: &str) -> Error {
    Error::Unsupported(format!("the built object has no program {name} of this kind"))
}

pub(super) fn loaded(name: &'static str, result: Result<(), ProgramError>) -> Result<(), Error> {
    result.or_else(|error| match error {
        // An earlier attempt has loaded it: the tables' programs serve every backend.
        ProgramError::AlreadyLoaded => Ok(()),
        ProgramError::LoadError { verifier_log, .. } if may_not_read(&verifier_log.to_string()) => {
            Err(Error::Unsupported(CONFIDENTIAL.to_owned()))
        }
        ProgramError::LoadError { io_error, verifier_log } => Err(Error::Load {
            program: name.to_owned(),
            reason: io_error.to_string(),
            verifier_log: verifier_log.to_string(),
        }),
        other => Err(failed(name, &other)),
    })
}

/// Lockdown for confidentiality takes these helpers away; a container cannot see it otherwise.
fn may_not_read(verifier_log: &str) -> bool {
    ["unknown func bpf_probe_read", "cannot use helper bpf_probe_read"].iter().any(|line| verifier_log.contains(line))
}
