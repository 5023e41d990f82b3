use super::identify::{self, Whose};
use super::*;
use crate::container::volume::{PodVolumes, VolumeSource};

const UID: &str = "0b9c3d1e-5f4a-4b6c-8d7e-9f0a1b2c3d4e";
const OTHER: &str = "1b9c3d1e-5f4a-4b6c-8d7e-9f0a1b2c3d4e";
const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A node with one disk (8:1), whose kubelet has mounted a Secret (0:60), a claim (8:16) and another pod's Secret (0:70).
const HOST: &str = "\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw - proc proc rw
24 22 0:24 / /run rw - tmpfs tmpfs rw
30 22 0:60 / /var/lib/kubelet/pods/<u>/volumes/kubernetes.io~secret/db rw - tmpfs tmpfs rw
31 22 8:16 / /var/lib/kubelet/plugins/kubernetes.io/csi/x/globalmount rw - ext4 /dev/sdb rw
32 22 8:16 / /var/lib/kubelet/pods/<u>/volumes/kubernetes.io~csi/pvc-1/mount rw - ext4 /dev/sdb rw
33 22 0:70 / /var/lib/kubelet/pods/<o>/volumes/kubernetes.io~secret/db rw - tmpfs tmpfs rw
34 24 0:61 / /run/containerd/sandboxes/<i>/shm rw - tmpfs shm rw
35 24 0:80 / /run/containerd/io.containerd.runtime.v2.task/k8s.io/<i>/rootfs rw - overlay overlay rw,upperdir=/up/5/fs
";

/// A container's mount table; fields are device, root, point, file system.
const CONTAINER: [(&str, &str, &str, &str); 16] = [
    ("0:80", "/", "/", "overlay"),
    ("0:81", "/", "/proc", "proc"),
    ("0:82", "/", "/dev", "tmpfs"),
    ("0:61", "/", "/dev/shm", "tmpfs"),
    ("8:1", "/var/lib/kubelet/pods/<u>/etc-hosts", "/etc/hosts", "ext4"),
    ("8:1", "/var/lib/containerd/sandboxes/<i>/resolv.conf", "/etc/resolv.conf", "ext4"),
    ("0:60", "/", "/run/secrets/db", "tmpfs"),
    ("0:60", "/..2026_11_22/password", "/etc/password", "tmpfs"),
    ("8:1", "/var/lib/kubelet/pods/<u>/volumes/kubernetes.io~configmap/conf", "/conf", "ext4"),
    ("8:1", "/var/lib/kubelet/pods/<u>/volumes/kubernetes.io~empty-dir/tmp/sub", "/conf/tmp", "ext4"),
    ("8:16", "/", "/data", "ext4"),
    ("8:1", "/var/log", "/host/log", "ext4"),
    ("8:1", "/srv/pv0", "/old", "ext4"),
    ("0:70", "/", "/theirs", "tmpfs"),
    ("8:1", "/var/lib/kubelet/pods/<u>/volumes/kubernetes.io~projected/unknown", "/unknown", "ext4"),
    ("0:90", "/", "/scratch", "tmpfs"),
];

fn expand(text: &str) -> String {
    text.replace("<u>", UID).replace("<o>", OTHER).replace("<i>", ID)
}

pub(in super::super) fn host() -> HostMounts {
    identify::host(expand(HOST).as_bytes())
}

pub(in super::super) fn volumes() -> PodVolumes {
    let secret = VolumeSource { kind: "Secret", name: "database".into(), items: vec![] };
    let volume = |name: &str, kind: &str, claim: &str, sources: &[VolumeSource]| {
        Arc::new(Volume { name: name.into(), kind: kind.into(), claim: claim.into(), sources: sources.to_vec() })
    };
    let volumes = vec![
        volume("db", "secret", "", &[secret]),
        volume("conf", "configMap", "", &[]),
        volume("tmp", "emptyDir", "", &[]),
        volume("disk", "persistentVolumeClaim", "disk-web-0", &[]),
        volume("logs", "hostPath", "", &[]),
        volume("old", "persistentVolumeClaim", "old-web-0", &[]),
    ];
    PodVolumes { volumes, mounts: Vec::new() }
}

pub(in super::super) fn container() -> Mounts<Content> {
    let lines = CONTAINER.iter().map(|(device, root, point, kind)| {
        expand(&format!("1 2 {device} {root} {point} rw - {kind} {kind} rw,upperdir=/up/5/fs\n"))
    });
    let volumes = volumes();
    let at = |path: &str, name: &[u8]| (path.as_bytes().to_vec(), volumes.get(name).unwrap());
    // A type that the kubelet makes is never told by where it is wanted.
    let wishes = [at("/data", b"disk"), at("/host/log", b"logs"), at("/old", b"old"), at("/scratch", b"tmp")];
    let whose = Whose { pod: UID.as_bytes(), volumes: Some(&volumes), wishes: &wishes };
    identify::container(lines.collect::<String>().as_bytes(), &host(), whose)
}

/// What is found at a path of a device: the content, `VOLUME:PART` of a volume, and what is below the mount.
#[track_caller]
fn check(device: (u32, u32), path: &str, expected: Option<(&str, &str)>) {
    let mounts = container();
    let found = mounts.find(device.0 << 20 | device.1, path.as_bytes()).map(|(mount, below)| {
        let content = match &mount.content {
            Content::Image(upper) => format!("image {}", String::from_utf8_lossy(upper)),
            Content::Volume(volume, part) => format!("{}:{}", volume.name, String::from_utf8_lossy(part)),
            Content::Runtime => "runtime".to_owned(),
            Content::Foreign => "foreign".to_owned(),
        };
        (content, str::from_utf8(below).unwrap())
    });
    assert_eq!(found.as_ref().map(|(content, below)| (&**content, *below)), expected, "{device:?} {path}");
}

#[test]
fn what_a_mount_is_of() {
    let (disk, secret) = ((8, 1), (0, 60));
    check((0, 80), "/etc/passwd", Some(("image /up/5/fs", "/etc/passwd")));
    check((0, 80), "/", Some(("image /up/5/fs", "")));
    check(secret, "/run/secrets/db/..2026_11_22/password", Some(("db:", "/..2026_11_22/password")));
    check(secret, "/etc/password", Some(("db:/..2026_11_22/password", "")));
    check(disk, "/conf/..2026_11_22/site", Some(("conf:", "/..2026_11_22/site")));
    check(disk, "/conf/tmp/x", Some(("tmp:/sub", "/x")));
    check((8, 16), "/data/file", Some(("disk:", "/file")));
    check(disk, "/host/log/syslog", Some(("logs:", "/syslog")));
    check(disk, "/old/f", Some(("old:", "/f")));
    check(disk, "/unknown/f", Some(("unknown:", "/f")));
    check((0, 81), "/proc/1/status", Some(("runtime", "/1/status")));
    check((0, 61), "/dev/shm/x", Some(("runtime", "/x")));
    check((0, 90), "/scratch/x", Some(("runtime", "/x")));
    check(disk, "/etc/hosts", Some(("runtime", "")));
    check(disk, "/etc/resolv.conf", Some(("runtime", "")));
    check((0, 70), "/theirs/password", Some(("foreign", "/password")));
    // A path that only looks like it is below, a device that is not mounted, a path that is somebody else's view.
    check(disk, "/config", None);
    check((9, 9), "/etc/passwd", None);
    check(secret, "/password", None);
}

#[test]
fn the_last_of_two_mounts_is_seen() {
    let mount = |content| Mount { device: 1, point: (*b"/a").into(), root: Box::default(), content };
    let mounts = Mounts::new([mount(1), mount(2)]);
    assert_eq!(mounts.find(1, b"/a/b").map(|(mount, _)| mount.content), Some(2));
}

#[test]
fn below_is_a_matter_of_components() {
    let check = |path: &str, above: &str, expected| {
        let found = below(path.as_bytes(), above.as_bytes()).map(|rest| str::from_utf8(rest).unwrap().to_owned());
        assert_eq!(found.as_deref(), expected, "{path} {above}");
    };
    check("/a/b", "/a", Some("/b"));
    check("/a", "/a", Some(""));
    check("/a/", "/a", Some(""));
    check("/ab", "/a", None);
    check("/a/b", "", Some("/a/b"));
    check("/", "", Some(""));
    check("", "", Some(""));
}

#[test]
fn the_host_is_located() {
    let check = |path: &str, expected: Option<(u32, &str)>| {
        let found =
            host().locate(expand(path).as_bytes()).map(|(device, path)| (device, String::from_utf8(path).unwrap()));
        assert_eq!(found, expected.map(|(device, path)| (device, expand(path))));
    };
    check("/up/5/fs", Some((8 << 20 | 1, "/up/5/fs")));
    check("/run/x", Some((24, "/x")));
    check("/var/lib/kubelet/pods/<u>/volumes/kubernetes.io~secret/db/k", Some((60, "/k")));
}
