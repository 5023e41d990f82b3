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
    load::{Opens, Reader, Renames, open_renamed, open_unique},
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
    /// Measure what an open costs
    Miss,
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
            backends.into_iter().try_for_each(|backend| prove(what, backend, &guest))
        }
        Command::Miss => e2e::bench::miss::measure(),
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
fn prove(what: What, hook: Hook, guest: &Path) -> Result<()> {
    let backend = match hook {
        Hook::Fexit => Backend::Fexit,
        Hook::Kprobe => Backend::Kprobe,
        Hook::RawTracepoint => Backend::RawTracepoint,
    };
    let reader = Reader { ring_bytes: RING_BYTES, pause: Duration::from_millis(1) };
    match what {
        What::Accesses => accesses::prove(backend, guest),
        What::Opens => Opens { threads: 4, each: 5000 }.prove(backend, guest, reader).map(drop),
        What::Renames => Renames { opens: 20_000 }.prove(backend, guest, reader),
    }
}
