use std::collections::HashMap;

use inotrail_ebpf::{Header, LedgerKey, kind, mask};
use zerocopy::FromZeros as _;

use super::*;
use crate::container::Origin;
use crate::event::Outcome;
use crate::sensor::Entry;

const SECOND: u64 = 1_000_000_000;

/// Collects what it is given; wants everything but paths that start with `/skip`, and has no room for `/full`.
#[derive(Default)]
struct Collected(Vec<(String, u64, String)>);

impl Output for Collected {
    fn wants(&self, event: &Event<'_>) -> bool {
        !event.access.path.starts_with(b"/skip")
    }

    fn has_room(&mut self, event: &Event<'_>) -> bool {
        event.access.path != b"/full"
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        let Origin::Container { id, .. } = &event.container.origin else { panic!("{event:?}") };
        assert_eq!(event.access.outcome(), Outcome::Success);
        self.0.push((String::from_utf8_lossy(event.access.path).into_owned(), event.sequence, id.clone()));
        ControlFlow::Continue(())
    }

    fn loss(&mut self, loss: &Loss<'_>) {
        self.0.push((crate::otlp::sentence(loss), loss.sequence, String::new()));
    }

    fn stopped(&mut self, stopped: &Stopped<'_>) {
        let Stopped { container, events, losses, time_ns } = stopped;
        assert_eq!((&container.origin, *time_ns > 0), (&Origin::Exporter, true));
        self.0.push((format!("stopped after {events} and {losses}"), Stopped::SEQUENCE, String::new()));
    }

    fn drained(&mut self, _: u64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

fn container(id: &str) -> Arc<Container> {
    let origin = Origin::Container { id: id.to_owned(), name: id.to_owned(), runtime: "containerd", resolved: true };
    Arc::new(Container::new(origin))
}

fn stages(host: bool, containers: &[(u64, Arc<Container>)]) -> Stages<Collected> {
    Stages {
        backend: Backend::RawTracepoint,
        clock: Clock::now(),
        observed_ns: unix_now(),
        counted: Counted::new(0),
        containers: Containers::fixed(containers.iter().cloned().collect()),
        processes: ProcessTable::default(),
        scans: std::sync::mpsc::sync_channel(1).1,
        outages: std::sync::mpsc::sync_channel(1).1,
        losses: LossBook::new(0),
        account: None,
        outlet: Outlet {
            host,
            cgroups: CgroupEvents::unheard(),
            metrics: Arc::default(),
            judge: Judge::default(),
            followed: None,
            output: Collected::default(),
            shed: IdMap::default(),
            given: (0, 0),
            wanted: 0,
            done: false,
        },
    }
}

fn header(cgroup_id: u64) -> Header {
    let mut header = Header::new_zeroed();
    (header.kind, header.mask, header.cgroup_id, header.tgid) = (kind::ACCESS, mask::OPEN | mask::READ, cgroup_id, 7);
    header
}

fn feed(stages: &mut Stages<Collected>, held: &mut Held, cgroup_id: u64, path: &str) {
    let header = header(cgroup_id);
    let access = Access { path: path.as_bytes(), ..Access::of(&header) };
    let snapshot = stages.containers.snapshot();
    stages.record(Ok(Record::Access(access)), &snapshot, held);
}

fn seen(stages: &Stages<Collected>) -> Vec<(&str, u64, &str)> {
    stages.outlet.output.0.iter().map(|(path, sequence, id)| (path.as_str(), *sequence, id.as_str())).collect()
}

#[test]
fn numbers_each_container_on_its_own_and_only_what_is_wanted() {
    let mut stages = stages(true, &[(1, container("a")), (2, container("b"))]);
    let mut held = Held::default();
    for (cgroup, path) in [(1, "/x"), (2, "/y"), (1, "/skip/this"), (1, "/z")] {
        feed(&mut stages, &mut held, cgroup, path);
    }
    assert_eq!(seen(&stages), [("/x", 1, "a"), ("/y", 1, "b"), ("/z", 2, "a")]);
    assert_eq!(stages.outlet.metrics.emitted.get(), 3);
}

#[test]
fn what_has_no_room_gets_no_number_and_is_told_as_its_containers_loss() {
    let mut stages = stages(true, &[(1, container("a")), (2, container("b"))]);
    let mut held = Held::default();
    for (cgroup, path) in [(1, "/full"), (1, "/x"), (2, "/full"), (1, "/full"), (1, "/y")] {
        feed(&mut stages, &mut held, cgroup, path);
    }
    assert_eq!(seen(&stages), [("/x", 1, "a"), ("/y", 2, "a")]);
    assert_eq!(stages.outlet.metrics.dropped(Dropped::Shed).get(), 3);
    let snapshot = stages.containers.snapshot();
    stages.tell_losses(&snapshot, true);
    let mut told: Vec<_> = seen(&stages)[2..].iter().map(|(words, number, _)| (*words, *number)).collect();
    told.sort_unstable();
    assert_eq!(told, [("1 access lost: shed", 1), ("2 accesses lost: shed", 1)]);
}

/// A calendar that is set back while a record waits in the ring would put it into the future.
#[test]
fn nothing_is_seen_before_it_happens() {
    let stages = stages(true, &[]);
    let now = stages.observed_ns;
    let boottime = |unix_ns: u64| unix_ns - stages.clock.unix(1) + 1;
    let check = |unix_ns, expected| assert_eq!(stages.times(boottime(unix_ns)), expected);
    check(now - 7 * SECOND, (now - 7 * SECOND, now));
    check(now + SECOND / 2, (now + SECOND / 2, now + SECOND / 2));
    assert_eq!(stages.outlet.metrics.clamped.get(), 0);
    check(now + 3600 * SECOND, (now, now));
    assert_eq!(stages.outlet.metrics.clamped.get(), 1);
}

#[test]
fn leaves_the_host_out_unless_asked() {
    let host = Arc::new(Container::new(Origin::Host));
    let mut stages = stages(false, &[(1, host)]);
    feed(&mut stages, &mut Held::default(), 1, "/x");
    assert_eq!((seen(&stages).len(), stages.outlet.metrics.emitted.get()), (0, 0));
}

#[test]
fn holds_events_until_their_container_is_known() {
    let mut stages = stages(true, &[(1, container("a"))]);
    let mut held = Held::default();
    for (cgroup, path) in [(9, "/early"), (1, "/known"), (9, "/second")] {
        feed(&mut stages, &mut held, cgroup, path);
    }
    assert!(held.waits_for(9));
    let now = SECOND;
    let unknown = Containers::fixed(HashMap::new()).snapshot();
    held.release(now, &unknown, |event| stages.outlet.deliver(event, &unknown));
    assert_eq!(seen(&stages), [("/known", 1, "a")]);
    let known = Containers::fixed([(9, container("new"))].into()).snapshot();
    held.release(now, &known, |event| stages.outlet.deliver(event, &known));
    assert_eq!(seen(&stages), [("/known", 1, "a"), ("/early", 1, "new"), ("/second", 2, "new")]);
    assert!(!held.waits_for(9));
}

#[test]
fn waits_for_no_container_for_ever() {
    let mut stages = stages(true, &[]);
    let mut held = Held::default();
    feed(&mut stages, &mut held, 9, "/x");
    let unknown = Containers::fixed(HashMap::new()).snapshot();
    let mut release = |stages: &mut Stages<_>, now_ns| {
        held.release(now_ns, &unknown, |event| stages.outlet.deliver(event, &unknown));
    };
    // Whatever the calendar says: only the time counts that has passed since.
    release(&mut stages, 29 * SECOND);
    assert_eq!(seen(&stages), []);
    release(&mut stages, 31 * SECOND);
    let seen = seen(&stages);
    assert_eq!((seen.len(), seen[0].0, seen[0].2), (1, "/x", ""));
    assert_eq!(stages.outlet.metrics.unresolved.get(), 1);
}

#[test]
fn counts_what_it_cannot_hold() {
    let mut stages = stages(true, &[]);
    let mut held = Held::default();
    let mut hold = |cgroup: u64, events: usize| {
        (0..events).for_each(|_| feed(&mut stages, &mut held, cgroup, "/x"));
        stages.outlet.metrics.dropped(Dropped::HeldFull).get()
    };
    assert_eq!(hold(9, 4_096 + 10), 10, "one container has its own share");
    assert_eq!([10, 11, 12].map(|cgroup| hold(cgroup, 4_096)), [10; 3]);
    let dropped = hold(13, 5);
    let snapshot = stages.containers.snapshot();
    held.release_all(&snapshot, |event| stages.outlet.deliver(event, &snapshot));
    assert_eq!((dropped, stages.outlet.metrics.emitted.get()), (15, 16_384));
}

#[test]
fn a_process_is_who_it_was_at_its_last_exec() {
    let mut stages = stages(true, &[(1, container("a"))]);
    let header = header(1);
    let exec = Access { path: b"/bin/cat", requested: b"cat", arguments: b"cat\0", ..Access::of(&header) };
    let snapshot = stages.containers.snapshot();
    stages.record(Ok(Record::Exec(exec)), &snapshot, &mut Held::default());
    assert_eq!(&*stages.processes.of(&header).executable, b"/bin/cat");
    // Without a hook on inode_permission the exec is also the access.
    assert_eq!(seen(&stages), [("/bin/cat", 1, "a")]);
}

#[test]
fn counted_accesses_are_one_event_of_many() {
    let mut stages = stages(true, &[(1, container("a"))]);
    let mut held = Held::default();
    let snapshot = stages.containers.snapshot();
    let key = LedgerKey { cgroup_id: 1, inode: 7, mask: mask::OPEN, kind: kind::ACCESS, ..LedgerKey::default() };
    stages.counted(&Entry { key, count: 12, overflow: false }, 5, &snapshot, &mut held);
    assert_eq!((seen(&stages), stages.outlet.metrics.emitted.get()), (vec![("", 1, "a")], 12));
    // Its container is not known yet.
    let early = LedgerKey { cgroup_id: 9, ..key };
    stages.counted(&Entry { key: early, count: 3, overflow: false }, 5, &snapshot, &mut held);
    assert!(held.waits_for(9) && stages.outlet.metrics.emitted.get() == 12);
    held.release_all(&snapshot, |event| stages.outlet.deliver(event, &snapshot));
    assert_eq!(stages.outlet.metrics.emitted.get(), 15);
    let overflow = LedgerKey { cgroup_id: 1, ..LedgerKey::default() };
    stages.counted(&Entry { key: overflow, count: 4, overflow: true }, 5, &snapshot, &mut held);
    assert_eq!(stages.outlet.metrics.dropped(Dropped::RingFull).get(), 4);
    stages.tell_losses(&snapshot, true);
    assert_eq!(seen(&stages).last(), Some(&("4 accesses lost: ring_full", 1, "")));
    // The end counts records, and not the accesses that they stand for.
    stages.tell_end();
    let last = seen(&stages).pop();
    assert_eq!(last, Some(("stopped after 2 and 1", 1, "")));
}

#[test]
fn losses_of_the_host_are_its_own_where_it_is_left_out() {
    let mut stages = stages(false, &[(1, Arc::new(Container::new(Origin::Host)))]);
    let snapshot = stages.containers.snapshot();
    let key = LedgerKey { cgroup_id: 1, ..LedgerKey::default() };
    for overflow in [false, true] {
        stages.counted(&Entry { key, count: 4, overflow }, 5, &snapshot, &mut Held::default());
    }
    let metrics = &stages.outlet.metrics;
    assert_eq!((metrics.emitted.get(), metrics.dropped(Dropped::RingFull).get()), (0, 0));
}

#[test]
fn only_what_a_rule_is_about_is_an_event() {
    let text = "apiVersion: inotrail.dev/v1alpha1\nkind: ClusterFileAccessPolicy\nmetadata: {name: p}\n\
                spec: {rules: [{name: r, paths: [/etc/*, /skip/*]}, {name: v, paths: [/etc/v], action: violation}]}\n";
    let (policies, problems) = crate::policy::document::read(text);
    assert_eq!(problems, []);
    let policy = Arc::new(policies.into_iter().next().unwrap());
    let set = crate::policy::PolicySet::new([Arc::clone(&policy)]);
    // What policies are about is an event whether or not the host's are asked for.
    let mut stages = stages(false, &[]);
    stages.containers = Containers::judged([(1, container("a"))].into(), set);
    let mut held = Held::default();
    for path in ["/etc/a", "/usr/b", "/etc/v", "/skip/c", ""] {
        feed(&mut stages, &mut held, 1, path);
    }
    assert_eq!(seen(&stages), [("/etc/a", 1, "a"), ("/etc/v", 2, "a")]);
    let metrics = &stages.outlet.metrics;
    assert_eq!((metrics.emitted.get(), metrics.undecided.get()), (2, 1));
    let counts = [crate::policy::rule::Action::Record, crate::policy::rule::Action::Violation]
        .map(|action| policy.counts.of(action).load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(counts, [3, 1]);
    // What was only counted has no path to decide by: it is lost, and said to be.
    let snapshot = stages.containers.snapshot();
    let key = LedgerKey { cgroup_id: 1, inode: 7, mask: mask::OPEN, kind: kind::ACCESS, ..LedgerKey::default() };
    stages.counted(&Entry { key, count: 12, overflow: false }, 5, &snapshot, &mut held);
    assert_eq!(stages.outlet.metrics.dropped(Dropped::RingFull).get(), 12);
}

/// What is told of a third `/x` and those that follow.
#[test]
fn equal_accesses_are_told_with_their_number() {
    let repeats = Arc::new(Repeats::in_memory());
    let mut stages = stages(true, &[(1, container("a"))]);
    stages.outlet.followed = Some(Followed::new(Arc::clone(&repeats), Some(Duration::from_secs(3600))));
    let mut held = Held::default();
    let feed = |stages: &mut Stages<Collected>, held: &mut Held, path: &str, identity| {
        let header = Header { identity, ..header(1) };
        let access = Access { path: path.as_bytes(), ..Access::of(&header) };
        let snapshot = stages.containers.snapshot();
        stages.record(Ok(Record::Access(access)), &snapshot, held);
    };
    let now = crate::sensor::boot_ns();
    feed(&mut stages, &mut held, "/x", 5);
    assert!(!repeats.count(5, now), "what comes once is not waited for");
    for (path, identity) in [("/x", 5), ("/y", 7), ("/z", 0), ("/z", 0)] {
        feed(&mut stages, &mut held, path, identity);
    }
    assert!((0..3).all(|_| repeats.count(5, now)) && !repeats.count(7, now));
    let snapshot = stages.containers.snapshot();
    stages.take_repeats(&snapshot, &mut held, false);
    assert_eq!(seen(&stages).len(), 5, "the window goes on");
    stages.take_repeats(&snapshot, &mut held, true);
    assert_eq!(seen(&stages)[5..], [("/x", 6, "a")]);
    assert_eq!((stages.outlet.metrics.emitted.get(), stages.outlet.wanted), (8, 8));
    assert!(!repeats.count(5, now), "it ends with the run");
}
