//! What a cgroup's path says about who lives there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A name under which the runtime may know the container of a cgroup.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Candidate {
    /// 64 hexadecimal digits: some runtime's container for certain. In which namespace, the runtime knows.
    Id(String),
    /// `/<namespace>/<id>`, where containerd's clients put a container that has no other wish. Could be anything else.
    Named {
        /// containerd's namespace.
        namespace: String,
        /// The container's id, unique in its namespace.
        id: String,
    },
}

/// Names looked at in one path: more levels than any runtime nests, and a bound for those who nest on purpose.
const CANDIDATES_MAX: usize = 8;
/// Digits of an id that a runtime makes up.
const ID_LEN: usize = 64;
/// Length of a static pod's hash; other uids are longer.
const UID_MIN: usize = 32;
/// Longest containerd identifier (pkg/identifiers).
const IDENTIFIER_MAX: usize = 76;

/// Containers that the path may belong to, outermost first, and that order matters: whoever may make cgroups inside of
/// a container could name them after another container, so the outermost name that the runtime knows is the truth.
pub(super) fn candidates(path: &[u8]) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut previous = None;
    let mut certain = false;
    for name in components(path) {
        if let Some(id) = container_id(name) {
            certain = true;
            found.push(Candidate::Id(id.to_owned()));
        } else if let Some(namespace) = previous
            && is_identifier(name)
        {
            found.push(Candidate::Named { namespace: String::from(namespace), id: name.to_owned() });
        }
        previous = is_identifier(name).then_some(name);
        if found.len() == CANDIDATES_MAX {
            break;
        }
    }
    // Inside of a unit nobody but a runtime with an id of its own makes containers.
    if !certain && unit(path).is_some() {
        found.clear();
    }
    found
}

/// The first id of a path that is certainly a container's.
pub(super) fn outermost(candidates: &[Candidate]) -> Option<&str> {
    candidates.iter().find_map(|candidate| match candidate {
        Candidate::Id(id) => Some(id.as_str()),
        Candidate::Named { .. } => None,
    })
}

/// The pod's uid in a kubelet's cgroup: `pod<uid>`, or with systemd's driver `kubepods-burstable-pod<uid>.slice`, where `_`
/// stands for `-`.
pub(super) fn pod_uid(path: &[u8]) -> Option<String> {
    components(path).find_map(|name| {
        let uid = match name.strip_suffix(".slice") {
            Some(slice) => slice.strip_prefix("kubepods")?.rsplit_once("-pod")?.1.replace('_', "-"),
            None => name.strip_prefix("pod")?.to_owned(),
        };
        let is_uid = uid.len() >= UID_MIN && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        is_uid.then_some(uid)
    })
}

/// The innermost systemd unit with processes of its own: `ssh.service` of `/system.slice/ssh.service/worker`.
pub(super) fn unit(path: &[u8]) -> Option<&str> {
    const SUFFIXES: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];
    let is_unit = |name: &&str| SUFFIXES.iter().any(|suffix| name.len() > suffix.len() && name.ends_with(suffix));
    components(path).filter(is_unit).last()
}

/// The cgroup above; nothing for the root.
pub(super) fn parent(path: &[u8]) -> Option<&[u8]> {
    match path.iter().rposition(|byte| *byte == b'/')? {
        0 if path.len() == 1 => None,
        0 => Some(b"/"),
        end => Some(&path[..end]),
    }
}

/// A cgroup's path as the file system takes it.
pub(super) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// A name that is not UTF-8 is none of those that anyone here looks for.
fn components(path: &[u8]) -> impl Iterator<Item = &str> {
    path.split(|byte| *byte == b'/').filter_map(|name| str::from_utf8(name).ok()).filter(|name| !name.is_empty())
}

/// `<id>`, `docker-<id>.scope`, `cri-containerd-<id>.scope`, `crio-<id>`, `libpod-<id>.scope`, ..., and what a
/// runtime with the wrong cgroup driver makes of systemd's triple: `kubepods-pod1.slice:cri-containerd:<id>`.
fn container_id(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let (prefix, id) = name.split_at_checked(name.len().checked_sub(ID_LEN)?)?;
    let separated = prefix.is_empty() || prefix.ends_with(['-', ':']);
    // conmon watches the container and is none of it.
    let monitor = prefix.ends_with("conmon-");
    (separated && !monitor && is_container_id(id)).then_some(id)
}

/// Whether the runtime has made this id up itself: 64 hexadecimal digits.
pub(super) fn is_container_id(id: &str) -> bool {
    id.len() == ID_LEN && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_identifier(name: &str) -> bool {
    name.len() <= IDENTIFIER_MAX
        && container_id(name).is_none()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && ![".slice", ".service", ".scope"].iter().any(|suffix| name.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const B: &str = "b123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    /// `a` and `b` in paths stand for ids; names are written `namespace/id`.
    #[track_caller]
    fn check(path: &str, names: &[&str], expected_unit: Option<&str>) {
        let expand = |text: &str| text.replace("<a>", A).replace("<b>", B);
        let path = expand(path);
        let found: Vec<_> = candidates(path.as_bytes())
            .into_iter()
            .map(|candidate| match candidate {
                Candidate::Id(id) => id,
                Candidate::Named { namespace, id } => format!("{namespace}/{id}"),
            })
            .collect();
        assert_eq!(found, names.iter().map(|name| expand(name)).collect::<Vec<_>>(), "{path}");
        assert_eq!(unit(path.as_bytes()).map(str::to_owned), expected_unit.map(expand), "{path}");
    }

    #[test]
    fn containers_of_every_driver() {
        // Kubernetes, cgroupfs and systemd drivers.
        check("/kubepods/podu/<a>", &["kubepods/podu", "<a>"], None);
        check(
            "/kubepods.slice/kubepods-podu.slice/cri-containerd-<a>.scope",
            &["<a>"],
            Some("cri-containerd-<a>.scope"),
        );
        check("/kubepods.slice/kubepods-podu.slice/crio-<a>.scope/container", &["<a>"], Some("crio-<a>.scope"));
        check("/kubepods/podu/crio-<a>", &["kubepods/podu", "<a>"], None);
        check("/system.slice/containerd.service/x.slice:cri-containerd:<a>", &["<a>"], Some("containerd.service"));
        // Docker, nerdctl, podman.
        check("/docker/<a>", &["<a>"], None);
        check("/system.slice/docker-<a>.scope", &["<a>"], Some("docker-<a>.scope"));
        check("/system.slice/nerdctl-<a>.scope", &["<a>"], Some("nerdctl-<a>.scope"));
        check("/default/<a>", &["<a>"], None);
        check("/libpod_parent/libpod-<a>", &["<a>"], None);
        check("/machine.slice/libpod-<a>.scope/container", &["<a>"], Some("libpod-<a>.scope"));
        // ctr.
        check("/default/web", &["default/web"], None);
        check("/default/web/init.scope", &[], Some("init.scope"));
    }

    #[test]
    fn nested_containers_come_outermost_first() {
        check("/docker/<a>/docker/<b>", &["<a>", "<b>"], None);
        check("/docker/<a>/kubelet/kubepods/<b>", &["<a>", "kubelet/kubepods", "<b>"], None);
        check("/system.slice/docker-<a>.scope/system.slice/ssh.service", &["<a>"], Some("ssh.service"));
        check("/default/web/<b>", &["default/web", "<b>"], None);
        check(&"/x".repeat(100), &["x/x"; CANDIDATES_MAX], None);
    }

    #[test]
    fn parts_of_the_host() {
        check("/", &[], None);
        check("", &[], None);
        check("/kubepods", &[], None);
        check("/kubepods.slice/kubepods-besteffort.slice", &[], None);
        check("/init.scope", &[], Some("init.scope"));
        check("/system.slice/ssh.service", &[], Some("ssh.service"));
        check("/system.slice/ssh.service/a/b", &[], Some("ssh.service"));
        check("/user.slice/user-0.slice/user@0.service/app.slice/dbus.service", &[], Some("dbus.service"));
        check("/system.slice/.service", &[], None);
        // The monitor of a container, and names that only resemble an id.
        check("/machine.slice/libpod-conmon-<a>.scope", &[], Some("libpod-conmon-<a>.scope"));
        check("/kubepods.slice/crio-conmon-<a>.scope", &[], Some("crio-conmon-<a>.scope"));
        check("/machine.slice/machine-libpod_pod_<a>.slice", &[], None);
        check("/x/0<a>", &["x/0<a>"], None);
        check(&format!("/x/{}", A.to_uppercase()), &[&format!("x/{}", A.to_uppercase())], None);
    }

    #[test]
    fn pods_of_kubelets() {
        let check =
            |path: &str, expected: Option<&str>| assert_eq!(pod_uid(path.as_bytes()).as_deref(), expected, "{path}");
        let uid = "0b9c3d1e-5f4a-4b6c-8d7e-9f0a1b2c3d4e";
        check(&format!("/kubepods/burstable/pod{uid}/{A}"), Some(uid));
        check(&format!("/node2/kubepods/pod{uid}"), Some(uid));
        let slice = format!("kubepods-burstable-pod{}.slice", uid.replace('-', "_"));
        check(&format!("/kubepods.slice/kubepods-burstable.slice/{slice}/cri-containerd-{A}.scope"), Some(uid));
        check("/kubepods.slice/kubepods-pod0123456789abcdef0123456789abcdef.slice", Some(&A[..32]));
        check("/kubepods/podx/a", None);
        check(&format!("/podman/podman-{A}"), None);
        check(&format!("/machine.slice/machine-libpod_pod_{A}.slice"), None);
        check("", None);
    }

    #[test]
    fn bytes_that_are_no_text() {
        assert_eq!(candidates(b"/\xff\xfe/\xc3\x28"), []);
        assert_eq!(unit(b"/\xff.service"), None);
        let long = format!("/ä{}/é", "x".repeat(63));
        assert_eq!(candidates(long.as_bytes()), []);
    }

    #[test]
    fn parents() {
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(parent(path.as_bytes()), expected.map(str::as_bytes), "{path}");
        };
        check("/", None);
        check("/a", Some("/"));
        check("/a/b", Some("/a"));
        check("", None);
    }
}
