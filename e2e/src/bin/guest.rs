//! The program that proves the sensor, in a test machine and on this one, and the program that it watches doing so.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};
use e2e::{
    accesses::{self, RING_BYTES},
    load::{Opens, Reader, Renames, open_renamed, open_unique, prove_restarts, prove_swap},
    privileges::{self, Limited},
};
use inotrail::event::Backend;
use rustix::mount::{MountFlags, mount};

#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prove that backends tell the truth
    Prove { what: What, backends: Vec<Hook> },
    /// Start the sensor with a few capabilities only
    Limited(Limited),
    /// Be watched
    Watched {
        /// Where to mount a file system for the files
        base: PathBuf,
        /// The file by which a process enters the cgroup that is watched
        procs: PathBuf,
        #[command(subcommand)]
        deed: Deed,
    },
}

#[derive(Debug, Subcommand)]
enum Deed {
    /// Perform one case of the golden list
    Access { case: String },
    /// Open files that no one else opens
    Opens { threads: usize, each: usize },
    /// Open files whose names change
    Renames { opens: usize },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// The golden list of accesses
    Accesses,
    /// That the books close under load
    Opens,
    /// That renames tear no path
    Renames,
    /// That exactly what is needed is needed
    Privileges,
    /// That lockdown for confidentiality is named
    Lockdown,
    /// That exporters may come and go
    Restarts,
    /// That kprobe takes over from fexit
    Swap,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Hook {
    Fexit,
    Kprobe,
    RawTracepoint,
}

fn main() -> Result<()> {
    match Args::parse().command {
        Command::Prove { what, backends } => {
            let guest = env::current_exe().context("find this program")?;
            let backends: Vec<_> = backends.into_iter().map(Backend::from).collect();
            prove(what, &backends, &guest)
        }
        Command::Limited(limited) => limited.run(),
        Command::Watched { base, procs, deed } => {
            mount("tmpfs", &base, "tmpfs", MountFlags::empty(), None).context("mount a tmpfs")?;
            match deed {
                Deed::Access { case } => accesses::access(&case, &base, &procs),
                Deed::Opens { threads, each } => open_unique(Opens { threads, each }, &base, &procs),
                Deed::Renames { opens } => open_renamed(Renames { opens }, &base, &procs),
            }
        }
    }
}

/// With loads for an emulated machine.
fn prove(what: What, backends: &[Backend], guest: &Path) -> Result<()> {
    let reader = Reader { ring_bytes: RING_BYTES, pause: Duration::from_millis(1) };
    let each = |prove: &dyn Fn(Backend) -> Result<()>| backends.iter().copied().try_for_each(prove);
    match what {
        What::Accesses => each(&|backend| accesses::prove(backend, guest)),
        What::Opens => each(&|backend| Opens { threads: 4, each: 5000 }.prove(backend, guest, reader).map(drop)),
        What::Renames => each(&|backend| Renames { opens: 20_000 }.prove(backend, guest, reader)),
        What::Privileges => privileges::prove(backends, guest),
        What::Lockdown => privileges::prove_lockdown(backends, guest),
        What::Restarts => each(&|backend| {
            prove_restarts(backend, guest, Path::new("/sys/fs/bpf/inotrail"), Opens { threads: 8, each: 25_000 })
        }),
        What::Swap => prove_swap(guest, Opens { threads: 8, each: 25_000 }),
    }
}

impl From<Hook> for Backend {
    fn from(hook: Hook) -> Self {
        match hook {
            Hook::Fexit => Self::Fexit,
            Hook::Kprobe => Self::Kprobe,
            Hook::RawTracepoint => Self::RawTracepoint,
        }
    }
}
