//! What policies say of an event.

use std::io::Write as _;

use super::attribute;
use super::record::INFO2;
use super::wire::{self, attribute};
use crate::policy::Judgement;
use crate::policy::rule::{Action, Severity};

/// `SEVERITY_NUMBER_WARN`, `SEVERITY_NUMBER_ERROR`, `SEVERITY_NUMBER_ERROR2`
const WARN: u8 = 13;
const ERROR: u8 = 17;
const ERROR2: u8 = 18;
/// Bytes of a list of policies.
const NAMES_MAX: usize = 1 << 10;

/// `LogRecord.severity_number`
pub(super) fn severity(judgement: &Judgement<'_>) -> Option<u8> {
    let (_, rule) = judgement.rule()?;
    Some(match rule.severity {
        Severity::Low => INFO2,
        Severity::Medium => WARN,
        Severity::High => ERROR,
        Severity::Critical => ERROR2,
    })
}

pub(super) fn push(out: &mut Vec<u8>, judgement: &Judgement<'_>, text: &mut Vec<u8>) {
    let Some((policy, rule)) = judgement.rule() else { return };
    attribute!(string, out, attribute::SECURITY_RULE_NAME, rule.name.as_bytes());
    attribute!(string, out, attribute::SECURITY_RULE_RULESET_NAME, policy.name.as_bytes());
    attribute!(
        string,
        out,
        attribute::POLICY_ACTION,
        match judgement.action {
            Action::Record => b"record",
            Action::Violation => b"violation",
        }
    );
    names(text, judgement);
    attribute!(string, out, attribute::POLICY_NAMES, text);
    for (name, value) in &rule.labels {
        wire::named_string(out, name, value);
    }
}

fn names(text: &mut Vec<u8>, judgement: &Judgement<'_>) {
    text.clear();
    let mut left = 0_usize;
    for policy in judgement.policies() {
        if text.len() + policy.name.len() > NAMES_MAX {
            left += 1;
            continue;
        }
        if !text.is_empty() {
            text.push(b',');
        }
        text.extend_from_slice(policy.name.as_bytes());
    }
    if left > 0 {
        // Writing to memory does not fail.
        let _written = write!(text, ",+{left}");
    }
}
