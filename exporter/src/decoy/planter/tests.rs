//! With processes whose roots are as containers' are. Needs root.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use super::*;
use crate::container::cgroup::Hierarchy;

/// Programs without a root file system of their own, an overlay over which some things are mounted.
const ROOT: &str = "mkdir upper work root && mount -t overlay overlay -o lowerdir=/usr,upperdir=upper,workdir=work root \
    && mkdir -p root/etc root/volume root/node && mount -t tmpfs tmpfs root/volume && mount --bind /usr root/node";
const OWN: &str = "exec chroot root /bin/sh -c 'echo; exec sleep 1000'";
const READ_ONLY: &str = "mount -o remount,ro,bind root && exec chroot root /bin/sh -c 'echo; exec sleep 1000'";
/// It chooses what it sees of the node as its root.
const NODE: &str = "exec chroot root/node /bin/sh -c 'echo; exec sleep 1000'";

/// A folder in place of a node's cgroups, with one of a container.
struct Node {
    folder: PathBuf,
    child: Child,
}

impl Node {
    fn new(name: &str, enter: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("inotrail-planter-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("cgroups/a/below")).unwrap();
        let mut child = Command::new("unshare");
        child.args(["--mount", "sh", "-c", &format!("{ROOT} && {enter}")]).current_dir(&folder);
        let mut child = child.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        assert_eq!(said, 1, "its root cannot be made: run as root");
        fs::write(folder.join("cgroups/a/cgroup.procs"), "").unwrap();
        fs::write(folder.join("cgroups/a/below/cgroup.procs"), format!("{}\n", child.id())).unwrap();
        Self { folder, child }
    }

    fn planter(&self, metrics: &Arc<Metrics>, adopt_until: Instant) -> Planter {
        let root = fs::metadata("/").unwrap();
        let roots = Roots::new(Hierarchy::at(&self.folder.join("cgroups")), (root.dev(), root.ino()));
        let kept = Kept::open(&self.folder.join("state")).unwrap();
        Planter::new(roots, Some(kept), adopt_until, Arc::clone(metrics))
    }

    fn wanted(&self, decoys: &[(&str, &str)]) -> Wanted {
        let cgroup = fs::metadata(self.folder.join("cgroups/a")).unwrap().ino();
        let decoys = decoys.iter().map(|(path, content)| {
            let (path, content) = ((*path).to_owned(), (*content).to_owned());
            Arc::new(Decoy { name: "key".to_owned(), policy: "p".to_owned(), path, content, mode: 0o444 })
        });
        [(cgroup, Site { container: "c".to_owned(), cgroup: b"/a".as_slice().into(), decoys: decoys.collect() })].into()
    }

    /// As the container sees it.
    fn at(&self, path: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join("root").join(&path[1..])
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.at(path)).ok()
    }

    fn kept(&self) -> String {
        fs::read_to_string(self.folder.join("state/decoys.json")).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
        let _gone = fs::remove_dir_all(&self.folder);
    }
}

#[track_caller]
fn check(metrics: &Metrics, planted: i64, refused: &[Refused]) {
    let reasons = [Refused::Exists, Refused::OtherMount, Refused::Link, Refused::ReadOnly, Refused::NoRoot];
    let counts = reasons.map(|why| metrics.decoys_refused(why).get());
    let expected = reasons.map(|why| refused.iter().filter(|it| **it == why).count() as u64);
    assert_eq!((metrics.decoys.get(), counts), (planted, expected));
}

#[test]
fn containers_have_what_is_wanted() {
    let (node, metrics, now) = (Node::new("wanted", OWN), Arc::default(), Instant::now());
    let mut planter = node.planter(&metrics, now);
    planter.step(&node.wanted(&[("/etc/a", "one"), ("/etc/b", "two")]), now);
    assert_eq!([node.read("/etc/a"), node.read("/etc/b")], [Some("one".to_owned()), Some("two".to_owned())]);
    assert!(node.kept().contains("/etc/a") && node.kept().contains("\"inode\""), "{}", node.kept());
    check(&metrics, 2, &[]);
    // Changed, and wanted no more.
    planter.step(&node.wanted(&[("/etc/a", "three")]), now);
    assert_eq!([node.read("/etc/a"), node.read("/etc/b")], [Some("three".to_owned()), None]);
    // Of two at one path, the first.
    planter.step(&node.wanted(&[("/etc/a", "three"), ("/etc/a", "four")]), now);
    assert_eq!(node.read("/etc/a").as_deref(), Some("three"));
    planter.step(&Wanted::new(), now);
    assert_eq!(node.read("/etc/a"), None);
    check(&metrics, 0, &[]);
    planter.step(&node.wanted(&[("/etc/a", "one")]), now);
    fs::write(node.at("/etc/a"), "two").unwrap();
    planter.remove_all();
    assert_eq!(node.read("/etc/a").as_deref(), Some("two"));
    check(&metrics, 0, &[]);
    // Neither is that one's turn to be replaced.
    let wanted = node.wanted(&[("/etc/a", "one")]);
    planter.step(&wanted, now);
    planter.step(&wanted, now);
    assert_eq!(node.read("/etc/a").as_deref(), Some("two"));
    check(&metrics, 0, &[Refused::Exists]);
}

#[test]
fn other_mounts_are_never_written_to() {
    let (node, metrics, now) = (Node::new("mounts", OWN), Arc::default(), Instant::now());
    let mut planter = node.planter(&metrics, now);
    planter.step(&node.wanted(&[("/volume/a", ""), ("/node/a", ""), ("/node/bin/a", "")]), now);
    assert_eq!(fs::read_dir(node.at("/volume")).unwrap().count(), 0);
    assert!(!Path::new("/usr/a").exists() && !Path::new("/usr/bin/a").exists());
    check(&metrics, 0, &[Refused::OtherMount; 3]);
}

#[test]
fn a_root_that_is_not_its_own_is_never_written_to() {
    let (node, metrics, now) = (Node::new("foreign", NODE), Arc::default(), Instant::now());
    let mut planter = node.planter(&metrics, now);
    let wanted = node.wanted(&[("/a", ""), ("/bin/a", "")]);
    // Its runtime may not be ready.
    assert_eq!(planter.step(&wanted, now), TRY_AGAIN);
    assert_eq!(planter.step(&wanted, now + READY_WITHIN), IDLE);
    assert!(!Path::new("/usr/a").exists() && !Path::new("/usr/bin/a").exists());
    check(&metrics, 0, &[Refused::NoRoot; 2]);
}

#[test]
fn a_read_only_root_is_none_to_write_to() {
    let (node, metrics, now) = (Node::new("read-only", READ_ONLY), Arc::default(), Instant::now());
    node.planter(&metrics, now).step(&node.wanted(&[("/etc/a", "")]), now);
    check(&metrics, 0, &[Refused::ReadOnly]);
}

#[test]
fn what_a_killed_run_has_left_is_kept_or_taken_out() {
    let (node, metrics, now) = (Node::new("killed", OWN), Arc::default(), Instant::now());
    let wanted = node.wanted(&[("/a", "one"), ("/b", "two")]);
    node.planter(&metrics, now).step(&wanted, now);
    let inode = |path: &str| fs::metadata(node.at(path)).unwrap().ino();
    let before = inode("/a");
    // It waits for who is meant to have what.
    let mut planter = node.planter(&metrics, now + Duration::from_secs(30));
    assert_eq!(planter.step(&Wanted::new(), now), Duration::from_secs(30));
    assert!(node.read("/a").is_some() && node.read("/b").is_some());
    fs::write(node.at("/b"), "changed").unwrap();
    planter.step(&wanted, now);
    assert_eq!(inode("/a"), before);
    check(&metrics, 1, &[Refused::Exists]);
    // What nobody wants in time is taken out.
    let mut planter = node.planter(&metrics, now + Duration::from_secs(30));
    planter.step(&Wanted::new(), now + Duration::from_secs(30));
    assert_eq!([node.read("/a"), node.read("/b")], [None, Some("changed".to_owned())]);
    assert_eq!(node.kept(), r#"{"decoys":[],"files":[]}"#);
    // Nothing that can be read is nothing that is known.
    fs::write(node.folder.join("state/decoys.json"), "{").unwrap();
    assert_eq!(node.planter(&metrics, now).step(&Wanted::new(), now), IDLE);
}

#[test]
fn whoever_has_ended_has_nothing() {
    let (mut node, metrics, now) = (Node::new("ended", OWN), Arc::default(), Instant::now());
    let mut planter = node.planter(&metrics, now);
    planter.step(&node.wanted(&[("/etc/a", "one")]), now);
    node.child.kill().and_then(|()| node.child.wait()).unwrap();
    planter.step(&Wanted::new(), now);
    check(&metrics, 0, &[]);
    let wanted = node.wanted(&[("/etc/a", "one")]);
    fs::remove_dir_all(node.folder.join("cgroups/a")).unwrap();
    assert_eq!(planter.step(&wanted, now), IDLE);
    check(&metrics, 0, &[]);
}

/// A thread with these capabilities alone: what it makes and takes out.
fn with(held: CapabilitySet, node: &Node, metrics: &Arc<Metrics>) -> [bool; 2] {
    let work = || {
        let sets = CapabilitySets { effective: held, permitted: held, inheritable: CapabilitySet::empty() };
        set_capabilities(None, sets).unwrap();
        let now = Instant::now();
        let mut planter = node.planter(metrics, now);
        planter.waiting.insert(*node.wanted(&[]).first_key_value().unwrap().0, now);
        let wanted = node.wanted(&[("/etc/own/a", "one")]);
        planter.step(&wanted, now + READY_WITHIN);
        let made = metrics.decoys.get() == 1;
        planter.remove_all();
        made
    };
    let made = std::thread::scope(|scope| scope.spawn(work).join().unwrap());
    [made, node.read("/etc/own/a").is_none()]
}

#[test]
fn two_capabilities_are_enough_and_each_is_needed() {
    let (node, metrics) = (Node::new("capabilities", OWN), Arc::default());
    fs::create_dir(node.at("/etc/own")).unwrap();
    fs::set_permissions(node.at("/etc/own"), fs::Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::chown(node.at("/etc/own"), Some(1000), Some(1000)).unwrap();
    let both = CapabilitySet::DAC_OVERRIDE | CapabilitySet::SYS_PTRACE;
    let others = capabilities(None).unwrap().permitted - both;
    assert_eq!(with(both, &node, &metrics), [true, true]);
    for held in [CapabilitySet::DAC_OVERRIDE, CapabilitySet::SYS_PTRACE, others] {
        let before = metrics.decoys_refused(Refused::Denied).get();
        assert_eq!(with(held, &node, &metrics), [false, true], "{held:?}");
        assert_eq!(metrics.decoys_refused(Refused::Denied).get(), before + 1, "{held:?}");
    }
}
