//! Records of the ring through all stages: what is kept of files must not show.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use inotrail_ebpf::{Header, flags, kind, mask, program};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message as _;
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::*;
use crate::container::{CgroupEvents, Containers, Mounted, Origin, Pod, PodDetails, PodVolumes, Volume};
use crate::event::{Backend, Sight};
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;
use crate::process::ProcessTable;
use crate::sensor::Paths;

/// Requests as they were made.
#[derive(Clone, Default)]
struct Requests(Rc<RefCell<Vec<Vec<u8>>>>);

impl Outbox for Requests {
    fn offer(&self, _: Lane, _: usize, _: &str, request: Request) {
        self.0.borrow_mut().push(request.body.to_vec());
    }

    fn is_pressed(&self) -> bool {
        false
    }

    fn is_behind(&self, _: usize) -> bool {
        false
    }
}

/// Counts events whose file is not looked up.
struct Kept(Export<Requests>, Rc<RefCell<usize>>);

impl Output for Kept {
    fn wants(&self, event: &Event<'_>) -> bool {
        self.0.wants(event)
    }

    fn has_room(&mut self, event: &Event<'_>) -> bool {
        self.0.has_room(event)
    }

    fn knows(&self, event: &Event<'_>, sight: &Sight) -> bool {
        self.0.knows(event, sight)
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        *self.1.borrow_mut() += usize::from(event.access.seen.is_some_and(|sight| sight.is_kept));
        self.0.event(event)
    }

    fn loss(&mut self, _: &Loss<'_>) {}

    fn stopped(&mut self, _: &Stopped<'_>) {}

    fn drained(&mut self, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// All stages, with a table of containers that can become another one.
struct Stages {
    pipeline: Pipeline<Kept>,
    containers: Containers,
    paths: Paths,
    requests: Requests,
    kept: Rc<RefCell<usize>>,
}

impl Stages {
    fn new() -> Self {
        let (containers, requests, kept) = (mounted(0), Requests::default(), Rc::default());
        let limits = Limits { records: 10_000, bytes: usize::MAX, age: Duration::MAX, interval: Duration::MAX };
        let node = Node { name: "n".into(), stream_id: "s".into(), ..Node::default() };
        let export = Export::new(vec![Route::default()], limits, &node, requests.clone());
        let pipeline = Pipeline::new(
            Backend::Fexit,
            true,
            (containers.clone(), CgroupEvents::unheard()),
            ProcessTable::default(),
            (sync_channel(1).1, sync_channel(1).1),
            Arc::<Metrics>::default(),
            Kept(export, Rc::clone(&kept)),
        );
        Self { pipeline, containers, paths: Paths::default(), requests, kept }
    }

    fn take(&mut self, record: &[u8]) {
        assert!(self.pipeline.replay(std::iter::once(record), &mut self.paths).is_continue());
    }

    /// Its requests, but for when that was seen; and how many files were not looked up.
    fn finish(self) -> (Vec<ExportLogsServiceRequest>, usize) {
        self.pipeline.into_output().0.finish();
        let requests = self.requests.0.take();
        let decoded = requests.iter().map(|bytes| {
            let mut request = ExportLogsServiceRequest::decode(&**bytes).unwrap();
            assert_eq!(bytes, &request.encode_to_vec());
            let logs = request.resource_logs.iter_mut().flat_map(|logs| &mut logs.scope_logs);
            logs.flat_map(|logs| &mut logs.log_records).for_each(|record| record.observed_time_unix_nano = 0);
            request
        });
        (decoded.collect(), *self.kept.borrow())
    }
}

/// Three containers. In each state of the table they have other volumes at the same place.
fn mounted(state: u8) -> Containers {
    let uid = |index: u64| format!("0b9c3d1e-5f4a-4b6c-8d7e-{index:012x}");
    let folder = |index| format!("/var/lib/kubelet/pods/{}/volumes/kubernetes.io~secret/v{state}", uid(index));
    let container = |index: u64| {
        let kind = if state == 2 { "emptyDir" } else { "secret" };
        let volume = Volume { name: format!("v{state}"), kind: kind.into(), ..Volume::default() };
        let volumes = PodVolumes { volumes: vec![Arc::new(volume)], mounts: vec![] };
        let details = Some(Arc::new(PodDetails { volumes, ..PodDetails::default() }));
        let pod = Pod { namespace: "shop".into(), name: format!("web-{index}"), uid: uid(index), details };
        let origin = Origin::Container {
            id: format!("{index:064x}"),
            name: "web".into(),
            runtime: "containerd",
            resolved: true,
        };
        let mount =
            |device: u64, root: &str, point: &str| format!("1 0 0:{device} {root} {point} rw - tmpfs tmpfs rw\n");
        Mounted {
            cgroup: index,
            container: Container::default().update(origin, Some(pod), None),
            pod: uid(index),
            mountinfo: mount(index, "/", "/") + &mount(10, &folder(index), "/v"),
        }
    };
    let host = "1 0 0:10 / / rw - ext4 /dev/sda rw\n";
    Containers::mounted((1..4).map(container), host.as_bytes())
}

/// A record, without what follows in its last word.
fn record(header: Header, requested: &str, components: &[u8]) -> (Vec<u64>, usize) {
    let (requested_len, path_len) = (requested.len() as u16, components.len() as u16);
    let header = Header { requested_len, path_len, ..header };
    let all = [header.as_bytes(), requested.as_bytes(), components].concat();
    let mut words = vec![0_u64; all.len().div_ceil(8)];
    words.as_mut_bytes()[..all.len()].copy_from_slice(&all);
    (words, all.len())
}

fn header(cgroup_id: u64, device: u32, inode: u64) -> Header {
    let (kind, mask, program) = (kind::ACCESS, mask::OPEN | mask::READ, program::FEXIT);
    Header { kind, mask, program, cgroup_id, device, inode, tgid: 7, tid: 7, ..Header::new_zeroed() }
}

#[test]
fn a_file_is_looked_up_again_where_another_volume_is_mounted() {
    let mut stages = Stages::new();
    let (words, len) = record(header(1, 10, 5), "", b"key\0v\0");
    for state in [0, 1, 2, 0] {
        stages.containers.become_as(&mounted(state));
        for _ in 0..4 {
            stages.take(&words.as_bytes()[..len]);
        }
    }
    let (requests, kept) = stages.finish();
    // The first time it is new, and the second time it is encoded; in each other state only the first time.
    assert_eq!(kept, 2 + 3 * 3);
    let volumes = requests[0].resource_logs.iter().map(|logs| {
        let of = |record: &opentelemetry_proto::tonic::logs::v1::LogRecord| {
            let volume = record.attributes.iter().find(|attribute| attribute.key == "k8s.volume.name").unwrap();
            format!("{:?}", volume.value).contains("v1")
        };
        logs.scope_logs[0].log_records.iter().filter(|record| of(record)).count()
    });
    assert_eq!(volumes.collect::<Vec<_>>(), [0, 4, 0, 0]);
}

/// What comes next.
#[derive(Clone, Debug)]
enum Step {
    State(u8),
    Record {
        who: u64,
        device: u32,
        inode: u64,
        flags: u32,
        result: i32,
        comm: [u8; 16],
        names: (&'static str, Vec<u8>),
    },
}

fn step() -> impl Strategy<Value = Step> {
    let requested = select(vec!["", "key", "/v/key", "/etc/passwd"]);
    let paths: [&[u8]; 5] = [b"key\0v\0", b"yek\0v\0", b"passwd\0etc\0", b"\xff\0v\0", b""];
    let names = (requested, select(paths.map(<[u8]>::to_vec).to_vec()));
    let flags = select(vec![0, 0, 0, 0, flags::UNLINKED, flags::TRUNCATED]);
    let comm = select(vec![*b"cat\0\0\0\0\0\0\0\0\0\0\0\0\0", [0xff; 16]]);
    let file = (1..5_u64, select(vec![1, 2, 10]), 0..3_u64, flags, select(vec![0, 0, -13]), comm, names);
    let record = file.prop_map(|(who, device, inode, flags, result, comm, names)| Step::Record {
        who,
        device,
        inode,
        flags,
        result,
        comm,
        names,
    });
    prop_oneof![1 => (0..3_u8).prop_map(Step::State), 12 => record]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of few files, so that they come again, and of more than are kept in a test.
    #[test]
    fn what_is_kept_does_not_show(steps in vec(step(), 1..40), order in vec(any::<usize>(), 1..200)) {
        let (mut keeping, mut fresh) = (Stages::new(), Stages::new());
        for index in order {
            match steps[index % steps.len()].clone() {
                Step::State(state) => {
                    for stages in [&keeping, &fresh] {
                        stages.containers.become_as(&mounted(state));
                    }
                }
                Step::Record { who, device, inode, flags, result, comm, names: (requested, path) } => {
                    let header = Header { flags, result, comm, ..header(who, device, inode) };
                    let (words, len) = record(header, requested, &path);
                    fresh.paths = Paths::default();
                    for stages in [&mut keeping, &mut fresh] {
                        stages.take(&words.as_bytes()[..len]);
                    }
                }
            }
        }
        // There is one at least.
        let (words, len) = record(header(1, 10, 5), "", b"key\0v\0");
        for stages in [&mut keeping, &mut fresh] {
                        stages.take(&words.as_bytes()[..len]);
                    }
        let (keeping, fresh) = (keeping.finish(), fresh.finish());
        prop_assert_eq!(fresh.1, 0);
        prop_assert_eq!(keeping.0, fresh.0);
    }
}
