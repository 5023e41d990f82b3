mod filter;

use std::fs;
use std::path::{Path, PathBuf};

use super::super::{Api, CgroupEvents, ContainerConfig, Containers, MountReader, Origin, RuntimeConfig, spawn};
use super::*;

const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const RESOLVE_WITHIN: Duration = Duration::from_secs(2);

/// A directory in place of a cgroup tree.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Self {
        let root = std::env::temp_dir().join(format!("inotrail-watch-{name}-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        Self(root)
    }

    fn add(&self, path: &str) -> u64 {
        fs::create_dir_all(self.0.join(path)).unwrap();
        Hierarchy::at(&self.0).id_of(Path::new(path)).unwrap()
    }

    fn config(&self, socket: Option<PathBuf>) -> ContainerConfig {
        let runtime = socket.map(|socket| RuntimeConfig { api: Api::Containerd, socket, required: false });
        ContainerConfig {
            hierarchy: Hierarchy::at(&self.0),
            runtime,
            hook: None,
            kube: None,
            nri: None,
            mounts: None,
            policies: None,
            filter: None,
            decoys: None,
            resolve_within: RESOLVE_WITHIN,
        }
    }

    fn watch(&self, containers: &Containers) -> Watch {
        let hierarchy = Arc::new(Hierarchy::at(&self.0));
        Watch::new(hierarchy, Table::new(containers.clone(), false), None, Arc::default(), (RESOLVE_WITHIN, false))
    }

    fn spawn(&self, socket: Option<PathBuf>) -> (Containers, CgroupEvents, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::default());
        let config = self.config(socket);
        let (containers, events) = spawn(config, Arc::clone(&metrics), &tokio::runtime::Handle::current()).unwrap();
        (containers, events, metrics)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

async fn origin(containers: &Containers, id: u64) -> Origin {
    let known = async {
        loop {
            if let Some(container) = containers.snapshot().get(id) {
                return container.origin.clone();
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), known).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_runtime_everything_is_known_at_once() {
    let tree = Tree::new("none");
    let (unit, container) = (tree.add("system.slice/ssh.service"), tree.add(&format!("docker/{A}")));
    let start = Instant::now();
    let (containers, events, metrics) = tree.spawn(None);
    assert_eq!(origin(&containers, unit).await, Origin::Unit("ssh.service".to_owned()));
    assert_eq!(origin(&containers, container).await, Origin::unresolved(A));
    events.made(u64::MAX, b"/default/web");
    assert_eq!(origin(&containers, u64::MAX).await, Origin::Host);
    assert!(start.elapsed() < RESOLVE_WITHIN);
    assert!(metrics.health.runtime.get());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_is_away_holds_containers_up_and_nobody_else() {
    let tree = Tree::new("away");
    let (containers, events, metrics) = tree.spawn(Some(tree.0.join("no.sock")));
    let start = Instant::now();
    events.made(1 << 40, format!("/docker/{A}").as_bytes());
    events.made(1 << 41, b"/default/web");
    events.made(1 << 42, b"/init.scope");
    assert_eq!(origin(&containers, 1 << 41).await, Origin::Host);
    assert_eq!(origin(&containers, 1 << 42).await, Origin::Unit("init.scope".to_owned()));
    assert!(start.elapsed() < RESOLVE_WITHIN);
    assert_eq!(origin(&containers, 1 << 40).await, Origin::unresolved(A));
    assert!(start.elapsed() >= RESOLVE_WITHIN);
    assert!(!metrics.health.runtime.get());
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_ids_are_looked_for_in_the_tree() {
    let tree = Tree::new("unknown");
    let (containers, events, _) = tree.spawn(None);
    let late = tree.add("late.service");
    events.unknown(late);
    assert_eq!(origin(&containers, late).await, Origin::Unit("late.service".to_owned()));
    events.unknown(u64::MAX);
    assert_eq!(origin(&containers, u64::MAX).await, Origin::unresolved(""));
    let later = tree.add("later.service");
    events.rescan();
    assert_eq!(origin(&containers, later).await, Origin::Unit("later.service".to_owned()));
}

#[tokio::test]
async fn a_full_queue_reads_the_tree_instead() {
    let tree = Tree::new("full");
    let (containers, events, _) = tree.spawn(None);
    // One thread: the task cannot take anything out meanwhile.
    for id in 0..10_000 {
        events.made((1 << 40) + id, b"/flood.service");
    }
    let lost = tree.add("lost.service");
    events.made(lost, b"/lost.service");
    assert_eq!(origin(&containers, lost).await, Origin::Unit("lost.service".to_owned()));
}

#[tokio::test]
async fn a_missing_socket_is_an_error_only_where_it_was_asked_for() {
    let tree = Tree::new("socket");
    let socket = tree.0.join("no.sock");
    let config = |required| {
        let runtime = RuntimeConfig { api: Api::Containerd, socket: socket.clone(), required };
        ContainerConfig { runtime: Some(runtime), ..tree.config(None) }
    };
    let runtime = tokio::runtime::Handle::current();
    let error = spawn(config(true), Arc::default(), &runtime).unwrap_err().to_string();
    assert!(error.contains(socket.to_str().unwrap()), "{error}");
    assert!(spawn(config(false), Arc::default(), &runtime).is_ok());
}

#[tokio::test]
async fn who_is_told_of_waits_for_that_alone() {
    let tree = Tree::new("told");
    let containers = Containers::default();
    let mut watch = tree.watch(&containers);
    watch.expects_announcements = true;
    watch.made(1, format!("/a/{A}").as_bytes());
    watch.made(2, b"/default/web");
    watch.settle();
    assert!(containers.snapshot().get(1).is_none());
    assert_eq!(containers.snapshot().get(2).map(|known| known.origin.clone()), Some(Origin::Host));
    let name = || Origin::Container { id: A.to_owned(), name: "web".to_owned(), runtime: "cri-o", resolved: true };
    let metadata = Metadata { origin: name(), pod: None, image: None };
    let announced = Announced { source: Source::Nri, id: A.to_owned(), metadata, cgroup: None };
    watch.hear(Said::Here(Box::new(announced), None));
    assert_eq!(containers.snapshot().get(1).map(|known| known.origin.clone()), Some(name()));
    assert_eq!(watch.metrics.resolved(Source::Nri).get(), 1);
}

#[tokio::test]
async fn a_question_without_an_answer_ends_by_the_clock() {
    let tree = Tree::new("clock");
    let containers = Containers::default();
    let mut watch = tree.watch(&containers);
    let now = Instant::now();
    assert!(watch.table.made(1, format!("/a/{A}").as_bytes(), now.checked_sub(RESOLVE_WITHIN).unwrap()));
    assert!(watch.table.made(2, format!("/b/{A}").as_bytes(), now));
    assert_eq!(watch.settle(), TICKS[1]);
    assert_eq!(containers.snapshot().get(1).map(|known| known.origin.clone()), Some(Origin::unresolved(A)));
    assert!(containers.snapshot().get(2).is_none());
}

/// Its name is decided when it has long been gone: its events wait for that, and not for what it had mounted.
#[tokio::test]
async fn what_has_gone_waits_for_no_mounts() {
    let tree = Tree::new("gone");
    let containers = Containers::default();
    let mut watch =
        Watch { mounts: Some(MountQueue::new(MountReader::new().unwrap(), RESOLVE_WITHIN)), ..tree.watch(&containers) };
    watch.table = Table::new(containers.clone(), true);
    let id = tree.add(&format!("docker/{A}"));
    watch.expects_announcements = true;
    watch.apply(Change::Made(id, format!("/docker/{A}").as_bytes().into()));
    watch.apply(Change::Released(id));
    watch.settle();
    assert!(containers.snapshot().get(id).is_none(), "it may get a name");
    sleep(RESOLVE_WITHIN).await;
    watch.settle();
    watch.settle();
    assert!(containers.snapshot().get(id).is_some());
}

#[tokio::test]
async fn the_api_is_asked_while_a_container_waits() {
    let tree = Tree::new("wanted");
    let mut watch = Watch { expects_announcements: true, ..tree.watch(&Containers::default()) };
    let wanted = watch.pods_wanted();
    let is_wanted = async |watch: &mut Watch| {
        watch.settle();
        tokio::time::timeout(Duration::from_millis(1), wanted.notified()).await.is_ok()
    };
    assert!(!is_wanted(&mut watch).await);
    let path = format!("/docker/{A}");
    watch.made(tree.add(path.trim_start_matches('/')), path.as_bytes());
    assert!(is_wanted(&mut watch).await);
}
