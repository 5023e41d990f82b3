//! One rule of a policy as users write it.
#![expect(clippy::doc_markdown, reason = "these comments are texts of the Kubernetes API, which knows no Markdown")]

use std::collections::BTreeMap;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::pattern::PATTERN_MAX;
use super::super::rule::{Action, Results, Severity};
use super::{NAMES_MAX, check};
use crate::event::Operation;

/// Longest name: that of a Kubernetes object (apimachinery `DNS1123SubdomainMaxLength`).
pub(super) const NAME_MAX: usize = 253;
/// Paths of one list.
const PATHS_MAX: usize = 10_000;

/// What the API server refuses by itself: what is relative, has an empty name, or a name that is one or two dots.
const PATH: &str = r"^(\*\*|(\*\*)?(/([^./][^/]*|\.[^./][^/]*|\.\.[^/]+))+)$";

/// Labels of one rule: each is on every event that the rule gives its severity.
pub(super) const LABELS_MAX: usize = 16;
/// Bytes of a label's key, as of the name of a Kubernetes label (apimachinery `qualifiedNameMaxLength`).
pub(super) const LABEL_KEY_MAX: usize = 63;
/// Bytes of a label's value.
pub(super) const LABEL_VALUE_MAX: usize = 256;
/// CEL: what a label's key is. A schema that Kubernetes takes says nothing of keys.
const LABELS: &str = "self.all(key, size(key) <= 63 && key.matches('^[A-Za-z0-9]([-._/A-Za-z0-9]*[A-Za-z0-9])?$'))";
pub(super) const LABELS_MESSAGE: &str =
    "a label's key is up to 63 letters, digits, '-', '_', '.' and '/', with a letter or a digit at both ends";

/// One rule of a policy.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize, Validate)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuleSpec {
    /// Its name, which events have as security_rule.name.
    #[garde(length(min = 1, max = NAME_MAX))]
    pub name: String,
    /// Files, as the container sees their paths: /etc/shadow, /etc/* (what is in it), /etc/** (all below), **/id_rsa and **/*.pem
    /// (everywhere), or any glob, whose *, ? and [] stay within one name.
    #[garde(length(min = 1, max = PATHS_MAX), inner(custom(check::path)))]
    #[schemars(inner(length(min = 1, max = PATTERN_MAX), regex(pattern = PATH)))]
    pub paths: Vec<String>,
    /// Files that it is not about, in the form of paths.
    #[garde(length(max = PATHS_MAX), inner(custom(check::path)))]
    #[schemars(inner(length(min = 1, max = PATTERN_MAX), regex(pattern = PATH)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// What is done to them. Without any: everything.
    #[garde(skip)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// How that ends. allowed: also where a node cannot see how.
    #[garde(skip)]
    #[serde(default)]
    pub result: Results,
    /// Paths of programs, as globs; one with ! in front leaves out. Without any: all.
    #[garde(length(max = NAMES_MAX), inner(custom(check::program)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executables: Vec<String>,
    /// Ids of users, as the node sees them. Without any: all.
    #[garde(length(max = NAMES_MAX))]
    #[schemars(with = "Vec<i64>", length(max = NAMES_MAX), inner(range(min = 0, max = u32::MAX)))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<u32>,
    /// How bad it is.
    #[garde(skip)]
    #[serde(default)]
    pub severity: Severity,
    /// What it is: something to keep, or something that must not happen.
    #[garde(skip)]
    #[serde(default)]
    pub action: Action,
    /// What events say besides, as attributes inotrail.policy.label.<key>: who is to be told, or where it is written down what to do.
    #[garde(custom(check::labels))]
    #[schemars(extend(
        "maxProperties" = LABELS_MAX,
        "additionalProperties" = {"type": "string", "maxLength": LABEL_VALUE_MAX},
        "x-kubernetes-validations" = [{"rule": LABELS, "message": LABELS_MESSAGE}],
    ))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}
