//! The writer of the table of containers: hears of cgroups, asks the runtime, shows the result.

mod asking;
mod decoys;
mod files;
mod mounts;
mod record;
mod tree;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch as value};
use tokio::time::{Instant as Alarm, sleep, sleep_until};

use super::KernelFilter;
use super::Source;
use super::announcement::{Announced, Said};
use super::cgroup::{Hierarchy, SCAN_MAX};
use super::channel::ANSWER_WITHIN;
use super::known::Known;
use super::mounts::MountQueue;
use super::path::Candidate;
use super::pods::{PodNews, Pods};
use super::questions::{Answer, Questions};
use super::runtime::{Link, State};
use super::table::{Key, Metadata, Table};
use super::watched::FileQueue;
use crate::decoy::Wanted;
use crate::metrics::Metrics;
use crate::policy::PolicySet;
pub(super) use tree::Scan;
use tree::{Scanning, finished};

/// Changes taken in between two snapshots.
const CHANGES_MAX: usize = 1024;
/// Scans follow each other no faster.
const SCAN_EVERY: Duration = Duration::from_millis(500);
/// A container without a name is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// Files that rules name are looked for again: nobody tells when one is replaced and not accessed.
const FILES_AGAIN: Duration = Duration::from_secs(10);
/// How often deadlines are looked at: while mounts are to be read, while names are awaited, and else for the dead alone.
const TICKS: [Duration; 3] = [Duration::from_millis(20), Duration::from_millis(100), Duration::from_secs(5)];

/// What the sensor saw.
#[derive(Debug)]
pub(super) enum Change {
    Made(u64, Box<[u8]>),
    Released(u64),
    Unknown(u64),
    UnknownMounts(u64),
    StaleFiles(u64),
}

/// Where the task hears from.
#[derive(Debug)]
pub(super) struct Incoming {
    /// The sensor: it ends the task when it is dropped.
    pub(super) changes: mpsc::Receiver<Change>,
    /// Sources that tell by themselves.
    pub(super) said: mpsc::Receiver<Said>,
    /// The tree is to be read again.
    pub(super) rescan: Arc<Notify>,
    /// What is worth an event; nothing: everything.
    pub(super) policies: Option<value::Receiver<Arc<PolicySet>>>,
}

#[derive(Debug)]
pub(super) struct Watch {
    hierarchy: Arc<Hierarchy>,
    table: Table,
    known: Known,
    pods: Pods,
    /// `None`: nobody reads what containers have mounted.
    mounts: Option<MountQueue>,
    /// `None`: the same.
    files: Option<FileQueue>,
    /// When all files are looked for again.
    files_at: Alarm,
    /// `None`: the kernel's programs record everything.
    filter: Option<Box<dyn KernelFilter>>,
    /// Whoever makes decoys hears here of containers that are to have some; `None`: nobody.
    decoys: Option<value::Sender<Wanted>>,
    /// Policies of which it was said that their decoys are not made.
    warned: HashSet<String>,
    /// `None`: no runtime is configured.
    questions: Option<Questions>,
    /// Whom the questions are put to.
    asked: Option<Source>,
    /// Sources may tell of containers by themselves, beside the runtime.
    expects_announcements: bool,
    /// How long after a cgroup's birth its records wait for a name.
    resolve_within: Duration,
    scanning: Option<Scanning>,
    scan_wanted: bool,
    /// Ids that nobody knows and that the next scan may find.
    wanted: HashSet<u64>,
    metrics: Arc<Metrics>,
}

impl Watch {
    pub(super) fn new(
        hierarchy: Arc<Hierarchy>,
        table: Table,
        mounts: Option<MountQueue>,
        metrics: Arc<Metrics>,
        (resolve_within, expects_announcements): (Duration, bool),
    ) -> Self {
        Self {
            hierarchy,
            table,
            known: Known::default(),
            pods: Pods::default(),
            files: mounts.as_ref().map(|mounts| FileQueue::new(mounts.reader())),
            files_at: Alarm::now(),
            mounts,
            filter: None,
            decoys: None,
            warned: HashSet::new(),
            questions: None,
            asked: None,
            expects_announcements,
            resolve_within,
            scanning: None,
            scan_wanted: false,
            wanted: HashSet::new(),
            metrics,
        }
    }

    /// What the kernel's programs record follows policies.
    pub(super) fn filtering(self, filter: Option<Box<dyn KernelFilter>>) -> Self {
        Self { filter, ..self }
    }

    /// Who makes decoys is told of containers that are to have some.
    pub(super) fn planting(self, decoys: Option<value::Sender<Wanted>>) -> Self {
        Self { decoys, ..self }
    }

    /// Told while containers wait for what the API server may know of their pods.
    pub(super) fn pods_wanted(&self) -> Arc<Notify> {
        Arc::clone(&self.pods.wanted)
    }

    /// Runs until the sensor's side is dropped.
    pub(super) async fn run(mut self, first: Scan, mut link: Option<Link>, mut incoming: Incoming) {
        self.questions = link.as_ref().map(Questions::new);
        self.asked = link.as_ref().map(|link| link.source);
        self.metrics.health.runtime.set(link.is_none());
        if let Some(policies) = &mut incoming.policies {
            let policies = Arc::clone(&policies.borrow_and_update());
            self.metrics.policies.set(policies.len() as i64);
            self.table.judge_by(policies);
        }
        self.warn_of_decoys();
        self.scanned(Ok(first), &HashSet::new());
        let mut batch = Vec::with_capacity(CHANGES_MAX);
        let mut scan_at = Alarm::now();
        let mut ask_again = Alarm::now() + ASK_AGAIN;
        loop {
            let tick = self.settle();
            tokio::select! {
                count = incoming.changes.recv_many(&mut batch, CHANGES_MAX) => match count {
                    0 => return,
                    _ => batch.drain(..).for_each(|change| self.apply(change)),
                },
                Some(said) = incoming.said.recv() => self.hear(said),
                () = incoming.rescan.notified() => self.scan_wanted = true,
                () = sleep_until(scan_at), if self.scan_wanted && self.scanning.is_none() => {
                    scan_at = Alarm::now() + SCAN_EVERY;
                    self.scan();
                }
                (scan, wanted) = finished(&mut self.scanning) => self.scanned(scan, &wanted),
                answer = next_answer(&mut self.questions) => self.answered(answer),
                read = mounts::next_mounts(&mut self.mounts) => self.table.mounts(read),
                looked = files::next_files(&mut self.files) => self.looked(looked),
                up = next_state(&mut link) => self.connected(up),
                policies = next_policies(&mut incoming.policies) => {
                    self.metrics.policies.set(policies.len() as i64);
                    self.table.judge_by(policies);
                    self.warn_of_decoys();
                }
                () = sleep_until(ask_again) => {
                    ask_again = Alarm::now() + ASK_AGAIN;
                    self.ask_for_unresolved();
                }
                () = sleep(tick) => {}
            }
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Made(id, path) => self.made(id, &path),
            Change::Released(id) => self.released(id),
            Change::UnknownMounts(id) => self.want_mounts(id),
            Change::StaleFiles(id) => {
                if let Some(files) = &mut self.files {
                    files.want(id);
                }
            }
            Change::Unknown(id) if self.table.contains(id) || self.wanted.len() >= SCAN_MAX => {}
            Change::Unknown(id) => {
                self.wanted.insert(id);
                self.scan_wanted = true;
            }
        }
    }

    fn made(&mut self, id: u64, path: &[u8]) {
        if !self.table.made(id, path, Instant::now()) {
            return;
        }
        let candidates = self.table.candidates(id);
        match self.known.find(&candidates).map(|(container, known)| (container.to_owned(), known.clone())) {
            Some((container, (source, metadata))) => self.name(id, container, source, metadata),
            None => self.ask(id, Alarm::now() + self.resolve_within),
        }
    }

    /// A source has told who lives in the cgroup. Where it does not know the image, the runtime may.
    fn name(&mut self, cgroup: u64, container: String, source: Source, metadata: Metadata) {
        let complete = metadata.image.is_some();
        self.assign(cgroup, Key::Container(Candidate::Id(container)), source, metadata);
        if !complete && self.asked.is_some_and(|asked| asked != source) {
            self.ask(cgroup, Alarm::now() + ANSWER_WITHIN);
        }
    }

    fn assign(&mut self, cgroup: u64, key: Key, source: Source, metadata: Metadata) {
        if !self.table.is_named(cgroup) {
            self.metrics.resolved(source).inc();
        }
        self.table.assign(cgroup, key, Some(self.pods.complete(metadata)));
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Here(announced, seen) => {
                self.announced(*announced);
                self.table.publish();
                if let Some(seen) = seen {
                    // Whoever waited may have gone.
                    let _gone = seen.send(());
                }
            }
            Said::Changed(container) => self.updated(container),
            Said::Gone(id) => self.known.gone(id, Instant::now()),
            Said::Pod(news) => self.pod(*news),
            Said::PodGone(uid) => self.pods.gone(uid, Instant::now()),
            Said::OnlyPods(uids) => self.pods.retain(&uids, Instant::now()),
            Said::Namespace(news) => self.table.namespace(news),
        }
    }

    fn announced(&mut self, announced: Announced) {
        let Announced { source, id, metadata, cgroup } = announced;
        self.known.insert(id.clone(), source, metadata.clone());
        let before = cgroup.as_ref().filter(|(cgroup, _)| !self.table.contains(*cgroup));
        if let Some((cgroup, path)) = before {
            // As if the kernel had told: this finds it among the known.
            self.made(*cgroup, path);
        }
        for cgroup in self.table.cgroups_of(&id) {
            // A hook is told less than anybody else.
            if source != Source::Hook || !self.table.is_named(cgroup) {
                self.name(cgroup, id.clone(), source, metadata.clone());
            }
        }
    }

    /// What the API server tells of a pod is new to its containers, even to those that have names.
    fn pod(&mut self, news: PodNews) {
        self.pods.insert(&news);
        let PodNews { pod, hash, containers } = news;
        self.table.describe(hash.as_ref().unwrap_or(&pod.uid), &pod);
        for (id, metadata) in containers {
            if self.known.has_better(&id) {
                continue;
            }
            self.known.insert(id.clone(), Source::Kubernetes, metadata.clone());
            for cgroup in self.table.cgroups_of(&id) {
                if !self.table.is_named(cgroup) {
                    self.name(cgroup, id.clone(), Source::Kubernetes, metadata.clone());
                }
            }
        }
    }

    fn updated(&mut self, container: Candidate) {
        if let Some(cgroup) = self.table.cgroup_of(&Key::Container(container)) {
            self.ask(cgroup, Alarm::now() + ANSWER_WITHIN);
        }
    }

    /// Ends what took too long, and shows the result. Returns when to look again.
    fn settle(&mut self) -> Duration {
        let now = Instant::now();
        self.table.purge(now);
        self.known.purge(now);
        self.pods.purge(now);
        let within = self.resolve_within;
        let is_late = |made: Instant| now.duration_since(made) >= within;
        let late: Vec<_> = self.table.pending().filter(|(_, made)| is_late(*made)).collect();
        for (id, _) in late {
            self.give_up(id);
        }
        let waits = self.table.end_waits(is_late) || self.table.pending().next().is_some();
        if waits {
            self.pods.wanted.notify_one();
        }
        self.read_mounts();
        self.table.publish();
        self.look_for_files();
        self.record();
        self.plant();
        self.metrics.containers.set(self.table.len() as i64);
        self.metrics.containers_excluded.set(self.table.excluded() as i64);
        self.metrics.containers_evicted.inc_by(self.table.take_evicted());
        match &self.mounts {
            Some(mounts) if mounts.is_busy() => TICKS[0],
            _ if waits || self.files.as_ref().is_some_and(FileQueue::is_busy) => TICKS[1],
            _ => TICKS[2],
        }
    }
}

/// Whether the runtime answers, when that has changed.
async fn next_state(link: &mut Option<Link>) -> bool {
    let Some(link) = link else { return std::future::pending().await };
    match link.state.changed().await {
        Ok(()) => matches!(*link.state.borrow(), State::Up(_)),
        Err(_) => std::future::pending().await,
    }
}

async fn next_policies(policies: &mut Option<value::Receiver<Arc<PolicySet>>>) -> Arc<PolicySet> {
    let Some(policies) = policies else { return std::future::pending().await };
    match policies.changed().await {
        Ok(()) => Arc::clone(&policies.borrow_and_update()),
        // Whoever told of them is gone: those in force stay.
        Err(_) => std::future::pending().await,
    }
}

async fn next_answer(questions: &mut Option<Questions>) -> Answer {
    match questions {
        Some(questions) => questions.answer().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
