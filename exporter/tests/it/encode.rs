//! Our bytes against those of opentelemetry-proto.

use std::sync::Arc;
use std::time::Duration;

use inotrail::batch::{Batch, Limits};
use inotrail::container::{Container, File, Image, Origin, Owner, OwnerKind, Pod, PodDetails};
use inotrail::event::{Access, Backend, Event, Node, Sight};
use inotrail::loss::{Counts, Loss, Uuid};
use inotrail::metrics::Dropped;
use inotrail::otlp::Encoder;
use inotrail::process::{Ancestor, Process};
use inotrail::stopped::Stopped;
use inotrail_ebpf::{Header, mask};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use zerocopy::FromBytes;

use super::oracle;

pub(crate) mod judged;
mod place;

use place::{Place, place};

/// An event that owns what it is made of.
#[derive(Clone, Debug)]
struct Owned {
    header: Header,
    path: Vec<u8>,
    target: Vec<u8>,
    requested: Vec<u8>,
    process: Process,
    times: [u64; 4],
    backend: Backend,
    sequence: u64,
    count: u64,
    container: usize,
    place: Place,
    judged: usize,
}

impl Owned {
    fn event<'a>(&'a self, containers: &'a [Arc<Container>]) -> Event<'a> {
        Event {
            time_ns: self.times[0],
            observed_ns: self.times[1],
            access: Access {
                path: &self.path,
                target: &self.target,
                requested: &self.requested,
                ..Access::of(&self.header)
            },
            process: &self.process,
            process_start_ns: self.times[2],
            container: &containers[self.container % containers.len()],
            file: self.place.file(containers),
            judgement: judged::judgement(self.judged),
            backend: self.backend,
            sequence: self.sequence,
            count: self.count,
            processes: (self.times[3] % 3) as u32,
            last_ns: self.times[3],
        }
    }
}

/// The same, of a file that is told from all others by a number.
fn sighted(mut event: Event<'_>, place: usize, number: u64) -> Event<'_> {
    let number = number + place as u64;
    event.access.seen = Some(Sight { number, view: 1, place: place as u32, is_kept: false });
    event
}

/// What one has done, as another would do it.
fn by(who: &Event<'_>, what: &Event<'_>) -> Header {
    let Header { tgid, tid, ppid, uid, euid, comm, .. } = *who.access.header;
    Header { tgid, tid, ppid, uid, euid, comm, ..*what.access.header }
}

/// `len` bytes out of `alphabet`, another choice for each seed. Far quicker than a strategy per byte.
fn pick(alphabet: &[u8], len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let step = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        alphabet[(state >> 33) as usize % alphabet.len()]
    };
    std::iter::repeat_with(step).take(len).collect()
}

/// Names of all kinds: none, ordinary, not ASCII, with backslashes, not UTF-8, and longer than each step of a length.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let every: Vec<u8> = (0..=255).collect();
    let long = prop::sample::select(vec![126, 127, 128, 4095, 8000, 16_500]);
    prop_oneof![
        1 => Just(Vec::new()),
        6 => (1..60usize, any::<u64>()).prop_map(|(len, seed)| pick(b"/abc.-", len, seed)),
        1 => (0..9usize).prop_map(|times| "/é…🦀\\a".repeat(times).into_bytes()),
        1 => (0..30usize, any::<u64>()).prop_map(move |(len, seed)| pick(&every, len, seed)),
        1 => (60..140usize, any::<u64>()).prop_map(|(len, seed)| pick(b"/p", len, seed)),
        1 => long.prop_map(|len| vec![b'/'; len]),
    ]
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => Just(0),
        4 => 1..20usize,
        1 => 60..200usize,
    ]
    .prop_flat_map(|len| any::<u64>().prop_map(move |seed| String::from_utf8(pick(b"abc.-9", len, seed)).unwrap()))
}

fn header() -> impl Strategy<Value = Header> {
    let every: Vec<u8> = (0..=255).collect();
    let bits = prop_oneof![
        Just(mask::READ | mask::OPEN),
        Just(mask::WRITE | mask::OPEN),
        Just(mask::OPEN | mask::CREATED),
        Just(mask::EXEC | mask::OPEN),
        (0..16u32).prop_map(|mutation| mutation << mask::MUTATION_SHIFT),
        any::<u32>(),
    ];
    let result = prop_oneof![
        4 => Just(0),
        1 => Just(1),
        2 => prop::sample::select(vec![-1, -2, -13, -20, -40, -41, -58, -116, -512, -i32::MAX, i32::MAX]),
    ];
    let small = || prop_oneof![0..4u32, any::<u32>(), Just(u32::MAX)];
    let inode = prop_oneof![Just(0), 1..100_000u64, any::<u64>()];
    let comm =
        prop_oneof![Just(*b"python3\0\0\0\0\0\0\0\0\0"), Just([0; 16]), any::<u128>().prop_map(u128::to_ne_bytes)];
    let who = (prop_oneof![1 => Just(0), 4 => any::<u32>()], comm);
    (any::<u64>(), bits, result, small(), small(), prop_oneof![2 => Just(0), 1 => any::<u32>()], inode, who).prop_map(
        move |(seed, bits, result, open_flags, confidence, flags, inode, (tgid, comm))| Header {
            kind: 1 + bits % 2,
            mask: bits,
            result,
            open_flags,
            confidence,
            flags,
            inode,
            tgid,
            comm,
            ..Header::read_from_bytes(&pick(&every, size_of::<Header>(), seed)).unwrap()
        },
    )
}

fn event() -> impl Strategy<Value = Owned> {
    let time =
        || prop_oneof![1 => Just(0), 3 => 1_700_000_000_000_000_000..1_900_000_000_000_000_000u64, 1 => any::<u64>()];
    let backend = prop::sample::select(vec![Backend::Fexit, Backend::Kprobe, Backend::RawTracepoint]);
    let count = prop_oneof![3 => Just(1), 1 => 0..=i64::MAX as u64];
    let names = (name(), name(), prop_oneof![Just(Vec::new()), name()], any::<bool>());
    let who = (process(), any::<usize>(), place(), any::<usize>());
    (header(), names, [time(), time(), time(), time()], backend, 0..=i64::MAX as u64, count, who).prop_map(
        |(
            header,
            (path, other, target, same),
            times,
            backend,
            sequence,
            count,
            (process, container, place, judged),
        )| Owned {
            requested: if same { path.clone() } else { other },
            header,
            path,
            target,
            process,
            times,
            backend,
            sequence,
            count,
            container,
            place,
            judged,
        },
    )
}

fn process() -> impl Strategy<Value = Process> {
    let few = || prop_oneof![9 => vec(name(), 0..3), 1 => vec(name(), 8)];
    let ids = vec(prop_oneof![0..9u32, any::<u32>()], 9);
    (name(), few(), few(), any::<bool>(), ids, any::<bool>()).prop_map(
        |(executable, ancestors, arguments, whole, ids, session)| Process {
            executable: executable.into(),
            ancestors: ids
                .iter()
                .zip(ancestors)
                .map(|(id, path)| Ancestor { tgid: *id, executable: path.into() })
                .collect(),
            arguments: arguments_of(&arguments, whole).into(),
            vpid: ids[8],
            session,
            start_boottime_ns: 0,
        },
    )
}

/// No argument holds a NUL.
fn arguments_of(arguments: &[Vec<u8>], whole: bool) -> Vec<u8> {
    let mut list = Vec::new();
    for argument in arguments {
        list.extend(argument.iter().filter(|byte| **byte != 0));
        list.push(0);
    }
    if !whole {
        list.pop();
    }
    list
}

fn container() -> impl Strategy<Value = Arc<Container>> {
    let runtime = prop::sample::select(vec!["", "containerd", "cri-o"]);
    let origin = prop_oneof![
        4 => (word(), word(), runtime, any::<bool>())
            .prop_map(|(id, name, runtime, resolved)| Origin::Container { id, name, runtime, resolved }),
        1 => word().prop_map(Origin::Unit),
        1 => Just(Origin::Host),
        1 => Just(Origin::Exporter),
    ];
    let pod = (word(), word(), word(), details()).prop_map(|(namespace, name, uid, details)| Pod {
        namespace,
        name,
        uid,
        details,
    });
    let pod = prop::option::of(pod);
    let image = prop::option::of(
        (word(), vec(word(), 0..3), vec(word(), 0..20)).prop_map(|(name, tags, repo_digests)| Image {
            name,
            tags,
            repo_digests,
        }),
    );
    (origin, pod, image).prop_map(|(origin, pod, image)| Arc::new(Container::default().update(origin, pod, image)))
}

fn details() -> impl Strategy<Value = Option<Arc<PodDetails>>> {
    use OwnerKind::{CronJob, DaemonSet, Deployment, Job, ReplicaSet, StatefulSet};
    let kind = prop::sample::select(vec![Deployment, ReplicaSet, StatefulSet, DaemonSet, CronJob, Job]);
    let owner = (kind, word()).prop_map(|(kind, name)| Owner { kind, name });
    let some = (vec(owner, 0..3), prop::option::of(word()), prop::option::of(word())).prop_map(
        |(owners, service_name, service_namespace)| PodDetails {
            owners,
            service_name,
            service_namespace,
            ..PodDetails::default()
        },
    );
    prop::option::of(some.prop_map(Arc::new))
}

fn node() -> impl Strategy<Value = Node> {
    (word(), word(), word(), word()).prop_map(|(name, cluster, host, stream_id)| Node {
        name,
        cluster,
        host,
        stream_id,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn losses_are_those_of_opentelemetry_proto(
        node in node(),
        container in container(),
        reason in prop::sample::select(Dropped::ALL.to_vec()),
        destination in prop::option::of("[a-z0-9-]{1,64}"),
        run in prop::option::of(any::<u128>()),
        counts in prop::option::of((0..=i64::MAX as u64, 0..=i64::MAX as u64, 0..=i64::MAX as u64)),
        times in (any::<u64>(), prop_oneof![Just(0), any::<u64>()], any::<u64>()),
        sequence in 0..=i64::MAX as u64,
    ) {
        let loss = Loss {
            reason,
            container: &container,
            destination: destination.as_deref(),
            run: run.map(Uuid),
            owed: 0,
            counts: counts.map(|(count, total, records)| Counts { count, total, records }),
            start_ns: times.0,
            end_ns: times.1,
            observed_ns: times.2,
            sequence,
        };
        let mut batch = Batch::new(Limits { records: 100, bytes: usize::MAX, age: Duration::from_secs(1), interval: Duration::from_secs(1) }, node.clone());
        prop_assert_eq!(batch.push_loss(&Encoder::new(&node), &loss, 0), None);
        let request = batch.take().unwrap();
        let expected = oracle::loss(&node, &loss);
        prop_assert_eq!((request.records, request.accesses), (1, 0));
        if request.body != expected.encode_to_vec() {
            prop_assert_eq!(oracle::decode(&request.body), expected);
            prop_assert!(false, "the same message, in other bytes");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ends_are_those_of_opentelemetry_proto(
        node in node(),
        numbers in (0..=i64::MAX as u64, 0..=i64::MAX as u64),
        time_ns in any::<u64>(),
    ) {
        let container = Arc::new(Container::new(Origin::Exporter));
        let stopped = Stopped { container: &container, events: numbers.0, losses: numbers.1, time_ns };
        let mut batch = Batch::new(Limits { records: 100, bytes: usize::MAX, age: Duration::from_secs(1), interval: Duration::from_secs(1) }, node.clone());
        prop_assert_eq!(batch.push_stopped(&Encoder::new(&node), &stopped, 0), None);
        let request = batch.take().unwrap();
        let expected = oracle::stopped(&node, &stopped);
        prop_assert_eq!(oracle::decode(&request.body), expected.clone());
        prop_assert_eq!((request.records, request.accesses, request.body), (1, 0, expected.encode_to_vec().into()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// The second batch goes through buffers that the first one left behind; the third has the first one's threads, which are
    /// known by then, and the second one's files, and so are these. Of those nothing is looked up again.
    #[test]
    fn requests_are_those_of_opentelemetry_proto(
        node in node(),
        containers in vec(container(), 1..4),
        batches in [vec(event(), 1..8), vec(event(), 1..4)],
    ) {
        let limits = Limits { records: 100, bytes: usize::MAX, age: Duration::from_secs(1), interval: Duration::from_secs(1) };
        let (mut batch, mut encoder) = (Batch::new(limits, node.clone()), Encoder::new(&node));
        let [first, second] = batches.each_ref().map(|events| events.iter().map(|event| event.event(&containers)));
        let first: Vec<_> = first.enumerate().map(|(place, event)| sighted(event, place, 0)).collect();
        let second: Vec<_> = second.enumerate().map(|(place, event)| sighted(event, place, 8)).collect();
        let headers: Vec<_> = first.iter().zip(second.iter().cycle()).map(|(who, what)| by(who, what)).collect();
        let third = first.iter().zip(second.iter().cycle()).zip(&headers);
        let third = third.map(|((who, what), header)| Event {
            access: Access { header, ..what.access },
            process: who.process,
            process_start_ns: who.process_start_ns,
            backend: who.backend,
            ..*what
        });
        let third = third.collect();
        for events in [first, second.clone(), third, second] {
            for event in &events {
                let mut event = *event;
                let sight = event.access.seen.unwrap();
                let is_kept = encoder.knows(&event, &sight);
                event.access.seen = Some(Sight { is_kept, ..sight });
                if is_kept {
                    event.file = File::default();
                }
                prop_assert_eq!(batch.push(&mut encoder, &event, 0), None);
            }
            let request = batch.take().unwrap();
            let expected = oracle::request(&node, &events);
            prop_assert_eq!(request.records, events.len() as u64);
            if request.body != expected.encode_to_vec() {
                // The bytes differ: say what in, if they can be read at all.
                prop_assert_eq!(oracle::decode(&request.body), expected);
                prop_assert!(false, "the same message, in other bytes");
            }
        }
    }
}
