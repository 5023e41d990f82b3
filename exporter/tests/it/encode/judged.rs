//! What policies say of events.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};

use inotrail::event::{Operation, Outcome};
use inotrail::policy::rule::{Action, Attempt};
use inotrail::policy::scope::Subject;
use inotrail::policy::{Judgement, PolicySet, RuleIndex, Verdict, document};
use serde_json::json;

/// What rules are about: few of one policy, many of many, with names that are too long together, and each severity.
const PATHS: [&str; 5] = ["/one", "/many", "/medium", "/high", "/critical"];

struct Judged {
    set: PolicySet,
    /// In the order of [`PATHS`].
    each: Vec<(RuleIndex, Action, Vec<RuleIndex>)>,
}

static JUDGED: LazyLock<Judged> = LazyLock::new(|| {
    let (policies, problems) = document::read(&text());
    assert_eq!(problems, []);
    let set = PolicySet::new(policies.into_iter().map(Arc::new));
    let selection = set.select(&Subject::Container { name: "", image: "", pod: None });
    let each = PATHS.map(|path| {
        let mut matched = Vec::new();
        let attempt = Attempt {
            path: path.as_bytes(),
            target: b"",
            requested: b"",
            also: &[],
            operation: Operation::Open,
            outcome: Outcome::Success,
            executable: b"",
            user: 0,
        };
        let Verdict::Keep { rule, action } = set.decide(&selection, &attempt, &mut matched) else {
            panic!("no rule is about {path}")
        };
        (rule, action, matched)
    });
    Judged { set, each: each.to_vec() }
});

fn text() -> String {
    let mut text = String::new();
    let mut policy = |name: &str, mode: &str, rules: &str| {
        let head = "apiVersion: inotrail.dev/v1alpha1\nkind: ClusterFileAccessPolicy\n";
        writeln!(text, "---\n{head}metadata: {{name: {name}}}\nspec:\n  mode: {mode}\n  rules: [{rules}]").unwrap();
    };
    for number in 0..40 {
        let name = format!("{number:02}{}", "n".repeat(number));
        policy(&name, "active", "{name: a, paths: [/many]}, {name: b, paths: [/many, /one], labels: {team: shop}}");
    }
    policy("dry", "dry-run", "{name: x, paths: [/many], severity: critical, action: violation}");
    policy(
        "severe",
        "active",
        "{name: m, paths: [/medium], severity: medium}, {name: h, paths: [/high], severity: high, action: violation}",
    );
    let labels = json!(labels());
    policy("labels", "active", &format!("{{name: c, paths: [/critical], severity: critical, labels: {labels}}}"));
    text
}

/// As many as there may be, of every length that takes another form, and as long as may be.
fn labels() -> BTreeMap<String, String> {
    let label = |number: usize| (format!("example.com/{number}"), "é\n".repeat(number * 3));
    let mut labels: BTreeMap<_, _> = (0..15).map(label).collect();
    labels.insert("k".repeat(63), "v".repeat(256));
    labels
}

/// One of those, by any number; `None` for some.
pub(crate) fn judgement(number: usize) -> Option<Judgement<'static>> {
    let Judged { set, each } = &*JUDGED;
    let (rule, action, matched) = each.get(number % (2 * PATHS.len()))?;
    Some(Judgement { set, rule: *rule, action: *action, matched })
}
