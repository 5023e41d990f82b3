//! What a schema cannot say: garde's rules for single values.
#![expect(clippy::trivially_copy_pass_by_ref, reason = "garde passes a context, which there is none of")]

use std::collections::HashSet;

use kube::core::Selector;

use super::super::globs::{Globs, Star};
use super::super::pattern::Pattern;
use super::{LabelSelector, RuleSpec};

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
