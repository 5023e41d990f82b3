//! Where a kubelet keeps the volumes of pods (`pkg/kubelet/kubelet_getters.go`).

/// A directory of a kubelet's, told from its path, whatever that is below.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct VolumeFolder<'a> {
    /// What the kubelet calls the pod.
    pub(super) pod: &'a [u8],
    /// `secret`, `configmap`, `csi`...; empty where the path does not say.
    pub(super) plugin: &'a [u8],
    /// The volume's name in the pod's specification, of a persistent volume its own.
    pub(super) volume: &'a [u8],
    /// What comes below it, `/` first; empty: nothing.
    pub(super) below: &'a [u8],
}

/// Length of a uid; a static pod's is a hash without dashes.
const UID_LEN: [usize; 2] = [36, 32];

/// `.../pods/<uid>/volumes/<vendor>~<plugin>/<volume>/...`. A CSI driver's files are one directory deeper, in `mount`.
pub(super) fn volume_folder(path: &[u8]) -> Option<VolumeFolder<'_>> {
    let (pod, rest) = pod_folder(path)?;
    let rest = rest.strip_prefix(b"volumes/")?;
    let (vendor, rest) = split(rest)?;
    let plugin = &vendor[vendor.iter().position(|byte| *byte == b'~')? + 1..];
    let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    let (volume, below) = rest.split_at(end);
    let below = below.strip_prefix(b"/mount").filter(|_| plugin == b"csi").unwrap_or(below);
    (!volume.is_empty()).then_some(VolumeFolder { pod, plugin, volume, below })
}

/// The uid of the pod whose directory a path is in, and what comes after it.
pub(super) fn pod_folder(path: &[u8]) -> Option<(&[u8], &[u8])> {
    const PODS: &[u8] = b"/pods/";
    let mut from = 0;
    while let Some(at) = path[from..].windows(PODS.len()).position(|part| part == PODS) {
        from += at + PODS.len();
        if let Some((uid, rest)) = split(&path[from..])
            && UID_LEN.contains(&uid.len())
            && uid.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
        {
            return Some((uid, rest));
        }
        from -= 1;
    }
    None
}

fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let slash = path.iter().position(|byte| *byte == b'/')?;
    Some((&path[..slash], &path[slash + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "0b9c3d1e-5f4a-4b6c-8d7e-9f0a1b2c3d4e";

    /// `<u>` stands for a uid. Plugin, volume, what is below.
    #[track_caller]
    fn check(path: &str, expected: Option<[&str; 3]>) {
        let path = path.replace("<u>", UID);
        let found = volume_folder(path.as_bytes());
        let found = found.map(|found| {
            assert_eq!(found.pod, UID.as_bytes());
            [found.plugin, found.volume, found.below].map(|part| str::from_utf8(part).unwrap())
        });
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn folders() {
        check("/var/lib/kubelet/pods/<u>/volumes/kubernetes.io~secret/db", Some(["secret", "db", ""]));
        check("/pods/<u>/volumes/kubernetes.io~configmap/c/..data/k", Some(["configmap", "c", "/..data/k"]));
        check("/x/pods/<u>/volumes/kubernetes.io~csi/pvc-1/mount", Some(["csi", "pvc-1", ""]));
        check("/x/pods/<u>/volumes/kubernetes.io~csi/pvc-1/mount/f", Some(["csi", "pvc-1", "/f"]));
        check("/x/pods/pods/pods/<u>/volumes/a~b/v/mount", Some(["b", "v", "/mount"]));
        check("/x/pods/<u>/volumes/a~b/", None);
        check("/x/pods/<u>/volumes/plain/v", None);
        check("/x/pods/<u>/etc-hosts", None);
        check("/x/pods/short/volumes/a~b/v", None);
        check("/x/pods", None);
    }
}
