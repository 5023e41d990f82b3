use super::*;

const HYBRID: &str = "\
23 1 8:1 / / rw,relatime - ext4 /dev/root rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:7 - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
const HYBRID_SELF: &str = "9:name=systemd:/\n8:pids:/p\n4:memory:/a/b:c\n1:cpu,cpuacct:/\n0::/\n";
const UNIFIED: &str = "\
23 1 8:1 / / rw,relatime - ext4 /dev/root rw
30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
";
/// In a container: its own view, the host's whole tree and a part of it under another name.
const CONTAINER: &str = "\
700 600 0:50 / / rw - overlay overlay rw
801 700 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw
802 700 0:26 /../../.. /host/sys/fs/cgroup ro - cgroup2 cgroup2 rw
803 700 0:26 /../../../kubepods /pods\\040only ro - cgroup2 cgroup2 rw
";
/// A part of the tree, seen without a cgroup namespace, covers the container's own.
const BIND: &str = "\
700 600 0:50 / / rw - overlay overlay rw
800 700 0:60 / /sys/fs/cgroup rw - tmpfs tmpfs rw
801 800 0:32 /kubepods/pod1/c1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
802 700 0:61 / /sys/fs/cgroup rw - tmpfs tmpfs rw
803 802 0:32 /kubepods /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
";

#[track_caller]
fn check(mounts: &str, cgroups: &str, controllers: bool, expected: Option<(&str, Option<&'static str>, u32, &str)>) {
    check_in(mounts, cgroups, controllers, expected, Some("/"));
}

#[track_caller]
fn check_in(
    mounts: &str,
    cgroups: &str,
    controllers: bool,
    expected: Option<(&str, Option<&'static str>, u32, &str)>,
    namespace: Option<&str>,
) {
    let expected = expected.map(|(root, controller, id, prefix)| Hierarchy {
        root: root.into(),
        controller,
        id,
        prefix: prefix.into(),
        namespace: namespace.map(PathBuf::from),
    });
    assert_eq!(choose(mounts.as_bytes(), cgroups.as_bytes(), |_| controllers), expected);
}

#[test]
fn chooses_where_containers_live() {
    check(HYBRID, HYBRID_SELF, false, Some(("/sys/fs/cgroup/memory", Some("memory"), 4, "/")));
    check(HYBRID, HYBRID_SELF, true, Some(("/sys/fs/cgroup/unified", None, 0, "/")));
    let no_memory = HYBRID.replace("rw,memory", "rw,blkio");
    check(&no_memory, HYBRID_SELF, false, Some(("/sys/fs/cgroup/pids", Some("pids"), 8, "/")));
    check(UNIFIED, "0::/init.scope\n", true, Some(("/sys/fs/cgroup", None, 0, "/")));
    check(UNIFIED, "0::/init.scope\n", false, Some(("/sys/fs/cgroup", None, 0, "/")));
    check("23 1 8:1 / / rw - ext4 /dev/root rw\nnonsense\n", "0::/\n", true, None);
    check("", "", true, None);
}

#[test]
fn chooses_the_widest_mount() {
    // In a namespace whose root has still to be found.
    check_in(CONTAINER, "0::/\n", true, Some(("/host/sys/fs/cgroup", None, 0, "/")), None);
    let only_part = CONTAINER.replace("/../../.. /host/sys/fs/cgroup ro - cgroup2", "/ /tmp ro - tmpfs");
    check_in(&only_part, "0::/\n", true, Some(("/pods only", None, 0, "/")), None);
    let only_own = CONTAINER.replace("/../../..", "/");
    check(&only_own, "0::/\n", true, Some(("/sys/fs/cgroup", None, 0, "/")));
    check(BIND, "4:memory:/kubepods/pod1/c1\n", true, Some(("/sys/fs/cgroup/memory", Some("memory"), 4, "/kubepods")));
}

#[test]
fn reads_the_path_of_a_process() {
    let check = |controller, expected: Option<(u32, &[u8])>| {
        assert_eq!(mount::membership(HYBRID_SELF.as_bytes(), controller), expected);
    };
    check(Some("memory"), Some((4, b"/a/b:c")));
    check(Some("cpuacct"), Some((1, b"/")));
    check(None, Some((0, b"/")));
    check(Some("blkio"), None);
}

#[test]
fn paths_from_inside_of_a_namespace() {
    let pod = "/kubepods/burstable/pod1/c1";
    let hierarchy = |namespace: Option<&str>| {
        let namespace = namespace.map(PathBuf::from);
        Hierarchy { root: "/mnt".into(), controller: None, id: 0, prefix: "/".into(), namespace }
    };
    let check = |namespace, shown: &str, expected: Option<&str>| {
        let found = hierarchy(namespace).cgroup_in(format!("4:memory:/x\n0::{shown}\n").as_bytes());
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{namespace:?} {shown}");
    };
    check(Some("/"), "/kubepods", Some("/kubepods"));
    check(Some("/"), "/", Some("/"));
    check(Some(pod), "/", Some(pod));
    check(Some(pod), "/x", Some("/kubepods/burstable/pod1/c1/x"));
    check(Some(pod), "/../../pod2/c2", Some("/kubepods/burstable/pod2/c2"));
    check(Some(pod), "/../../../../init.scope", Some("/init.scope"));
    check(Some(pod), "/../../../..", Some("/"));
    check(Some(pod), "/../../../../../out", None);
    check(None, "/../x", None);

    let root_of = |path: &str, shown: &str| mount::root_of(Path::new(path), Path::new(shown));
    assert_eq!(root_of(pod, "/"), Some(pod.into()));
    assert_eq!(root_of("/a/b/c", "/c"), Some("/a/b".into()));
    assert_eq!(root_of("/a/b/c", "/a/b/c"), Some("/".into()));
    assert_eq!(root_of("/a/b", "/c"), None);
    assert_eq!(root_of("/a/b", "/../b"), None);
}

#[test]
fn paths_are_inside_the_hierarchy() {
    let whole = Hierarchy { root: "/mnt".into(), controller: None, id: 0, prefix: "/".into(), namespace: None };
    let part = Hierarchy { prefix: "/kubepods".into(), ..whole.clone() };
    let check = |hierarchy: &Hierarchy, path: &str, expected: &str| {
        assert_eq!(hierarchy.directory(Path::new(path)), Path::new(expected));
    };
    check(&whole, "/", "/mnt");
    check(&whole, "/a/b", "/mnt/a/b");
    check(&part, "/kubepods", "/mnt");
    check(&part, "/kubepods/a", "/mnt/a");
    check(&part, "", "/mnt");
}

#[test]
fn scans_a_tree() {
    let root = std::env::temp_dir().join(format!("inotrail-scan-{}", std::process::id()));
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("a/cgroup.procs"), "").unwrap();
    fs::create_dir(root.join("c")).unwrap();
    let hierarchy = Hierarchy { root: root.clone(), controller: None, id: 0, prefix: "/p".into(), namespace: None };
    let mut seen = Vec::new();
    assert!(hierarchy.scan(|id, path| seen.push((path.to_owned(), id))).unwrap());
    seen.sort();
    let ids = ["", "a", "a/b", "c"].map(|path| fs::metadata(root.join(path)).unwrap().ino());
    let expected: Vec<_> = ["/p", "/p/a", "/p/a/b", "/p/c"].map(PathBuf::from).into_iter().zip(ids).collect();
    assert_eq!(seen, expected);
    assert_eq!(hierarchy.id_of(Path::new("/p/a/b")).unwrap(), ids[2]);
    fs::remove_dir_all(root).unwrap();
}

#[test]
fn finds_this_process_on_this_machine() {
    let hierarchy = Hierarchy::detect().unwrap();
    let own = std::process::id().to_string();
    let holds = |path: &Path| {
        let list = fs::read_to_string(hierarchy.directory(path).join("cgroup.procs"));
        list.is_ok_and(|list| list.lines().any(|pid| pid == own))
    };
    let mut found = 0;
    hierarchy
        .scan(|id, path| found += u32::from(holds(path) && hierarchy.id_of(path).is_ok_and(|of| of == id)))
        .unwrap();
    assert_eq!(found, 1, "{hierarchy:?}");
}
