//! What a record says of policies.

use inotrail::policy::Judgement;
use inotrail::policy::rule::{Action, Severity};

use opentelemetry_proto::tonic::common::v1::any_value::Value;

use super::{Attributes, attribute};

pub(super) fn severity(judgement: Judgement<'_>) -> i32 {
    match judgement.rule().unwrap().1.severity {
        Severity::Low => 10,
        Severity::Medium => 13,
        Severity::High => 17,
        Severity::Critical => 18,
    }
}

pub(super) fn push(out: &mut Attributes, judgement: &Judgement<'_>) {
    let (policy, rule) = judgement.rule().unwrap();
    out.string("security_rule.name", rule.name.clone());
    out.string("security_rule.ruleset.name", policy.name.clone());
    let violation = judgement.action == Action::Violation;
    out.string("inotrail.policy.action", if violation { "violation" } else { "record" });
    let mut all: Vec<&str> = Vec::new();
    for (policy, _) in judgement.matched.iter().map(|index| judgement.set.get(*index).unwrap()) {
        if policy.active && all.last() != Some(&&*policy.name) {
            all.push(&policy.name);
        }
    }
    let (mut names, mut more) = (String::new(), 0);
    for name in all {
        if names.len() + name.len() > 1024 {
            more += 1;
        } else {
            names += if names.is_empty() { "" } else { "," };
            names += name;
        }
    }
    if more > 0 {
        names = format!("{names},+{more}");
    }
    out.string("inotrail.policy.names", names);
    for (name, value) in &rule.labels {
        assert!(name.starts_with("inotrail.policy.label."));
        // Without a value it is there all the same.
        out.0.push(attribute(name, Value::StringValue(value.clone())));
    }
}
