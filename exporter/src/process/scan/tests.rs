use super::*;
use crate::container::cgroup::Hierarchy;
use crate::process::Redaction;

#[test]
fn parents_and_start_times() {
    let check = |stat: &str, expected| assert_eq!(parent_and_start(stat.as_bytes()), expected, "{stat}");
    let fields = (3..=52).map(|field| field.to_string()).collect::<Vec<_>>().join(" ");
    check(&format!("7 (sh) {fields}\n"), Some((4, 22)));
    check(&format!("7 (a) b) 1 2 (c) {fields}\n"), Some((4, 22)));
    check("7 (sh) S 1 2\n", None);
    check("7 sh S 1 2\n", None);
    check("", None);
}

#[test]
fn ids_in_the_innermost_namespace() {
    let check = |status: &str, expected| assert_eq!(namespace_pid(status.as_bytes()), expected, "{status}");
    check("Name:\tsh\nNSpid:\t4711\t7\nNSpgid:\t1\n", Some(7));
    check("NSpid:\t4711\n", Some(4711));
    check("NSpid:\t\n", None);
    check("Pid:\t1\n", None);
}

#[test]
fn paths() {
    assert_eq!(path(b"/bin/sh (deleted)"), b"/bin/sh");
    assert_eq!(path(b"/bin/sh"), b"/bin/sh");
    assert_eq!(path(b"/\xff (deleted) "), b"/\xff (deleted) ");
    assert_eq!(path(b"/memfd:a // 1:/sbin/init (deleted)"), b"");
}

#[test]
fn finds_this_process() {
    let hierarchy = Hierarchy::detect().unwrap();
    let cgroup = hierarchy.id_of(&hierarchy.own_cgroup().unwrap()).unwrap();
    let redaction = Some(Arc::new(Redaction::new(&[]).unwrap()));
    let mut config = ProcessConfig { hierarchy, redaction };
    let scan = ProcessScan::read(Path::new("/proc"), &config).unwrap();
    let own = &scan.processes[&std::process::id()];
    let executable = std::env::current_exe().unwrap().into_os_string().into_vec();
    assert_eq!(*own.executable, *executable);
    assert!(own.start_boottime_ns > 0 && own.start_boottime_ns <= scan.time_ns);
    assert_eq!(own.parent, std::os::unix::process::parent_id());
    assert_eq!((own.vpid, own.cgroup), (std::process::id(), cgroup));
    assert!(scan.cgroups[&cgroup].starts_with(b"/"));
    let first = std::env::args_os().next().unwrap().into_vec();
    assert!(own.arguments.starts_with(&[&first[..], b"\0"].concat()), "{:?}", own.arguments.escape_ascii());
    config.redaction = None;
    let scan = ProcessScan::read(Path::new("/proc"), &config).unwrap();
    assert!(scan.processes.values().all(|found| found.arguments.is_empty()));
}
