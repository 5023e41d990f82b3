//! Which volume each mount is of: by where the kubelet keeps it, else by where the pod's specification wants it.

use std::sync::Arc;

use super::super::Container;
use super::super::kubelet::{VolumeFolder, pod_folder, volume_folder};
use super::super::mountinfo::MountLine;
use super::super::path::is_container_id;
use super::super::volume::{PodVolumes, Volume};
use super::{Content, HostMounts, Mount, Mounts, below};

/// Types whose files the kubelet keeps in a directory with the volume's name.
const KUBELETS: [&str; 5] = ["secret", "configMap", "downwardAPI", "projected", "emptyDir"];

/// File systems that show what the kernel has and keep nothing.
const KERNELS: [&[u8]; 15] = [
    b"proc",
    b"sysfs",
    b"cgroup",
    b"cgroup2",
    b"mqueue",
    b"devpts",
    b"devtmpfs",
    b"securityfs",
    b"debugfs",
    b"tracefs",
    b"bpf",
    b"nsfs",
    b"fusectl",
    b"pstore",
    b"configfs",
];

/// Whose mounts they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose<'a> {
    /// What the kubelet calls the pod; empty: it is none.
    pub(super) pod: &'a [u8],
    pub(super) volumes: Option<&'a PodVolumes>,
    /// Where the specification wants which volume, links resolved.
    pub(super) wishes: &'a [(Vec<u8>, &'a Arc<Volume>)],
}

/// Lines of `/proc/1/mountinfo`.
pub(in super::super) fn host(text: &[u8]) -> HostMounts {
    Mounts::new(MountLine::all(text).map(|line| mount(&line, ())))
}

/// Lines of `/proc/PID/mountinfo` of a process of the container.
pub(super) fn container(text: &[u8], host: &HostMounts, whose: Whose<'_>) -> Mounts<Content> {
    Mounts::new(MountLine::all(text).map(|line| mount(&line, whose.content(&line, host))))
}

/// The same where only the kubelet's names of volumes are looked for.
pub(in super::super) fn named(text: &[u8], host: &HostMounts, pod: &str, of: &Container) -> Mounts<Content> {
    container(text, host, Whose { pod: pod.as_bytes(), volumes: volumes(of), wishes: &[] })
}

/// What the container's pod may mount, where the API server has told.
pub(super) fn volumes(container: &Container) -> Option<&PodVolumes> {
    container.pod.as_ref()?.details.as_ref().map(|details| &details.volumes)
}

fn mount<T>(line: &MountLine<'_>, content: T) -> Mount<T> {
    Mount { device: line.device, point: normal(&line.point).into(), root: normal(&line.root).into(), content }
}

/// Without a slash at its end; `//deleted`, which the kernel appends, stays.
fn normal(path: &[u8]) -> &[u8] {
    path.strip_suffix(b"/").unwrap_or(path)
}

impl Whose<'_> {
    fn content(self, line: &MountLine<'_>, host: &HostMounts) -> Content {
        if *line.point == *b"/" {
            return Content::Image(line.option("upperdir").map_or_else(Box::default, |upper| (*upper).into()));
        }
        let root = normal(&line.root);
        if let Some(content) = self.kubelets(root, line, host) {
            return content;
        }
        let wish = self.wishes.iter().find(|(point, _)| **point == *normal(&line.point));
        if let Some((_, volume)) = wish.filter(|(_, volume)| !KUBELETS.contains(&&*volume.kind)) {
            return Content::Volume(Arc::clone(volume), Box::default());
        }
        let own_memory = line.filesystem == b"tmpfs" && !host.has(line.device);
        if own_memory || KERNELS.contains(&line.filesystem) || is_runtimes(root, line) || self.is_pods(root) {
            return Content::Runtime;
        }
        Content::Foreign
    }

    /// A volume that the kubelet has mounted for this pod.
    fn kubelets(self, root: &[u8], line: &MountLine<'_>, host: &HostMounts) -> Option<Content> {
        let own = |folder: &VolumeFolder<'_>| folder.pod == self.pod;
        if let Some(folder) = volume_folder(root).filter(own) {
            return Some(self.volume(&folder, folder.below, line));
        }
        // A file system of its own has no name in its root: where the host sees it does.
        host.on(line.device).find_map(|mount| {
            let folder = volume_folder(&mount.point).filter(own)?;
            Some(self.volume(&folder, below(root, &mount.root)?, line))
        })
    }

    fn volume(self, folder: &VolumeFolder<'_>, part: &[u8], line: &MountLine<'_>) -> Content {
        let named = self.volumes.and_then(|volumes| volumes.get(folder.volume));
        // Of a claim, the directory has the persistent volume's name.
        let wish = || self.wishes.iter().find(|(point, _)| **point == *normal(&line.point)).map(|(_, volume)| *volume);
        let volume = named.or_else(wish).cloned().unwrap_or_else(|| Arc::new(nameless(folder)));
        Content::Volume(volume, part.into())
    }

    /// What the kubelet gives every container: `/etc/hosts`, `/dev/termination-log`.
    fn is_pods(self, root: &[u8]) -> bool {
        pod_folder(root).is_some_and(|(pod, _)| pod == self.pod)
    }
}

/// What the runtime keeps for a container: its `/etc/resolv.conf`, `/etc/hostname`, `/dev/shm`.
fn is_runtimes(root: &[u8], line: &MountLine<'_>) -> bool {
    let is_id = |name: &[u8]| str::from_utf8(name).is_ok_and(is_container_id);
    *line.point == *b"/dev/shm" || root.split(|byte| *byte == b'/').any(is_id)
}

/// What the kubelet's directory alone says of a volume.
fn nameless(folder: &VolumeFolder<'_>) -> Volume {
    let kind = match folder.plugin {
        b"configmap" => "configMap".into(),
        b"empty-dir" => "emptyDir".into(),
        b"downward-api" => "downwardAPI".into(),
        b"local-volume" => "local".into(),
        other => String::from_utf8_lossy(other),
    };
    let name = String::from_utf8_lossy(folder.volume).into_owned();
    Volume { name, kind: kind.into(), ..Volume::default() }
}
