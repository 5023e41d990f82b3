//! Containers that come and go: each opens a file of its own name first, and whose that was must be told right.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::containerd::{Containerd, Pods, Sandbox};
use crate::exporter::{Attributes, Trace};
use crate::podman::Podman;
use crate::tools::OldContainerd;
use crate::{exporter, interrupt};

mod account;
mod machine;

pub use account::Account;
pub use machine::{Accounts, account_in};

/// How long a container lives.
const LIFE: &str = "0.05";
/// Pods that the containers are in: a name in one is a name in the others too.
const PODS: usize = 5;
/// Progress is shown so often.
const STEP: usize = 100;
const LIMIT: Duration = Duration::from_secs(120);

/// Start containers of 50 ms, many at once, and see whether each one's first access gets its name
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Containers in all
    #[arg(long, default_value_t = 1000)]
    pub containers: usize,
    /// Containers at once
    #[arg(long, default_value_t = 20)]
    pub at_once: usize,
    /// Who names them
    #[arg(long, value_enum, default_value_t = By::Nri)]
    pub by: By,
    /// With --by containerd, cri or nri: by an older containerd
    #[arg(long, value_enum, value_name = "VERSION")]
    pub old: Option<OldContainerd>,
    /// With --by vm: pods of one container, beside so many bare cgroups as there are containers
    #[arg(long, default_value_t = 100)]
    pub pods: usize,
}

/// Who names the containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum By {
    /// containerd, before each starts
    Nri,
    /// containerd, by its own API
    Containerd,
    /// containerd, by CRI
    Cri,
    /// podman, by the OCI hook, before each starts
    Hook,
    /// Nobody: containers are known by their ids
    None,
    /// containerd and the Kubernetes API, on a node in a machine whose kernel takes kprobes
    Vm,
}

impl Args {
    /// Starts them and prints what was told of them.
    ///
    /// # Errors
    /// A container was told of wrongly, or not at all.
    #[expect(clippy::print_stdout, reason = "the answer of this subcommand")]
    pub fn run(self) -> Result<()> {
        let started = Instant::now();
        if self.by == By::Vm {
            let Accounts { bare, pods } = machine::account(self.containers, self.pods)?;
            println!("on a node in a machine, by kprobe");
            println!("bare cgroups: {bare}\npods: {pods}; {} s", started.elapsed().as_secs());
            bare.check(self.by)?;
            return pods.check(self.by);
        }
        let account = self.account()?;
        println!("{} containers of {LIFE} s, {} at once, named by {:?}", self.containers, self.at_once, self.by);
        println!("{account}; {} s", started.elapsed().as_secs());
        account.check(self.by)
    }

    /// Starts them on this system and compares what was told with what was done.
    ///
    /// # Errors
    /// A container cannot be started.
    pub fn account(&self) -> Result<Account> {
        if self.by == By::Hook { self.podman() } else { self.containerd() }
    }

    fn containerd(&self) -> Result<Account> {
        let containerd = match self.old {
            Some(which) => Containerd::old_with_cri(which)?,
            None => Containerd::with_cri(None)?,
        };
        let pods = Pods::new(&containerd)?;
        let sandboxes: Vec<Sandbox<'_>> = (0..PODS)
            .map(|pod| pods.pod("churn", &format!("pod-{pod}"), &format!("uid-{pod}")))
            .collect::<Result<_>>()?;
        let (nri, socket) = (containerd.nri_socket(), containerd.socket.clone());
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let arguments = match self.by {
            By::Nri => vec!["--runtime".to_owned(), "none".to_owned(), "--nri-socket".to_owned(), text(&nri)],
            By::Containerd => {
                vec!["--runtime".to_owned(), "containerd".to_owned(), "--runtime-socket".to_owned(), text(&socket)]
            }
            By::Cri => vec!["--runtime".to_owned(), "cri".to_owned(), "--runtime-socket".to_owned(), text(&socket)],
            By::None | By::Hook | By::Vm => vec!["--runtime".to_owned(), "none".to_owned()],
        };
        let ready = match self.by {
            By::Nri => "told of containers before they start",
            By::Containerd | By::Cri => "connected to",
            By::None | By::Hook | By::Vm => "watching by",
        };
        let trace = trace(&arguments, &containerd.cgroup().to_string_lossy(), ready)?;
        let start = |name: &str| {
            let pod = &sandboxes[name.len() % PODS];
            pod.run(name, &["/bin/sh", "-c", &script(name)], LIMIT)
        };
        let ids = self.start(start)?;
        account(trace, &ids, "k8s.container.name")
    }

    fn podman(&self) -> Result<Account> {
        let podman = Podman::start()?;
        let socket = podman.path().join("hook.sock");
        podman.install_hook(&exporter::binary()?, &socket)?;
        let arguments = ["--runtime", "none", "--hook-socket", &socket.to_string_lossy()].map(str::to_owned);
        let trace = trace(&arguments, &podman.cgroup().to_string_lossy(), "watching by")?;
        interrupt::wait_for("the hook's socket", LIMIT, || Ok(socket.exists().then_some(())))?;
        let start = |name: &str| podman.run_to_end(name, &["/bin/sh", "-c", &script(name)]);
        let ids = self.start(start)?;
        account(trace, &ids, "container.name")
    }

    /// Ids by name.
    fn start(&self, start: impl Fn(&str) -> Result<String> + Sync) -> Result<HashMap<String, String>> {
        let (next, ids) = (AtomicUsize::new(0), Mutex::new(HashMap::new()));
        let work = || -> Result<()> {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= self.containers {
                    return Ok(());
                }
                ensure!(!interrupt::requested(), "interrupted");
                let name = format!("churn-{number}");
                let id = start(&name).with_context(|| name.clone())?;
                let mut ids = ids.lock().unwrap_or_else(PoisonError::into_inner);
                ids.insert(name, id);
                if ids.len().is_multiple_of(STEP) {
                    eprintln!("{} of {} containers", ids.len(), self.containers);
                }
            }
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..self.at_once).map(|_| scope.spawn(work)).collect();
            let results = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            results.collect::<Result<Vec<()>>>()
        })?;
        Ok(ids.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The very first act is to make a file of the container's name.
fn script(name: &str) -> String {
    format!(": > /tmp/{name}; sleep {LIFE}")
}

fn trace(arguments: &[String], cgroup: &str, ready: &str) -> Result<Trace> {
    let fixed = ["--cgroup-root", cgroup, "--path", "/tmp/churn-*"];
    let arguments: Vec<_> = fixed.into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let trace = Trace::start(&arguments)?;
    trace.wait_for_log("watching by", 1)?;
    trace.wait_for_log(ready, 1)?;
    Ok(trace)
}

/// Ends the trace, which lets go of everything that it holds.
fn account(mut trace: Trace, ids: &HashMap<String, String>, name: &str) -> Result<Account> {
    // The last one's event waits for its name at most so long.
    let last = |event: &Attributes| event["file.path"] == format!("/tmp/churn-{}", ids.len() - 1);
    trace.find("the last container", last)?;
    trace.daemon.stop();
    let log = trace.daemon.log();
    let dropped = log.lines().rev().find_map(|line| line.strip_prefix("inotrail: ")?.split_once("; "));
    let dropped = dropped.map_or("it did not say", |(_, dropped)| dropped).to_owned();
    Ok(Account::of(&trace.events(), ids, name, dropped))
}
