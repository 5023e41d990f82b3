//! The decision against a reader of the documentation, who asks every policy of everything.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::crd::{ClusterFileAccessPolicySpec, FileAccessPolicySpec, LabelSelector, Mode, RuleSpec};
use super::super::paths::tests::{agrees, is_name, names, path, pattern};
use super::super::rule::Results;
use super::*;

/// Accesses that each set of policies is asked about.
const ACCESSES: usize = 50;
const SETS: u32 = 2_000;
const NAMESPACES: [&str; 2] = ["shop", "bank"];
const OPERATIONS: [Operation; 3] = [Operation::Open, Operation::Create, Operation::Rename];

/// A policy as it is written; with a namespace it is that one's.
#[derive(Clone, Debug)]
struct Written {
    namespace: Option<&'static str>,
    spec: ClusterFileAccessPolicySpec,
}

/// Whoever acts, and what he does.
#[derive(Clone, Debug)]
struct Done {
    host: bool,
    pod: Option<(&'static str, Labels, Labels)>,
    name: String,
    image: String,
    names: [String; 3],
    operation: Operation,
    outcome: Outcome,
    executable: String,
    user: u32,
}

fn labels() -> impl Strategy<Value = Labels> {
    vec(("[ab]", "[xy]"), 0..2).prop_map(|pairs| pairs.into_iter().collect())
}

fn selector() -> impl Strategy<Value = LabelSelector> {
    let expression = ("[ab]", prop::sample::select(vec!["In", "NotIn", "Exists", "DoesNotExist"]), vec("[xy]", 1..3));
    let expression = expression.prop_map(|(key, operator, values)| {
        let values = if operator.ends_with("In") { values } else { Vec::new() };
        serde_json::json!({"key": key, "operator": operator, "values": values})
    });
    (labels(), vec(expression, 0..2)).prop_map(|(labels, expressions)| {
        let json = serde_json::json!({"matchLabels": labels, "matchExpressions": expressions});
        serde_json::from_value(json).expect("a selector")
    })
}

/// Most lists are empty: else nothing would be about anything.
fn few<T: std::fmt::Debug + Clone>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop_oneof![3 => Just(Vec::new()), 1 => vec(of, 1..3)]
}

fn rule_spec() -> impl Strategy<Value = RuleSpec> {
    let severity = prop::sample::select(vec![Severity::Low, Severity::Medium, Severity::High, Severity::Critical]);
    let result = prop::sample::select(vec![Results::Any, Results::Any, Results::Allowed, Results::Denied]);
    let action = prop_oneof![3 => Just(Action::Record), 1 => Just(Action::Violation)];
    let files = (vec(pattern(), 1..3), few(pattern()));
    let who = (few("!?/[ab]/(\\*|[ab])"), few(0..3_u32));
    (files, few(prop::sample::select(OPERATIONS.to_vec())), result, who, severity, action).prop_map(
        |((paths, except), operations, result, (executables, users), severity, action)| RuleSpec {
            paths,
            except,
            operations,
            result,
            executables,
            users,
            severity,
            action,
            ..RuleSpec::default()
        },
    )
}

fn written() -> impl Strategy<Value = Written> {
    let selectors = (prop_oneof![Just(LabelSelector::default()), selector()], selector(), any::<bool>());
    let lists = (few("!?[ab]\\*?"), few("!?(\\*/)?[ab]\\*"), vec(rule_spec(), 1..4));
    let namespace = prop::option::of(prop::sample::select(NAMESPACES.to_vec()));
    let mode = prop_oneof![3 => Just(Mode::Active), 1 => Just(Mode::DryRun)];
    (namespace, selectors, lists, mode).prop_map(|(namespace, selectors, (containers, images, mut rules), mode)| {
        for (number, rule) in rules.iter_mut().enumerate() {
            rule.name = number.to_string();
        }
        let (pod_selector, namespace_selector, host_processes) = selectors;
        let spec = ClusterFileAccessPolicySpec {
            mode,
            namespace_selector,
            pod_selector,
            host_processes,
            containers,
            images,
            rules,
            decoys: Vec::new(),
        };
        Written { namespace, spec }
    })
}

fn done() -> impl Strategy<Value = Done> {
    let pod = prop_oneof![
        1 => Just(None),
        4 => (prop::sample::select(NAMESPACES.to_vec()), labels(), labels()).prop_map(Some),
    ];
    let names = (path(), prop_oneof![Just(String::new()), path(), Just("a/b".to_owned())], few(path()));
    let who = (prop_oneof![4 => Just(false), 1 => Just(true)], pod, "[ab]{0,2}", "([ab]/)?[ab]{1,2}");
    let outcome = prop::sample::select(vec![Outcome::Success, Outcome::Failure(13), Outcome::Unknown]);
    let how = (prop::sample::select(OPERATIONS.to_vec()), outcome, "(/[ab]/[ab])?", 0..3_u32);
    (who, names, how).prop_map(
        |((host, pod, name, image), (path, requested, target), (operation, outcome, executable, user))| Done {
            host,
            pod,
            name,
            image,
            names: [path, requested, target.into_iter().next().unwrap_or_default()],
            operation,
            outcome,
            executable,
            user,
        },
    )
}

fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    let json = serde_json::to_value(selector).expect("JSON");
    let expressions = json["matchExpressions"].as_array().cloned().unwrap_or_default();
    selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
        && expressions.iter().all(|it| {
            let found = labels.get(it["key"].as_str().expect("a key"));
            let is_listed =
                || found.is_some_and(|value| it["values"].as_array().expect("values").contains(&value.as_str().into()));
            match it["operator"].as_str() {
                Some("In") => is_listed(),
                Some("NotIn") => !is_listed(),
                Some("Exists") => found.is_some(),
                _ => found.is_none(),
            }
        })
}

fn asks_for_none(selector: &LabelSelector) -> bool {
    selector.match_labels.iter().flatten().next().is_none()
        && selector.match_expressions.iter().flatten().next().is_none()
}

/// Whether a list of globs names something; `is`: whether one does.
fn lists(globs: &[String], is: impl Fn(&str) -> bool) -> bool {
    let (not, yes): (Vec<&str>, Vec<&str>) = globs.iter().map(String::as_str).partition(|glob| glob.starts_with('!'));
    !not.iter().any(|glob| is(&glob[1..])) && (yes.is_empty() || yes.iter().any(|glob| is(glob)))
}

impl Written {
    fn compiled(&self, number: usize) -> Arc<Policy> {
        let name = format!("{number:02}");
        let ClusterFileAccessPolicySpec { mode, pod_selector, containers, images, rules, .. } = self.spec.clone();
        let tenants = FileAccessPolicySpec { mode, pod_selector, containers, images, rules };
        let policy = match self.namespace {
            Some(namespace) => tenants.compile(&name, namespace),
            None => self.spec.compile(&name),
        };
        Arc::new(policy.expect("a policy"))
    }

    fn is_about(&self, done: &Done) -> bool {
        let Self { namespace, spec } = self;
        if done.host {
            return namespace.is_none() && spec.host_processes;
        }
        let is_its = match (&done.pod, namespace) {
            (Some((its, _, labels)), Some(own)) => its == own && selects(&spec.pod_selector, labels),
            (None, Some(_)) => false,
            (Some((_, of_namespace, labels)), None) => {
                selects(&spec.namespace_selector, of_namespace) && selects(&spec.pod_selector, labels)
            }
            // What has no labels is chosen by a policy that asks for none.
            (None, None) => asks_for_none(&spec.namespace_selector) && asks_for_none(&spec.pod_selector),
        };
        is_its
            && lists(&spec.containers, |glob| is_name(glob.as_bytes(), done.name.as_bytes()))
            && lists(&spec.images, |glob| is_name(glob.as_bytes(), done.image.as_bytes()))
    }
}

fn rule_is_about(rule: &RuleSpec, done: &Done) -> bool {
    let is = |patterns: &[String]| {
        let of_file = done.names.iter().filter(|name| name.starts_with('/'));
        of_file.into_iter().any(|name| patterns.iter().any(|pattern| agrees(&names(pattern), &names(name))))
    };
    let failed = matches!(done.outcome, Outcome::Failure(_));
    (rule.operations.is_empty() || rule.operations.contains(&done.operation))
        && (rule.result == Results::Any || failed == (rule.result == Results::Denied))
        && (rule.users.is_empty() || rule.users.contains(&done.user))
        && lists(&rule.executables, |glob| agrees(&names(glob), &names(&done.executable)))
        && is(&rule.paths)
        && !is(&rule.except)
}

fn attempt(done: &Done) -> Attempt<'_> {
    let [path, requested, target] = done.names.each_ref().map(String::as_bytes);
    let Done { operation, outcome, user, .. } = *done;
    let executable = done.executable.as_bytes();
    Attempt { path, target, requested: rule::name(requested), also: &[], operation, outcome, executable, user }
}

fn subject(done: &Done) -> Subject<'_> {
    if done.host {
        return Subject::Host;
    }
    let pod = done.pod.as_ref().map(|(namespace, namespace_labels, labels)| PodLabels {
        namespace,
        namespace_labels,
        labels,
    });
    Subject::Container { name: &done.name, image: &done.image, pod }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: SETS, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_set_and_a_reader_agree(policies in vec(written(), 1..5), accesses in vec(done(), ACCESSES)) {
        let compiled = policies.iter().enumerate().map(|(number, policy)| policy.compiled(number));
        let by_name: Vec<_> = compiled.collect();
        let set = PolicySet::new(by_name.iter().cloned());
        let mut matched = Vec::new();
        for done in &accesses {
            let about: Vec<_> = (0..policies.len())
                .flat_map(|policy| (0..policies[policy].spec.rules.len()).map(move |rule| (policy, rule)))
                .filter(|(policy, rule)| {
                    policies[*policy].is_about(done) && rule_is_about(&policies[*policy].spec.rules[*rule], done)
                })
                .map(|(policy, rule)| (&by_name[policy], &by_name[policy].rules[rule]))
                .collect();
            let mut expected: Vec<_> = about.iter().map(|(policy, rule)| (&*policy.name, &*rule.name)).collect();
            let active = || about.iter().filter(|(policy, _)| policy.active).map(|(_, rule)| rule);
            let worst = active().map(|rule| (rule.severity, active().map(|rule| rule.action).max())).max();
            let selection = set.select(&subject(done));
            // What the kernel is not to record, nobody would miss.
            prop_assert!(!selection.is_empty() || about.is_empty(), "{:?}", done);
            let [path, requested, target] = done.names.each_ref().map(String::as_str);
            let passes = filter::tests::passes(&set.filter(&selection), done.operation.bit(), path, requested, target);
            prop_assert!(passes || about.is_empty(), "{:?} {:?}", done, policies);
            let verdict = set.decide(&selection, &attempt(done), &mut matched);
            let found = match verdict {
                Verdict::Ignore => None,
                Verdict::Keep { rule, action } => set.get(rule).map(|(_, rule)| (rule.severity, Some(action))),
            };
            prop_assert_eq!(found, worst, "{:?} {:?}", done, policies);
            let mut found: Vec<_> = matched.iter().filter_map(|index| set.get(*index)).map(|(policy, rule)| (&*policy.name, &*rule.name)).collect();
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected, "{:?} {:?}", done, policies);
        }
    }
}
