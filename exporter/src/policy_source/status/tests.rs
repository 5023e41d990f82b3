use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use kube::api::DynamicObject;
use kube::core::Status;

use super::nodes::COUNTS_EVERY;
use super::*;
use crate::event::Backend;
use crate::policy::crd::{Condition, MESSAGE_MAX};

const WELL: NodeHealth =
    NodeHealth { backend: Backend::Fexit, may_miss: None, reports: true, missed: 0, filter_full: 0 };

fn policy(mode: &str, refused: Option<&str>) -> Reported {
    let text = format!(
        "apiVersion: inotrail.dev/v1alpha1\nkind: FileAccessPolicy\nmetadata: {{name: a}}\n\
         spec: {{mode: {mode}, rules: [{{name: r, paths: [/a]}}]}}\n"
    );
    Reported {
        resource: ApiResource::erase::<crate::policy::crd::FileAccessPolicy>(&()),
        namespace: Some("shop".to_owned()),
        name: "a".to_owned(),
        generation: 3,
        refused: refused.map(str::to_owned),
        policy: crate::policy::document::read(&text).0.pop().map(Arc::new),
        nodes: Nodes::default(),
    }
}

/// A node that tells of one policy; seconds since it began are its time.
struct Bench {
    policies: watch::Sender<Vec<Reported>>,
    health: Arc<Mutex<NodeHealth>>,
    reporter: Reporter<Box<dyn Fn() -> NodeHealth>>,
    start: Instant,
}

impl Bench {
    fn new(policy: Reported) -> Self {
        let (policies, receiver) = watch::channel(vec![policy]);
        let health = Arc::new(Mutex::new(WELL));
        let read = Arc::clone(&health);
        let read: Box<dyn Fn() -> NodeHealth> = Box::new(move || *read.lock().unwrap());
        Self { policies, health, reporter: Reporter::new("node-1".to_owned(), receiver, read), start: Instant::now() }
    }

    /// What is told then.
    fn due(&mut self, second: u64) -> Vec<NodeStatus> {
        let now = self.start + Duration::from_secs(second);
        let due = self.reporter.due(now, &time(second));
        for (policy, status) in &due {
            self.reporter.told.insert(policy.key(), (status.clone(), now));
        }
        due.into_iter().map(|(_, status)| status).collect()
    }

    #[track_caller]
    fn one(&mut self, second: u64) -> NodeStatus {
        let mut due = self.due(second);
        assert_eq!(due.len(), 1, "{due:?}");
        due.remove(0)
    }
}

fn time(second: u64) -> Time {
    Time(Timestamp::from_second(second as i64).unwrap())
}

/// `Active=False DryRun 7`: with the second since when it is so.
fn words(status: &NodeStatus) -> Vec<String> {
    let word =
        |it: &Condition| format!("{}={} {} {}", it.type_, it.status, it.reason, it.last_transition_time.0.as_second());
    status.conditions.iter().map(word).collect()
}

#[test]
fn changes_are_told_at_once_and_counts_sometimes() {
    let mut bench = Bench::new(policy("active", None));
    let first = bench.one(0);
    assert_eq!((first.state, first.observed_generation), (NodeState::Active, 3));
    assert_eq!(bench.due(1), []);
    let counts = Arc::clone(&bench.policies.borrow()[0].policy.as_ref().unwrap().counts);
    let add = |count: &AtomicU64| count.fetch_add(1, Ordering::Relaxed);
    add(counts.of(Action::Violation));
    assert_eq!(bench.due(2), []);
    let later = COUNTS_EVERY.as_secs();
    assert_eq!(bench.one(later).violations, 1);
    counts.containers.store(2, Ordering::Relaxed);
    assert_eq!(bench.one(later).containers, 2);
    bench.policies.send_replace(Vec::new());
    assert_eq!((bench.due(later), bench.reporter.told.len()), (vec![], 0));
}

/// Seconds at which the policy is tried, where each try is answered by this status.
fn tries(bench: &mut Bench, code: u16, seconds: std::ops::Range<u64>) -> Vec<u64> {
    let error = kube::Error::Api(Status::failure("no", "").with_code(code).boxed());
    let is_tried = |second: &u64| {
        let now = bench.start + Duration::from_secs(*second);
        let due = bench.reporter.due(now, &time(*second));
        for (policy, _) in &due {
            bench.reporter.put_off(policy, &error, now);
        }
        !due.is_empty()
    };
    seconds.filter(is_tried).collect()
}

#[test]
fn what_is_not_taken_is_tried_less_and_less() {
    let mut bench = Bench::new(policy("active", None));
    assert_eq!(tries(&mut bench, 403, 0..300), [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]);
    bench.policies.send_replace(vec![Reported { generation: 4, ..policy("active", None) }]);
    assert_eq!(tries(&mut bench, 422, 300..7600), [300, 3900, 7500], "there is no room");
    bench.policies.send_replace(vec![Reported { generation: 5, ..policy("active", None) }]);
    assert_eq!(bench.one(7600).observed_generation, 5);
    bench.policies.send_replace(Vec::new());
    assert_eq!((bench.due(7601), bench.reporter.put_off.len()), (vec![], 0));
}

#[test]
fn conditions_say_since_when_they_are_so() {
    let mut bench = Bench::new(policy("active", None));
    let well = "Degraded=False AsExpected 1";
    assert_eq!(words(&bench.one(1)), ["Accepted=True Valid 1", "Active=True Watching 1", well]);
    let mut now = |second, policy: Reported| {
        bench.policies.send_replace(vec![policy]);
        bench.one(second)
    };
    assert_eq!(words(&now(2, policy("dry-run", None))), ["Accepted=True Valid 1", "Active=False DryRun 2", well]);
    // The reason changes, the status does not.
    let mut wrong = Reported { generation: 4, policy: None, ..policy("active", Some(&"é".repeat(200))) };
    let refused = now(3, wrong.clone());
    assert_eq!(words(&refused), ["Accepted=False Invalid 3", "Active=False Refused 2", well]);
    assert_eq!(refused.state, NodeState::Refused);
    let [accepted, ..] = &*refused.conditions else { panic!() };
    assert_eq!((accepted.observed_generation, accepted.message.len()), (Some(4), MESSAGE_MAX - 1));
    assert!(accepted.message.ends_with("é\u{2026}"), "{}", accepted.message);
    wrong.policy = policy("active", None).policy;
    let earlier = now(4, wrong.clone());
    assert_eq!(words(&earlier), ["Accepted=False Invalid 3", "Active=True EarlierVersion 4", well]);
    wrong.policy = policy("dry-run", None).policy;
    assert_eq!(words(&now(5, wrong)), ["Accepted=False Invalid 3", "Active=False DryRun 5", well]);
    assert_eq!(words(&now(6, policy("active", None))), ["Accepted=True Valid 6", "Active=True Watching 6", well]);
}

#[test]
fn a_node_that_does_not_see_all_says_so() {
    let mut bench = Bench::new(policy("active", None));
    assert_eq!(bench.one(1).backend, Some(Backend::Fexit));
    let mut now = |second, health: NodeHealth| {
        *bench.health.lock().unwrap() = health;
        bench.due(second).first().map(|status| (status.backend, words(status).remove(2)))
    };
    let fexit = |words: &str| Some((Some(Backend::Fexit), words.to_owned()));
    let kprobe = |words: &str| Some((Some(Backend::Kprobe), words.to_owned()));
    let blind = NodeHealth { reports: false, ..WELL };
    assert_eq!(now(2, blind), fexit("Degraded=True NotReporting 2"));
    assert_eq!(now(3, NodeHealth { filter_full: 1, ..blind }), None);
    let full = NodeHealth { filter_full: 1, ..WELL };
    assert_eq!(now(4, full), fexit("Degraded=True FilterFull 2"));
    assert_eq!([now(602, full), now(603, full)], [None, fexit("Degraded=False AsExpected 603")]);
    let may_miss = NodeHealth { may_miss: Some("why"), ..full };
    assert_eq!(now(604, may_miss), fexit("Degraded=True BackendMayMiss 604"));
    assert_eq!(now(605, full), fexit("Degraded=False AsExpected 605"));
    // What was missed is told of for ten minutes.
    let missed = NodeHealth { missed: 7, ..full };
    assert_eq!(now(1010, missed), fexit("Degraded=True HookMissed 1010"));
    let swapped = NodeHealth { backend: Backend::Kprobe, ..missed };
    assert_eq!(now(1011, swapped), kprobe("Degraded=True HookMissed 1010"));
    let again = NodeHealth { missed: 8, ..swapped };
    assert_eq!([now(1600, again), now(1611, again), now(2199, again)], [None, None, None]);
    assert_eq!(now(2200, again), kprobe("Degraded=False AsExpected 2200"));
}

#[test]
fn a_new_run_goes_on_with_what_an_earlier_one_has_told() {
    let told = Bench::new(policy("active", None)).one(7);
    let other = NodeStatus { node: "node-2".to_owned(), ..NodeStatus::default() };
    let object = json!({
        "apiVersion": API_VERSION, "kind": "FileAccessPolicy", "metadata": {"name": "a", "namespace": "shop"},
        "status": {"nodes": [other, told]},
    });
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let nodes = Nodes::of(&object, "node-1");
    assert_eq!((nodes.names(), nodes.counts_every()), (vec!["node-2".to_owned(), told.node.clone()], COUNTS_EVERY * 2));
    let next = Bench::new(Reported { nodes, ..policy("dry-run", None) }).one(100);
    assert_eq!(words(&next), ["Accepted=True Valid 7", "Active=False DryRun 100", "Degraded=False AsExpected 7"]);
    // One of another version.
    let mut strange = object;
    strange.data["status"]["nodes"][1] = json!({"node": "node-1", "conditions": "none"});
    assert_eq!(Nodes::of(&strange, "node-1").own_conditions(), []);
}

#[test]
fn a_dry_run_says_what_it_would_make() {
    let mut bench = Bench::new(policy("dry-run", None));
    let counts = Arc::clone(&bench.policies.borrow()[0].policy.as_ref().unwrap().counts);
    assert_eq!(bench.one(0).expected_per_minute, None);
    counts.dry_events.store(4, Ordering::Relaxed);
    assert_eq!(bench.due(9), []);
    assert_eq!(bench.one(10).expected_per_minute, Some(24));
    // As with counts: it is told no more often than these.
    assert_eq!(bench.due(12), []);
    assert_eq!(bench.one(20).expected_per_minute, Some(12));
    // Another version has not made any.
    let reported = |generation, mode: &str| {
        let mut reported = Reported { generation, ..policy(mode, None) };
        Arc::make_mut(reported.policy.as_mut().unwrap()).counts = Arc::clone(&counts);
        vec![reported]
    };
    bench.policies.send_replace(reported(4, "dry-run"));
    assert_eq!(bench.one(21).expected_per_minute, None);
    assert_eq!(bench.one(31).expected_per_minute, Some(0));
    bench.policies.send_replace(reported(5, "active"));
    assert_eq!((bench.one(41).expected_per_minute, bench.reporter.rates.len()), (None, 0));
}
