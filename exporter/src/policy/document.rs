//! Policies in YAML files, and the places of what is wrong there.

use std::fmt;

use garde::Validate;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_saphyr::path_map::{PathKey, PathKind};
use serde_saphyr::{Error, Location, Locations};

use super::Policy;
use super::compile::Refused;
use super::crd::{API_VERSION, ClusterFileAccessPolicySpec, FileAccessPolicySpec, ObjectMeta, field};

/// Where `kubectl apply` puts what names no namespace, unless it is told otherwise.
const NAMESPACE: &str = "default";

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line and column, from 1.
    pub place: (u64, u64),
    /// What it is.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place: (line, column), what } = self;
        write!(f, "{line}:{column}: {what}")
    }
}

/// Tells which kind a document is of.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Header {
    api_version: String,
    kind: String,
}

#[derive(Deserialize, Validate)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document<S: Validate<Context = ()>> {
    #[garde(skip)]
    #[serde(rename = "apiVersion")]
    _api_version: IgnoredAny,
    #[garde(skip)]
    #[serde(rename = "kind")]
    _kind: IgnoredAny,
    #[garde(skip)]
    metadata: ObjectMeta,
    #[garde(dive)]
    spec: S,
    #[garde(skip)]
    #[serde(default, rename = "status")]
    _status: IgnoredAny,
}

/// The policies of a YAML file, and what is wrong with the others. Objects of other kinds are passed over.
#[must_use]
pub fn read(text: &str) -> (Vec<Policy>, Vec<Problem>) {
    let (mut policies, mut problems) = (Vec::new(), Vec::new());
    for (lines_before, part) in parts(text) {
        // With as many empty lines in front of it, places and messages are those of the file.
        let padded = format!("{}{part}", "\n".repeat(lines_before));
        match read_one(&padded, lines_before as u64) {
            Ok(policy) => policies.extend(policy),
            Err(found) => problems.extend(found),
        }
    }
    (policies, problems)
}

/// Documents, with how many lines are before each. A line that starts with `---` is a document's mark wherever it stands
/// (YAML 1.2.2, 9.1.2).
fn parts(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            parts.push((start_line, &text[start..offset]));
            (start, start_line) = (offset, number);
        }
        offset += line.len();
    }
    parts.push((start_line, &text[start..]));
    parts
}

/// `None`: there is nothing, or something else than a policy.
fn read_one(text: &str, lines_before: u64) -> Result<Option<Policy>, Vec<Problem>> {
    let at_start = |what: String| vec![Problem { place: (lines_before + 1, 1), what }];
    let is_comment = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#') || line.trim() == "---";
    if text.lines().all(is_comment) {
        return Ok(None);
    }
    let Header { api_version, kind } = serde_saphyr::from_str(text).map_err(|error| problems(&error))?;
    let of_us = API_VERSION.split_once('/').is_some_and(|(group, _)| api_version.split('/').next() == Some(group));
    if of_us && api_version != API_VERSION {
        return Err(at_start(format!(
            "apiVersion '{api_version}' is not known here: this program knows {API_VERSION}"
        )));
    }
    let nameless = || at_start("metadata.name is missing".to_owned());
    let refuse = |policy: Result<Policy, Refused>| policy.map(Some).map_err(|error| at_start(error.to_string()));
    match &*kind {
        _ if !of_us => Ok(None),
        "FileAccessPolicy" => {
            let Document::<FileAccessPolicySpec> { metadata, spec, .. } = document(text)?;
            let name = metadata.name.ok_or_else(nameless)?;
            refuse(spec.compile(&name, metadata.namespace.as_deref().unwrap_or(NAMESPACE)))
        }
        "ClusterFileAccessPolicy" => {
            let Document::<ClusterFileAccessPolicySpec> { metadata, spec, .. } = document(text)?;
            refuse(spec.compile(&metadata.name.ok_or_else(nameless)?))
        }
        _ => Err(at_start(format!("{API_VERSION} has no kind '{kind}'"))),
    }
}

fn document<S: DeserializeOwned + Validate<Context = ()>>(text: &str) -> Result<Document<S>, Vec<Problem>> {
    serde_saphyr::from_str_valid(text).map_err(|error| problems(&error))
}

fn problems(error: &Error) -> Vec<Problem> {
    let place = |location: Option<Location>| location.map_or((1, 1), |it| (it.line(), it.column()));
    match error.without_snippet() {
        Error::ValidationError { issues, locations, .. } => issues
            .iter()
            .map(|issue| {
                let at = locations.locations_for(&issue.path).and_then(Locations::primary_location);
                let what = issue.message.as_deref().unwrap_or(&issue.code);
                Problem { place: place(at), what: format!("{}: {what}", path(&issue.path)) }
            })
            .collect(),
        Error::ValidationErrors { errors, .. } => errors.iter().flat_map(problems).collect(),
        other => {
            let (line, column) = place(other.location());
            let text = other.to_string();
            let what = text.strip_suffix(&format!(" at line {line}, column {column}")).unwrap_or(&text);
            vec![Problem { place: (line, column), what: what.to_owned() }]
        }
    }
}

/// `spec.rules[0].paths[1]`
fn path(key: &PathKey) -> String {
    let mut text = String::new();
    for (kind, segment) in key.segments() {
        match kind {
            PathKind::Index => text.extend(["[", segment, "]"]),
            _ if text.is_empty() => text.push_str(segment),
            PathKind::Key => text.extend([".", segment]),
        }
    }
    field(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Which tokens are read.
---
apiVersion: inotrail.dev/v1alpha1
kind: FileAccessPolicy
metadata:
  name: tokens
  namespace: shop
spec:
  podSelector:
    matchLabels: {app: web}
  rules:
    - name: token
      paths: ['**/token']
      severity: high
      action: violation
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: inotrail.dev/v1alpha1
kind: ClusterFileAccessPolicy
metadata: {name: shadow}
spec:
  hostProcesses: true
  rules:
    - {name: shadow, paths: [/etc/shadow], result: denied}
  decoys:
    - name: key
      path: /root/.ssh/id_rsa
      content: nothing
";

    #[test]
    fn several_in_one_file() {
        let (policies, problems) = read(GOOD);
        assert_eq!(problems, []);
        let names: Vec<_> = policies.iter().map(|policy| (&*policy.name, policy.rules.len())).collect();
        assert_eq!(names, [("shop/tokens", 1), ("shadow", 2)]);
    }

    #[test]
    fn says_where_it_is_wrong() {
        let check = |old: &str, new: &str, expected: &[(u64, &str)]| {
            let text = GOOD.replacen(old, new, 1);
            assert_ne!(text, GOOD, "{old}");
            let (_, problems) = read(&text);
            let lines: Vec<_> = problems.iter().map(|problem| problem.place.0).collect();
            assert_eq!(lines, expected.iter().map(|(line, _)| *line).collect::<Vec<_>>(), "{problems:?}");
            for (problem, (_, what)) in problems.iter().zip(expected) {
                assert!(problem.what.contains(what), "{problem}");
            }
        };
        check("'**/token'", "token", &[(13, "spec.rules[0].paths[0]: it must start with '/'")]);
        check("severity: high", "severity: worst", &[(14, "worst")]);
        check("severity: high", "sevrity: high", &[(14, "sevrity")]);
        check("name: tokens", "nam: tokens", &[(2, "metadata.name is missing")]);
        check(
            "    matchLabels: {app: web}",
            "    matchExpressions: [{key: a, operator: Near}]",
            &[(10, "spec.podSelector: ")],
        );
        check("paths: [/etc/shadow]", "paths: [/etc/../shadow, x]", &[(27, "'..'"), (27, "must start")]);
        check("hostProcesses: true", "hostProcesses: perhaps", &[(25, "boolean")]);
        check("v1alpha1\nkind: File", "v2\nkind: File", &[(2, "inotrail.dev/v2")]);
        check("kind: Cluster", "kind: Custer", &[(20, "no kind 'CusterFileAccessPolicy'")]);
        check(
            "path: /root/.ssh/id_rsa",
            "path: /root/.ssh/*",
            &[(30, "spec.decoys[0].path: it must be one file's path")],
        );
        check("content: nothing", "contents: nothing", &[(31, "contents")]);
        check("name: key", "name: shadow", &[(29, "spec.decoys: two decoys or rules are called 'shadow'")]);
        check("kind: ConfigMap", "kind: [", &[(18, "string")]);
    }

    #[test]
    fn what_is_missing_has_the_place_of_what_is_around_it() {
        let start = GOOD.find("---\napiVersion: inotrail.dev/v1alpha1\nkind: Cluster").unwrap();
        let end = GOOD.find("  rules:\n    - {name: shadow").unwrap();
        let (_, problems) = read(&GOOD[start..end]);
        let text: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["6:3: spec.rules: length is lower than 1, and there are no decoys"]);
    }

    #[test]
    fn nothing() {
        for text in ["", "# a comment\n", "---\n---\n", "\n\n"] {
            let (policies, problems) = read(text);
            assert!(policies.is_empty() && problems.is_empty(), "{text}");
        }
    }
}
