//! What a schema cannot say: garde's rules for single values.
#![expect(clippy::trivially_copy_pass_by_ref, reason = "garde passes a context, which there is none of")]

use std::collections::{BTreeMap, HashSet};

use kube::core::Selector;

use super::super::globs::{Globs, Star};
use super::super::pattern::Pattern;
use super::rule::{LABEL_KEY_MAX, LABEL_VALUE_MAX, LABELS_MAX, LABELS_MESSAGE};
use super::{DecoySpec, LabelSelector, RuleSpec};

pub(super) fn path(text: &str, _: &()) -> garde::Result {
    Pattern::parse(text).map_err(garde::Error::new)?;
    Ok(())
}

pub(super) fn text(glob: &str, _: &()) -> garde::Result {
    globs(glob, Star::Text)
}

pub(super) fn program(glob: &str, _: &()) -> garde::Result {
    globs(glob, Star::Name)
}

fn globs(glob: &str, star: Star) -> garde::Result {
    Globs::parse([glob], star).map_err(|(_, error)| garde::Error::new(error))?;
    Ok(())
}

pub(super) fn selector(selector: &LabelSelector, _: &()) -> garde::Result {
    Selector::try_from(selector.clone()).map_err(garde::Error::new)?;
    Ok(())
}

/// Names of rules tell events apart.
pub(super) fn rules(rules: &[RuleSpec], _: &()) -> garde::Result {
    let mut names = HashSet::new();
    match rules.iter().find(|rule| !names.insert(&rule.name)) {
        Some(twice) => Err(garde::Error::new(format!("two rules are called '{}': give each its own name", twice.name))),
        None => Ok(()),
    }
}

pub(super) fn labels(labels: &BTreeMap<String, String>, _: &()) -> garde::Result {
    if labels.len() > LABELS_MAX {
        return Err(garde::Error::new(format!(
            "there are {} labels, and at most {LABELS_MAX} are taken",
            labels.len()
        )));
    }
    if let Some(key) = labels.keys().find(|key| !is_label_key(key)) {
        return Err(garde::Error::new(format!("'{key}': {LABELS_MESSAGE}")));
    }
    match labels.iter().find(|(_, value)| value.len() > LABEL_VALUE_MAX) {
        Some((key, _)) => Err(garde::Error::new(format!("'{key}' has more than {LABEL_VALUE_MAX} bytes"))),
        None => Ok(()),
    }
}

fn is_label_key(key: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = key.as_bytes();
    bytes.len() <= LABEL_KEY_MAX
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(byte))
}

/// A policy is about something.
pub(super) fn rules_or(decoys: &[DecoySpec]) -> impl FnOnce(&[RuleSpec], &()) -> garde::Result {
    let is_empty = decoys.is_empty();
    move |rules, ()| {
        let is_nothing = is_empty && rules.is_empty();
        let why = || garde::Error::new("length is lower than 1, and there are no decoys");
        if is_nothing { Err(why()) } else { Ok(()) }
    }
}

/// Events have a decoy's name as a rule's.
pub(super) fn decoys(rules: &[RuleSpec]) -> impl FnOnce(&[DecoySpec], &()) -> garde::Result {
    move |decoys, ()| {
        let mut names: HashSet<_> = rules.iter().map(|rule| &rule.name).collect();
        let mut paths = HashSet::new();
        let again = |name: &str| format!("two decoys or rules are called '{name}': give each its own name");
        for decoy in decoys {
            if !names.insert(&decoy.name) {
                return Err(garde::Error::new(again(&decoy.name)));
            }
            if !paths.insert(&decoy.path) {
                return Err(garde::Error::new(format!("two decoys are at {}", decoy.path)));
            }
        }
        Ok(())
    }
}

pub(super) fn file(path: &str, _: &()) -> garde::Result {
    match Pattern::parse(path).map_err(garde::Error::new)? {
        Pattern::Exact(path) if path != b"/" => Ok(()),
        _ => Err(garde::Error::new("it must be one file's path: a decoy's has no '*', '?', '[' nor backslash")),
    }
}

pub(super) fn mode(text: &str, _: &()) -> garde::Result {
    super::decoy::mode(text)
        .map(drop)
        .ok_or_else(|| garde::Error::new("it must be like '0444': a zero and three octal digits"))
}
