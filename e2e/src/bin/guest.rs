//! The program that proves the sensor, in a test machine and on this one, and the program that it watches doing so.

use std::{
    env,
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use clap::{FromArgMatches as _, Parser, Subcommand, ValueEnum as _};
use e2e::{
    accesses::{self, RING_BYTES},
    cgroup::namespace,
    load::{
        self, Account, Attack, Hostile, Opens, Paced, Reader, Renames, open_files, open_paced, open_renamed,
        prove_changes, prove_clock, prove_hotplug, prove_repeats, prove_restarts, prove_swap,
    },
    privileges::{self, Limited},
    puppet, simulated,
    vm::{Facts, Outcome, Verdict, backend},
    watched,
};
use inotrail::event::Backend;
use rustix::{
    mount::{MountFlags, MountPropagationFlags, mount, mount_change},
    thread::UnshareFlags,
};

#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell what kind of machine this is, and which backends work
    Facts {
        #[arg(long = "backend", value_parser = backend)]
        backends: Vec<Backend>,
    },
    /// Prove that backends tell the truth
    Prove {
        #[arg(long = "backend", value_parser = backend, global = true)]
        backends: Vec<Backend>,
        #[command(subcommand)]
        what: What,
    },
    /// Measure what a build costs
    Compile,
    /// Measure what a record costs
    Hook,
    /// Measure what an open costs
    Miss {
        /// Only of programs that have a goal
        #[arg(long)]
        with_goal: bool,
    },
    /// Open a file over and over, and say what that took
    Opens,
    /// Start the sensor with a few capabilities only
    Limited(Limited),
    /// Be the exporter
    Exporter {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Look for cgroups from a cgroup namespace of its own
    Namespaced {
        /// Path of the cgroup around
        pod: PathBuf,
        /// Where the files of the cgroup are that is to be the namespace's root
        own: PathBuf,
        /// A process in the cgroup `other` beside it
        pid: u32,
    },
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

/// The name by which this program is the exporter.
const EXPORTER: &str = "inotrail";
/// Where a machine's maps and programs are pinned.
const PINS: &str = "/sys/fs/bpf/inotrail";

#[derive(Debug, Subcommand)]
enum Deed {
    /// Perform one case of the golden list
    Access { case: String },
    /// Open files that no one else opens, or so many that all open
    Opens(Opens),
    /// Open files at a steady rate
    Paced(Paced),
    /// Open files whose names change
    Renames { opens: usize },
    /// Try to make the sensor tell of another file
    Hostile { attack: Attack, opens: usize },
    /// Do what is asked for
    Puppet,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum What {
    /// The golden list of accesses
    Accesses,
    /// The golden list of mutations
    Mutations,
    /// The golden lists behind a filter of policies
    Filtered,
    /// That a cgroup is told of, or not, from the next access on
    Scopes,
    /// That watched files are reported by whatever name
    Watched,
    /// That the books close under load
    Opens {
        #[arg(long)]
        threads: usize,
        /// Opens of each thread
        #[arg(long)]
        each: usize,
    },
    /// That they close where nearly all is counted, because the ring is small
    Ledger {
        #[arg(long)]
        threads: usize,
        /// Opens of each thread
        #[arg(long)]
        each: usize,
    },
    /// That equal accesses are told or counted
    Repeats {
        #[arg(long)]
        threads: usize,
        /// Opens of each thread
        #[arg(long)]
        each: usize,
    },
    /// That renames tear no path
    Renames {
        #[arg(long)]
        opens: usize,
    },
    /// That exporters may come and go
    Restarts {
        #[arg(long)]
        each: usize,
    },
    /// That the books close while policies change all the time
    Changes {
        #[arg(long)]
        each: usize,
    },
    /// That kprobe takes over from fexit
    Swap {
        #[arg(long)]
        each: usize,
    },
    /// That exactly the capabilities that are named are needed
    Privileges,
    /// That cgroups are found from a cgroup namespace of its own
    Namespace,
    /// That lockdown for confidentiality is named
    Lockdown,
    /// That the calendar may be set back meanwhile
    Clock,
    /// That nothing is lost where the calendar jumps while records wait
    Jumps,
    /// That nothing is lost where the destination is away for an hour
    Away,
    /// That the image's program runs
    Image,
    /// That the books close when a CPU goes and comes back
    Hotplug,
    /// That no other thread makes it tell of another file
    Hostile {
        #[arg(long)]
        opens: usize,
    },
}

fn main() -> Result<()> {
    if env::args_os().next().is_some_and(|name| name == EXPORTER) {
        return run();
    }
    match Args::parse().command {
        Command::Facts { backends } => facts(&backends),
        Command::Prove { what, backends } => {
            let guest = env::current_exe().context("find this program")?;
            let failed = backends.iter().try_fold(0, |failed, backend| {
                let outcome = outcome(what.prove(*backend, &guest));
                let fails = usize::from(matches!(outcome, Outcome::Fail(_)));
                Verdict { backend: backend.as_str().to_owned(), outcome }.say().map(|()| failed + fails)
            })?;
            ensure!(failed == 0, "{failed} of {} backends failed", backends.len());
            Ok(())
        }
        Command::Compile => e2e::bench::compile::measure(),
        Command::Hook => e2e::bench::hook::measure(),
        Command::Miss { with_goal } => e2e::bench::miss::measure(if with_goal {
            e2e::bench::miss::Programs::WithGoal
        } else {
            e2e::bench::miss::Programs::All
        }),
        Command::Opens => e2e::bench::miss::opens_alone(),
        Command::Limited(limited) => limited.run(),
        Command::Exporter { arguments } => {
            let guest = env::current_exe().context("find this program")?;
            // Under the exporter's name, because that reads its own arguments again when its configuration changes.
            Err(process::Command::new(guest).arg0(EXPORTER).args(arguments).exec()).context("run the exporter")
        }
        Command::Namespaced { pod, own, pid } => namespace::look(&pod, &own, pid),
        Command::Watched { base, procs, deed } => be_watched(&base, &procs, &deed),
    }
}

/// As the program `inotrail` does it: a machine has no other program than this one.
fn run() -> Result<()> {
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).init();
    let matches = inotrail::config::command().get_matches();
    inotrail::cli::execute(inotrail::config::args::Args::from_arg_matches(&matches)?.command)?;
    Ok(())
}

/// What works here. That something does not is no failure: the harness knows what must.
fn facts(backends: &[Backend]) -> Result<()> {
    let facts = Facts::ask()?;
    facts.say()?;
    for backend in backends {
        let refused = facts.of(*backend).and_then(|facts| facts.refused.clone());
        let outcome = refused.map_or_else(|| Outcome::Pass("works".to_owned()), Outcome::NotApplicable);
        Verdict { backend: backend.as_str().to_owned(), outcome }.say()?;
    }
    Ok(())
}

fn outcome(result: Result<String>) -> Outcome {
    match result {
        Ok(done) => Outcome::Pass(done),
        Err(error) => Outcome::Fail(format!("{error:#}")),
    }
}

#[expect(deprecated, reason = "the safe call: only unsharing descriptors is unsafe, and this does not")]
fn be_watched(base: &Path, procs: &Path, deed: &Deed) -> Result<()> {
    // Mounts of its own, which go with it.
    rustix::thread::unshare(UnshareFlags::NEWNS).context("unshare the mount namespace")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).context("make the mounts private")?;
    mount("tmpfs", base, "tmpfs", MountFlags::empty(), None).context("mount a tmpfs")?;
    match deed {
        Deed::Access { case } => accesses::access(case, base, procs),
        Deed::Opens(opens) => open_files(*opens, base, procs),
        Deed::Paced(paced) => open_paced(*paced, base, procs),
        Deed::Renames { opens } => open_renamed(Renames { opens: *opens }, base, procs),
        Deed::Puppet => puppet::obey(base, procs),
        Deed::Hostile { attack, opens } => load::attack(Hostile { attack: *attack, opens: *opens }, base, procs),
    }
}

/// The account of opens in a few words.
fn told(opens: Opens, account: Account) -> String {
    let Account { events, ring_full, unseen, .. } = account;
    format!("{} opens: {events} told, {ring_full} counted, {unseen} missed", opens.threads * opens.each)
}

impl What {
    /// Says in a few words what was done.
    fn prove(self, backend: Backend, guest: &Path) -> Result<String> {
        let reader = Reader { ring_bytes: RING_BYTES, pause: Duration::from_millis(1) };
        match self {
            Self::Accesses => Ok(format!("all {}", accesses::prove(backend, guest)?)),
            Self::Mutations => Ok(format!("all {}", accesses::prove_mutations(backend, guest)?)),
            Self::Filtered => accesses::prove_filtered(backend, guest),
            Self::Scopes => accesses::prove_scopes(backend),
            Self::Watched => {
                let mut exporter = process::Command::new(guest);
                exporter.arg("exporter");
                watched::prove(backend, exporter, guest, &accesses::base())
            }
            Self::Opens { threads, each } => {
                let opens = Opens { files: 64, ..Opens::new(threads, each) };
                Ok(told(opens, opens.prove(backend, guest, reader)?))
            }
            Self::Ledger { threads, each } => {
                let opens = Opens { files: 64, ..Opens::new(threads, each) };
                let slow = Reader { ring_bytes: 64 << 10, pause: Duration::from_millis(20) };
                let counted = opens.prove(backend, guest, slow)?;
                // More files than the ledger has room for: counted by cgroup alone.
                Opens { each: each / 40, files: 0, ..opens }.prove(backend, guest, slow)?;
                Ok(told(opens, counted))
            }
            Self::Repeats { threads, each } => {
                prove_repeats(Opens { files: 64, ..Opens::new(threads, each) }, backend, guest, reader)
            }
            Self::Restarts { each } => {
                prove_restarts(backend, guest, Path::new(PINS), Opens { pause_ms: 5, ..Opens::new(8, each) })
            }
            Self::Changes { each } => {
                prove_changes(Opens { files: 64, ..Opens::new(8, each) }, backend, guest, Path::new(PINS), reader)
            }
            Self::Swap { each } => prove_swap(guest, Opens::new(8, each)),
            Self::Privileges => privileges::prove(backend, guest),
            Self::Namespace => namespace::prove(guest),
            Self::Lockdown => privileges::prove_lockdown(backend, guest),
            Self::Clock => {
                prove_clock(Opens::new(2, 2500), backend, guest, reader)?;
                Ok("set back by an hour".to_owned())
            }
            Self::Jumps => simulated::prove_jumps(backend, guest),
            Self::Away => simulated::prove_away(backend, guest),
            Self::Image => simulated::prove_image(backend, guest),
            Self::Hotplug => {
                prove_hotplug(Opens::new(4, 1000), backend, guest, reader)?;
                Ok("one of two CPUs, again and again".to_owned())
            }
            Self::Hostile { opens } => {
                for attack in Attack::value_variants() {
                    Hostile { attack: *attack, opens }.prove(backend, guest, reader)?;
                }
                Ok(format!("{opens} opens under each of {} attacks", Attack::value_variants().len()))
            }
            Self::Renames { opens } => {
                Renames { opens }.prove(backend, guest, reader)?;
                Ok(format!("{opens} opens"))
            }
        }
    }
}
