use kube::core::Selector;

use super::globs::Globs;
use super::paths::Paths;
use super::scope::{Labels, Place, PodLabels};
use super::*;
use crate::event::{Operation, Outcome};

mod reference;

fn rule(name: &str, path: &str, severity: Severity, action: Action) -> Rule {
    let paths = Paths::parse([path]).expect("a pattern");
    Rule { name: name.to_owned(), paths, severity, action, ..Rule::default() }
}

fn policy(name: &str, namespace: &str, rules: Vec<Rule>) -> Arc<Policy> {
    let place = Place::Namespace(namespace.to_owned());
    let scope = Scope { place, pods: Selector::default(), containers: Globs::default(), images: Globs::default() };
    Arc::new(Policy { name: name.to_owned(), active: true, scope, rules, decoys: Vec::new(), counts: Arc::default() })
}

fn set() -> PolicySet {
    let low = |path| rule("low", path, Severity::Low, Action::Record);
    let mut dry = policy("dry", "shop", vec![rule("all", "/**", Severity::Critical, Action::Violation)]);
    Arc::make_mut(&mut dry).active = false;
    let tokens = vec![
        low("/run/secrets/**"),
        rule("token", "**/token", Severity::High, Action::Record),
        rule("other-token", "**/token", Severity::High, Action::Record),
        rule("forbidden", "/run/secrets/root/*", Severity::Medium, Action::Violation),
    ];
    PolicySet::new([policy("tokens", "shop", tokens), dry, policy("bank", "bank", vec![low("/**")])])
}

fn select(set: &PolicySet, namespace: &str) -> Selection {
    let none = Labels::new();
    let pod = PodLabels { namespace, namespace_labels: &none, labels: &none };
    set.select(&Subject::Container { name: "app", image: "", pod: Some(pod) })
}

fn open(path: &str) -> Attempt<'_> {
    Attempt {
        path: path.as_bytes(),
        target: b"",
        requested: b"",
        also: &[],
        operation: Operation::Open,
        outcome: Outcome::Success,
        executable: b"/bin/cat",
        user: 0,
    }
}

fn names(set: &PolicySet, indexes: &[RuleIndex]) -> Vec<String> {
    let name = |index: &RuleIndex| set.get(*index).map(|(policy, rule)| format!("{}/{}", policy.name, rule.name));
    indexes.iter().filter_map(name).collect()
}

#[test]
fn the_most_severe_rule_names_the_event() {
    let set = set();
    let (shop, mut matched) = (select(&set, "shop"), Vec::new());
    let mut check = |path: &str, expected: Option<(&str, Action)>, all: &[&str]| {
        let verdict = match set.decide(&shop, &open(path), &mut matched) {
            Verdict::Ignore => None,
            Verdict::Keep { rule, action } => Some((names(&set, &[rule]).remove(0), action)),
        };
        assert_eq!(verdict, expected.map(|(name, action)| (name.to_owned(), action)), "{path}");
        assert_eq!(names(&set, &matched), all, "{path}");
    };
    check("/etc/passwd", None, &["dry/all"]);
    check("/run/secrets/a/b", Some(("tokens/low", Action::Record)), &["dry/all", "tokens/low"]);
    check(
        "/run/secrets/a/token",
        Some(("tokens/token", Action::Record)),
        &["dry/all", "tokens/low", "tokens/token", "tokens/other-token"],
    );
    check(
        "/run/secrets/root/a",
        Some(("tokens/forbidden", Action::Violation)),
        &["dry/all", "tokens/low", "tokens/forbidden"],
    );
    // Violations do not hide behind records that are more severe.
    check(
        "/run/secrets/root/token",
        Some(("tokens/token", Action::Violation)),
        &["dry/all", "tokens/low", "tokens/token", "tokens/other-token", "tokens/forbidden"],
    );
}

#[test]
fn nobody_is_held_against_the_rules_of_others() {
    let set = set();
    let mut matched = vec![RuleIndex { policy: 0, rule: 0 }];
    let bank = select(&set, "bank");
    assert!(matches!(set.decide(&bank, &open("/run/secrets/a/token"), &mut matched), Verdict::Keep { .. }));
    assert_eq!(names(&set, &matched), ["bank/low"]);
    let nobody = select(&set, "kube-system");
    assert!(nobody.is_empty() && set.select(&Subject::Host).is_empty() && !bank.is_empty());
    assert_eq!(set.decide(&nobody, &open("/run/secrets/a/token"), &mut matched), Verdict::Ignore);
    assert!(matched.is_empty());
}

#[test]
fn what_a_dry_run_would_make_is_counted_once() {
    let paths = ["/a", "/**"].map(|path| rule(path, path, Severity::Low, Action::Record));
    let mut dry = policy("dry", "shop", paths.to_vec());
    Arc::make_mut(&mut dry).active = false;
    let active = policy("active", "shop", paths.to_vec());
    let set = PolicySet::new([Arc::clone(&dry), Arc::clone(&active)]);
    let (shop, mut matched) = (select(&set, "shop"), Vec::new());
    for (path, accesses) in [("/a", 1), ("/a", 12), ("/b", 1)] {
        set.decide(&shop, &open(path), &mut matched);
        set.count(&matched, accesses);
    }
    let counted = |policy: &Policy| {
        let counts = &policy.counts;
        [counts.of(Action::Record), &counts.dry_events].map(|count| count.load(Ordering::Relaxed))
    };
    assert_eq!([counted(&dry), counted(&active)], [[27, 3], [27, 0]]);
}

#[test]
fn a_path_is_unresolved_where_no_container_has_it() {
    let policy = |name: &str, paths: &[&str]| {
        let spec = serde_json::json!({"rules": [{"name": "r", "paths": paths}]});
        let spec: crd::FileAccessPolicySpec = serde_json::from_value(spec).unwrap();
        Arc::new(spec.compile(name, "shop").unwrap())
    };
    let set = PolicySet::new([policy("a", &["/etc/a", "/etc/b", "/etc/*"]), policy("b", &["/etc/b"])]);
    let all = set.all();
    let (has_a, has_none) = (|path: &[u8]| path != b"/etc/a", |_: &[u8]| true);
    let check = |containers: &[Files<'_>], expected: [u64; 2]| {
        set.count_unresolved(containers);
        let found: Vec<_> = set.0.iter().map(|policy| policy.counts.unresolved.load(Ordering::Relaxed)).collect();
        assert_eq!(found, expected);
    };
    check(&[(&all, &has_none)], [2, 1]);
    check(&[(&all, &has_none), (&all, &has_a)], [1, 1]);
    let first = Selection(all.0[..1].into());
    check(&[(&first, &has_none)], [2, 0]);
    check(&[], [0, 0]);
}

#[test]
fn an_index_of_another_set_is_nothing() {
    let set = set();
    assert!(PolicySet::default().get(RuleIndex { policy: 0, rule: 0 }).is_none());
    assert!(set.get(RuleIndex { policy: 0, rule: 9 }).is_none());
}

#[test]
fn deciding_allocates_nothing() {
    let patterns = ["/etc/*", "/home/*/.ssh/**", "**/*.pem", "**/id_rsa", "/data/**"];
    let paths = Paths::parse(patterns).expect("patterns");
    let executables = Globs::parse(["!/usr/bin/*"], globs::Star::Name).expect("a glob");
    let set = PolicySet::new([policy("p", "shop", vec![Rule { paths, executables, ..Rule::default() }])]);
    let (shop, mut matched) = (select(&set, "shop"), Vec::with_capacity(1));
    for path in ["/etc/passwd", "/home/a/.ssh/known_hosts", "/a/b.pem", "/usr/lib/libc.so.6"] {
        // The first match fills the pool of the regular expressions' scratch space.
        let expected = set.decide(&shop, &open(path), &mut matched);
        let counted = allocation_counter::measure(|| {
            assert_eq!(set.decide(&shop, &open(path), &mut matched), expected);
        });
        assert_eq!(counted.count_total, 0, "{path}");
    }
}

#[test]
fn decoys_are_of_active_policies_and_not_of_the_host() {
    let decoy = |path: &str| {
        let text = |text: &str| text.to_owned();
        Arc::new(Decoy { name: text("d"), policy: text("p"), path: text(path), content: text(""), mode: 0o444 })
    };
    let high = |path| rule("d", path, Severity::High, Action::Violation);
    let mut both = policy("both", "shop", vec![high("/rule"), high("/a"), high("/b")]);
    let of = Arc::make_mut(&mut both);
    of.decoys = vec![decoy("/a"), decoy("/b")];
    of.scope.place = Place::Cluster { namespaces: Selector::default(), host: true };
    let mut dry = both.clone();
    (Arc::make_mut(&mut dry).name, Arc::make_mut(&mut dry).active) = ("dry".to_owned(), false);
    let set = PolicySet::new([both, dry, policy("without", "shop", vec![high("/c")])]);
    let (of_pod, of_host) = (select(&set, "shop"), set.select(&Subject::Host));
    let paths = |selection| set.decoys(selection).map(|decoy| decoy.path.clone()).collect::<Vec<_>>();
    assert_eq!((paths(&of_pod), paths(&of_host)), (vec!["/a".to_owned(), "/b".to_owned()], vec![]));
    assert_eq!((of_pod.indexes().count(), of_host.indexes().count()), (7, 2));
    assert_eq!(set.with_decoys().collect::<Vec<_>>(), ["both"]);
    let verdict = |selection, path| set.decide(selection, &open(path), &mut Vec::new());
    assert!(matches!(verdict(&of_pod, "/b"), Verdict::Keep { action: Action::Violation, .. }));
    assert_eq!(verdict(&of_host, "/b"), Verdict::Ignore);
}
