//! Events to test sinks and filters with.

use std::sync::Arc;

use inotrail_ebpf::{Header, OPEN_FLAGS_UNKNOWN, kind, mask};
use zerocopy::FromZeros;

use crate::container::{Container, File, Image, Origin, Pod};
use crate::event::{Access, Backend, Event, Node};
use crate::loss::{Counts, Loss};
use crate::metrics::Dropped;
use crate::policy::rule::Action;
use crate::policy::scope::Subject;
use crate::policy::{Judgement, PolicySet, RuleIndex, document};
use crate::process::{Ancestor, Process};

/// What differs between tests; the rest is fixed.
pub(crate) struct Sample {
    pub(crate) path: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) requested: Vec<u8>,
    pub(crate) comm: [u8; 16],
    pub(crate) result: i32,
    pub(crate) mask: u32,
    pub(crate) count: u64,
    pub(crate) tgid: u32,
    pub(crate) processes: u32,
    pub(crate) last_ns: u64,
    pub(crate) process: Process,
    pub(crate) container: Arc<Container>,
}

impl Default for Sample {
    fn default() -> Self {
        let origin = Origin::Container {
            id: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".into(),
            name: "web".into(),
            runtime: "containerd",
            resolved: true,
        };
        let pod = Pod { namespace: "shop".into(), name: "web-7d4b9".into(), uid: "5a1f".into(), details: None };
        let image = Image { name: "docker.io/library/python".into(), tags: vec!["3.14".into()], repo_digests: vec![] };
        Self {
            path: b"/etc/passwd".to_vec(),
            target: Vec::new(),
            requested: b"/etc/passwd".to_vec(),
            comm: *b"python3\0\0\0\0\0\0\0\0\0",
            result: 0,
            mask: mask::OPEN | mask::READ,
            count: 1,
            tgid: 1234,
            processes: 0,
            last_ns: 0,
            process: process(),
            container: Arc::new(Container::default().update(origin, Some(pod), Some(image))),
        }
    }
}

impl Sample {
    pub(crate) fn host() -> Self {
        Self { container: Arc::new(Container::new(Origin::Host)), ..Self::default() }
    }

    pub(crate) fn with<T>(&self, use_it: impl FnOnce(&Event<'_>) -> T) -> T {
        let mut header = Header::new_zeroed();
        header.kind = kind::ACCESS;
        (header.comm, header.result, header.mask) = (self.comm, self.result, self.mask);
        (header.tgid, header.tid, header.ppid, header.open_flags) = (self.tgid, self.tgid, 1, OPEN_FLAGS_UNKNOWN);
        let (path, target, requested) = (&self.path, &self.target, &self.requested);
        let access = Access { path, target, requested, ..Access::of(&header) };
        use_it(&Event {
            time_ns: 1_795_260_645_123_456_789,
            observed_ns: 1_795_260_645_128_000_000,
            access,
            process: &self.process,
            process_start_ns: 1_795_260_600_000_000_000,
            container: &self.container,
            file: File::default(),
            judgement: None,
            backend: Backend::Kprobe,
            sequence: 7,
            count: self.count,
            processes: self.processes,
            last_ns: self.last_ns,
        })
    }
}

fn process() -> Process {
    let ancestor = |tgid, path: &[u8]| Ancestor { tgid, executable: path.into() };
    Process {
        executable: b"/usr/bin/python3.14".as_slice().into(),
        ancestors: [ancestor(1200, b"/bin/sh"), ancestor(7, b"/usr/bin/containerd-shim-runc-v2")].into(),
        arguments: b"python3\0-c\0\0".as_slice().into(),
        vpid: 12,
        session: true,
        ..Process::default()
    }
}

/// What a sink is given of accesses that are missing.
pub(crate) fn loss(container: &Arc<Container>) -> Loss<'_> {
    Loss {
        reason: Dropped::RingFull,
        container,
        destination: None,
        run: None,
        owed: 0,
        counts: Some(Counts { count: 12, total: 30, records: 0 }),
        start_ns: 1_795_260_635_000_000_000,
        end_ns: 1_795_260_645_000_000_000,
        observed_ns: 1_795_260_645_000_000_000,
        sequence: 3,
    }
}

pub(crate) fn node() -> Node {
    Node { name: "node-1".into(), cluster: "prod".into(), host: "node-1.example".into(), stream_id: "run-1".into() }
}

/// What a policy of one rule with a label says of whatever it is about.
pub(crate) struct Judged(PolicySet, Vec<RuleIndex>);

impl Judged {
    pub(crate) fn new() -> Self {
        let text = "apiVersion: inotrail.dev/v1alpha1\nkind: ClusterFileAccessPolicy\nmetadata: {name: p}\n\
                    spec: {rules: [{name: r, paths: ['/**'], labels: {team: shop}}]}\n";
        let set = PolicySet::new(document::read(text).0.into_iter().map(Arc::new));
        let selection = set.select(&Subject::Container { name: "", image: "", pod: None });
        let matched = selection.indexes().collect();
        Self(set, matched)
    }

    pub(crate) fn judgement(&self) -> Judgement<'_> {
        Judgement { set: &self.0, rule: self.1[0], action: Action::Record, matched: &self.1 }
    }
}
