use super::*;
use crate::container::mounts::tests as sample;
use crate::container::{File, Origin, Pod};
use inotrail_ebpf::Header;
use zerocopy::FromZeros;

const UID: &str = "0b9c3d1e-5f4a-4b6c-8d7e-9f0a1b2c3d4e";
const OTHER: &str = "1b9c3d1e-5f4a-4b6c-8d7e-9f0a1b2c3d4e";

fn named(id: &str, pod: &str) -> Container {
    let origin = Origin::Container { id: id.into(), name: "app".into(), runtime: "", resolved: true };
    let details = Some(Arc::default());
    let pod = Pod { namespace: "shop".into(), name: pod.into(), uid: pod.into(), details };
    Container::default().update(origin, Some(pod), None)
}

fn with(container: &Container, mounts: impl IntoIterator<Item = Mount<Content>>) -> Arc<Container> {
    Arc::new(container.with_mounts(crate::container::mounts::Mounts::new(mounts)))
}

fn mount(device: (u32, u32), root: &str, point: &str, content: Content) -> Mount<Content> {
    Mount { device: device.0 << 20 | device.1, point: point.as_bytes().into(), root: root.as_bytes().into(), content }
}

/// `web` has the mounts of the sample, with its claim on 8:16, and `theirs` shares the claim and has a Secret (0:70).
struct Node {
    web: Arc<Container>,
    theirs: Arc<Container>,
    owners: Owners,
}

fn node() -> Node {
    let web = Arc::new(named("a", UID).with_mounts(sample::container()));
    let volumes = sample::volumes();
    let volume = |name: &[u8]| Content::Volume(Arc::clone(volumes.get(name).unwrap()), Box::default());
    let theirs = with(
        &named("b", OTHER),
        [
            mount((0, 83), "", "", Content::Image((*b"/up/6/fs").into())),
            mount((0, 70), "", "/secret", volume(b"db")),
            mount((8, 16), "", "/shared", volume(b"disk")),
            mount((8, 1), "", "/host", volume(b"logs")),
            mount((0, 24), "", "/host/run", Content::Foreign),
            mount((0, 80), "", "/host/run/containerd/rootfs", Content::Foreign),
        ],
    );
    let owners = Owners::new([&web, &theirs].into_iter(), Arc::new(sample::host()));
    Node { web, theirs, owners }
}

/// Volume, object as `KIND/NAME/KEY`, owner as `KIND POD`, and `!` where mounts are not as they were.
fn shown(device: (u32, u32), path: &str, actor: &Container, owners: &Owners) -> String {
    let header = Header { device: device.0 << 20 | device.1, inode: 7, ..Header::new_zeroed() };
    let (file, stale) = File::of(&header, path.as_bytes(), actor, owners);
    let volume = file.volume.map_or("-", |volume| &volume.name);
    let object = file.object.map_or_else(
        || "-".to_owned(),
        |object| format!("{}/{}/{}", object.kind, object.name, str::from_utf8(object.key).unwrap()),
    );
    let owner = file.owner.map_or_else(
        || "-".to_owned(),
        |owner| match owner {
            FileOwner::Host | FileOwner::Shared(_) => owner.kind().to_owned(),
            FileOwner::Container(of) | FileOwner::Pod(of) => {
                let pod = if of.pod_uid() == Some(UID) { "web" } else { "theirs" };
                format!("{} {pod}", owner.kind())
            }
        },
    );
    format!("{volume} {object} {owner}{}", if stale { " !" } else { "" })
}

#[track_caller]
fn check(device: (u32, u32), path: &str, actor: &str, expected: &str) {
    let node = node();
    let host = Container::new(Origin::Host);
    let actor = match actor {
        "web" => &node.web,
        "theirs" => &node.theirs,
        _ => &host,
    };
    assert_eq!(shown(device, &path.replace("<u>", UID), actor, &node.owners), expected, "{path}");
}

#[test]
fn own_files() {
    check((0, 80), "/etc/passwd", "web", "- Image// -");
    check((0, 60), "/run/secrets/db/..2026/password", "web", "db Secret/database/password -");
    check((0, 60), "/etc/password", "web", "db Secret/database/password -");
    check((8, 1), "/conf/..2026/site", "web", "conf - -");
    check((8, 16), "/data/x", "web", "disk - volume");
    check((8, 1), "/old/x", "web", "old - -");
    check((8, 1), "/etc/hosts", "web", "- - -");
    // A path that does not say where it is: the device does.
    check((0, 60), "", "web", "db - -");
}

#[test]
fn files_of_others() {
    // Of a host process: the kubelet's directory, another root by /proc/PID/root and by the runtime's directory.
    let secret = "/var/lib/kubelet/pods/<u>/volumes/kubernetes.io~secret/db/..2026/password";
    check((0, 60), secret, "host", "db Secret/database/password pod web");
    check((0, 60), "/run/secrets/db/..2026/password", "host", "db Secret/database/password pod web");
    check((0, 80), "/etc/passwd", "host", "- Image// container web");
    check((0, 83), "/etc/passwd", "host", "- Image// container theirs");
    check((8, 1), "/up/5/fs/etc/passwd", "host", "- Image// container web");
    check((8, 1), "/up/6/fs", "host", "- Image// container theirs");
    check((8, 1), "/up/6/fsx", "host", "- - -");
    let map = "/var/lib/kubelet/pods/<u>/volumes/kubernetes.io~configmap/conf/..2026/site";
    check((8, 1), map, "host", "conf - pod web");
    check((8, 1), "/srv/pv0/file", "host", "old - pod web");
    check((8, 1), "/etc/passwd", "host", "- - -");
    check((8, 16), "/var/lib/kubelet/plugins/kubernetes.io/csi/x/globalmount/f", "host", "disk - volume");
    // Of another pod: through its host path, what is mounted below it, and /proc/PID/root.
    check((8, 1), "/host/etc/shadow", "theirs", "logs - host");
    check((8, 1), &format!("/host{map}"), "theirs", "logs - pod web");
    check((8, 1), "/host/up/5/fs/x", "theirs", "logs Image// container web");
    check((8, 1), "/host/up/6/fs/x", "theirs", "logs Image// -");
    check((0, 80), "/host/run/containerd/rootfs/etc/passwd", "theirs", "- Image// container web");
    check((0, 24), "/host/run/lock", "theirs", "- - host");
    check((0, 60), "/run/secrets/db/..2026/password", "theirs", "db Secret/database/password pod web !");
    check((0, 99), "/x", "theirs", "- - - !");
    check((0, 21), "/self/status", "theirs", "- - host !");
    // A claim that both have is nobody's alone.
    check((8, 16), "/shared/x", "theirs", "disk - volume");
}

#[test]
fn nobody_is_the_owner_of_what_is_not_known_yet() {
    let node = node();
    let early = Pod { details: None, ..node.theirs.pod.clone().unwrap() };
    let early = node.theirs.update(node.theirs.origin.clone(), Some(early), None);
    assert_eq!(shown((0, 24), "/host/run/lock", &early, &node.owners), "- - -");
    assert_eq!(shown((0, 24), "/host/run/lock", &node.theirs, &node.owners), "- - host");
}

#[test]
fn folders_inside_of_each_other() {
    let volumes = sample::volumes();
    let volume = |name: &[u8]| Content::Volume(Arc::clone(volumes.get(name).unwrap()), Box::default());
    let outer = with(&named("a", UID), [mount((8, 1), "/srv", "/a", volume(b"old"))]);
    let inner = with(
        &named("b", OTHER),
        [mount((8, 1), "/srv/x/deep", "/b", volume(b"disk")), mount((8, 1), "/srv/x", "/c", volume(b"tmp"))],
    );
    let owners = Owners::new([&outer, &inner].into_iter(), Arc::default());
    let check = |head: &str, tail: &str, expected: Option<&str>| {
        let found = owners.of(8 << 20 | 1, [head.as_bytes(), tail.as_bytes()]);
        assert_eq!(found.and_then(|owned| Some(&*owned.volume?.name)), expected, "{head} {tail}");
    };
    check("", "/srv/x/deep/f", Some("disk"));
    check("/srv/x", "/deep/f", Some("disk"));
    check("/srv/x/deep/f", "", Some("disk"));
    check("/srv", "/x/deeper", Some("tmp"));
    check("", "/srv/x", Some("tmp"));
    check("/srv", "/xy", Some("old"));
    check("", "/srv", Some("old"));
    check("", "/srvx", None);
    check("", "/a", None);
    check("", "", None);
}
