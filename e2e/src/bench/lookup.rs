//! Looking up who acted and whose the file is, on a node that is full.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use inotrail::container::{Container, Containers, Mounted, Pod, PodDetails, PodVolumes, Volume, VolumeSource};
use inotrail::process::ProcessTable;
use inotrail_ebpf::Header;
use zerocopy::FromZeros as _;

use super::memory::{CONTAINERS, PROCESSES, processes};
use super::sample::container;

/// Records that the exporter takes from the ring buffer under one view of its tables.
const DRAIN: usize = 64;
/// A kubelet's disk, a container's root and Secret: `major << 20 | minor`.
pub(super) const DISK: u32 = 8 << 20 | 1;
pub(super) const ROOTS: u32 = 1000;
pub(super) const SECRETS: u32 = 10_000;

/// The tables.
pub struct Lookup {
    containers: Containers,
    processes: ProcessTable,
}

impl Default for Lookup {
    fn default() -> Self {
        Self { containers: mounted(CONTAINERS as u32), processes: processes(true) }
    }
}

/// So many containers that have mounted what a kubelet's have; their cgroups are numbered from 1.
pub(super) fn mounted(count: u32) -> Containers {
    let mut host = format!("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:{} / /proc rw - proc proc rw\n", 5);
    for index in 0..count {
        let pod = uid(index);
        let folder = format!("/var/lib/kubelet/pods/{pod}/volumes/kubernetes.io~secret/tls");
        let (root, secret) = (ROOTS + index, SECRETS + index);
        let _infallible = writeln!(host, "3 1 0:{secret} / {folder} rw - tmpfs tmpfs rw");
        let _infallible = writeln!(host, "4 1 0:{root} / /run/containerd/{index:064x}/rootfs rw - overlay overlay rw");
    }
    let mounted = (0..count).map(|index| Mounted {
        cgroup: u64::from(index) + 1,
        container: described(index),
        pod: uid(index),
        mountinfo: mountinfo(index),
    });
    Containers::mounted(mounted, host.as_bytes())
}

impl Lookup {
    /// Looks up what `events` records need. Returns how many files were found in a volume or an image.
    pub fn run(&mut self, events: usize) -> usize {
        let (mut found, mut next) = (0, 0);
        while next < events {
            let snapshot = self.containers.snapshot();
            let end = events.min(next + DRAIN);
            for number in next..end {
                let (header, path) = record((number % PROCESSES as usize) as u32);
                black_box(self.processes.of(&header));
                if let Some(container) = snapshot.get(header.cgroup_id) {
                    let (file, stale) = snapshot.file(&header, path, container);
                    found += usize::from(black_box(file).object.is_some() && !stale);
                }
            }
            next = end;
        }
        found
    }

    /// Nanoseconds per event, of the quickest of ten runs: what else the machine did is in the others.
    pub fn nanoseconds(&mut self) -> f64 {
        const EVENTS: usize = 500_000;
        let mut quickest = Duration::MAX;
        for _ in 0..10 {
            let start = Instant::now();
            black_box(self.run(EVENTS));
            quickest = quickest.min(start.elapsed());
        }
        quickest.as_nanos() as f64 / EVENTS as f64
    }
}

/// Made when it is looked up, as the sensor has just decoded its own: each of another process and container than the one
/// before. One in two reads its image, one in four a Secret, and one in four a `ConfigMap`.
fn record(number: u32) -> (Header, &'static [u8]) {
    let index = number % CONTAINERS as u32;
    let (device, path): (u32, &[u8]) = match number / CONTAINERS as u32 % 4 {
        0 | 1 => (ROOTS + index, b"/usr/lib/python3/dist-packages/module/__init__.py"),
        2 => (SECRETS + index, b"/etc/tls/..2026_11_22_10_00_00.123456789/tls.key"),
        _ => (DISK, b"/etc/conf/..2026_11_22_10_00_00.123456789/settings.yaml"),
    };
    let tgid = 9 + number % (PROCESSES - 9);
    let header = Header {
        cgroup_id: u64::from(index) + 1,
        device,
        inode: 7,
        tgid,
        process_start_ns: tgid.into(),
        ..Header::new_zeroed()
    };
    (header, path)
}

fn uid(index: u32) -> String {
    format!("7d3f5f0a-2f3b-4d58-9c1f-{index:012x}")
}

fn described(index: u32) -> Container {
    let known = container(index as usize);
    let volume = |name: &str, kind: &str, object: &'static str| {
        let sources = vec![VolumeSource { kind: object, name: name.to_owned(), items: vec![] }];
        Volume { name: name.to_owned(), kind: kind.into(), claim: String::new(), sources }.into()
    };
    let volumes = vec![volume("tls", "secret", "Secret"), volume("conf", "configMap", "ConfigMap")];
    let details = PodDetails { volumes: PodVolumes { volumes, mounts: vec![] }, ..PodDetails::default() };
    let pod = known.pod.clone().map(|pod| Pod { details: Some(details.into()), ..pod });
    known.update(known.origin.clone(), pod, known.image.clone())
}

/// What a kubelet's container has mounted by default, a Secret and a `ConfigMap`.
fn mountinfo(index: u32) -> String {
    let (pod, id) = (uid(index), format!("{index:064x}"));
    let mut text =
        format!("1 0 0:{} / / rw - overlay overlay rw,upperdir=/var/lib/containerd/{index}/fs\n", ROOTS + index);
    let kernel = ["/proc", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/pts", "/proc/bus", "/proc/fs", "/proc/irq"];
    let memory = ["/dev", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware", "/dev/shm"];
    for (minor, point) in kernel.iter().enumerate() {
        let _infallible = writeln!(text, "2 1 0:{} / {point} rw - proc proc rw", 20_000 + minor);
    }
    for (minor, point) in memory.iter().enumerate() {
        let _infallible = writeln!(text, "2 1 0:{} / {point} rw - tmpfs tmpfs rw", 30_000 + minor);
    }
    let folder = format!("/var/lib/kubelet/pods/{pod}");
    let disk = [
        (format!("{folder}/etc-hosts"), "/etc/hosts"),
        (format!("{folder}/containers/app/0"), "/dev/termination-log"),
        (format!("/var/lib/containerd/sandboxes/{id}/hostname"), "/etc/hostname"),
        (format!("/var/lib/containerd/sandboxes/{id}/resolv.conf"), "/etc/resolv.conf"),
        (format!("{folder}/volumes/kubernetes.io~configmap/conf"), "/etc/conf"),
    ];
    for (root, point) in disk {
        let _infallible = writeln!(text, "3 1 8:1 {root} {point} rw - ext4 /dev/sda1 rw");
    }
    text + &format!("4 1 0:{} / /etc/tls rw - tmpfs tmpfs rw\n", SECRETS + index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_found() {
        assert_eq!(Lookup::default().run(PROCESSES as usize), PROCESSES as usize);
    }
}
