//! Events such as a busy node has: 50 pods, whose processes read configuration and write data.

use std::sync::Arc;

use inotrail::container::{Container, File, Image, Origin, Pod, Volume};
use inotrail::event::{Access, Backend, Event, Node};
use inotrail::process::{Ancestor, Process};
use inotrail_ebpf::{Header, kind, mask};
use zerocopy::FromZeros as _;

/// Containers that events are of, in turn.
pub const CONTAINERS: usize = 50;
/// Events of one request: the exporter's default.
pub const BATCH: usize = 2000;
/// Different events; more are the same again.
const EVENTS: usize = 1000;

/// Everything that events borrow from.
#[derive(Debug)]
pub struct Sample {
    /// Where it happens.
    pub node: Node,
    /// Who acts.
    pub containers: Vec<Arc<Container>>,
    headers: Vec<Header>,
    process: Process,
    paths: Vec<String>,
    /// That all of these are in.
    volume: Arc<Volume>,
}

impl Default for Sample {
    fn default() -> Self {
        let node = Node {
            name: "worker-7.example.org".into(),
            cluster: "production".into(),
            host: "worker-7".into(),
            stream_id: "0193a6b8-5c1e-7d10-9f4c-3a5e8b2d7c61".into(),
        };
        let headers = (0..EVENTS as u64).map(|index| header(index.wrapping_mul(2_654_435_761) >> 3));
        let paths = (0..EVENTS).map(|index| {
            format!("/var/lib/app/data/shard-{:02}/part-{:05}.parquet", index * 7 % 32, index * 7919 % 20_011)
        });
        let containers = (0..CONTAINERS).map(|index| Arc::new(container(index)));
        let volume = Volume {
            name: "data".into(),
            kind: "persistentVolumeClaim".into(),
            claim: "ledger-data".into(),
            ..Volume::default()
        }
        .into();
        let (headers, paths) = (headers.collect(), paths.collect());
        Self { node, containers: containers.collect(), headers, process: process(), paths, volume }
    }
}

impl Sample {
    /// Event number `index` of as many as are wanted.
    #[must_use]
    pub fn event(&self, index: usize) -> Event<'_> {
        let header = &self.headers[index % EVENTS];
        let time_ns = 1_795_244_695_000_000_000 + index as u64 * 12_345;
        Event {
            time_ns,
            observed_ns: time_ns + 5_000_000,
            access: Access { path: self.paths[index % EVENTS].as_bytes(), ..Access::of(header) },
            process: &self.process,
            process_start_ns: 1_795_240_000_123_000_000,
            container: &self.containers[index % CONTAINERS],
            file: File { volume: Some(&self.volume), ..File::default() },
            judgement: None,
            backend: Backend::Fexit,
            sequence: (index / CONTAINERS) as u64 + 1,
            count: 1,
            processes: 0,
            last_ns: 0,
        }
    }
}

/// What a process of a server may do.
pub(super) fn header(random: u64) -> Header {
    let mode = if random.is_multiple_of(4) { mask::WRITE } else { mask::READ };
    Header {
        kind: kind::ACCESS,
        mask: mask::OPEN | mode,
        // One in eight is refused.
        result: if (random >> 2).is_multiple_of(8) { -13 } else { 0 },
        open_flags: 0o100_000,
        inode: 1_000_000 + (random >> 5) % 9_000_000,
        device: 8 << 20 | 1,
        tgid: 1000 + (random >> 8) as u32 % 500,
        tid: 1000 + (random >> 8) as u32 % 500,
        ppid: 999,
        uid: 1000,
        euid: 1000,
        comm: *b"python3\0\0\0\0\0\0\0\0\0",
        ..Header::new_zeroed()
    }
}

/// As a runtime starts a container that starts workers.
fn process() -> Process {
    let ancestor = |(tgid, path): &(u32, &str)| Ancestor { tgid: *tgid, executable: path.as_bytes().into() };
    let ancestors = [
        (999, "/usr/local/bin/python3.12"),
        (981, "/usr/bin/runc"),
        (979, "/usr/bin/runc"),
        (970, "/usr/bin/runc"),
        (955, "/usr/bin/containerd-shim-runc-v2"),
        (948, "/usr/bin/containerd-shim-runc-v2"),
        (612, "/usr/bin/containerd"),
        (1, "/usr/lib/systemd/systemd"),
    ];
    Process {
        executable: b"/usr/local/bin/python3.12".as_slice().into(),
        ancestors: ancestors.iter().map(ancestor).collect(),
        vpid: 7,
        ..Process::default()
    }
}

/// One of any number of containers.
pub(super) fn container(index: usize) -> Container {
    let origin = Origin::Container {
        id: format!("{:064x}", (index as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)),
        name: "ledger".into(),
        runtime: "containerd",
        resolved: true,
    };
    let pod = Pod {
        details: None,
        namespace: format!("team-{}", index % 7),
        name: format!("ledger-7f8d9c6b5-{index:05x}"),
        uid: format!("7d3f5f0a-2f3b-4d58-9c1f-{index:012x}"),
    };
    let image = Image {
        name: "registry.example.org/payments/ledger".into(),
        tags: vec!["1.24.3".into()],
        repo_digests: Vec::new(),
    };
    Container::default().update(origin, Some(pod), Some(image))
}
