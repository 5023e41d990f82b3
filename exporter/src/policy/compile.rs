//! From policies as users write them to those that are asked.

use std::sync::Arc;

use garde::Validate;
use kube::core::{ParseExpressionError, Selector};

use super::Policy;
use super::crd::{
    ClusterFileAccessPolicySpec, DecoySpec, FileAccessPolicySpec, LabelSelector, Mode, RuleSpec, decoy_mode, field,
};
use super::decoy::Decoy;
use super::globs::{self, Globs, Star};
use super::paths::Paths;
use super::pattern;
use super::rule::{Action, Rule};
use super::scope::{Place, Scope};
use crate::otlp::attribute;

/// Why a policy cannot be in force.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Fields are wrong, each with its place.
    #[error("{}", fields(.0))]
    Fields(#[from] garde::Report),
    /// A selector's operator is none.
    #[error("a selector: {0}")]
    Selector(#[from] ParseExpressionError),
    /// Globs that are right each for itself are too many.
    #[error("too many globs: {0}")]
    Globs(#[from] globs::Invalid),
    /// Paths that are right each for itself are too many.
    #[error("too many paths: {0}")]
    Paths(#[from] pattern::Invalid),
}

fn fields(report: &garde::Report) -> String {
    let each = |(path, error): &(garde::Path, garde::Error)| format!("{}: {error}", field(&path.to_string()));
    report.iter().map(each).collect::<Vec<_>>().join("; ")
}

/// What both kinds have.
struct Common<'a> {
    name: &'a str,
    mode: Mode,
    pods: &'a LabelSelector,
    containers: &'a [String],
    images: &'a [String],
    rules: &'a [RuleSpec],
    decoys: &'a [DecoySpec],
}

impl FileAccessPolicySpec {
    /// The policy of this name in this namespace.
    ///
    /// # Errors
    /// [`Refused`]
    pub fn compile(&self, name: &str, namespace: &str) -> Result<Policy, Refused> {
        self.validate()?;
        let Self { mode, pod_selector: pods, containers, images, rules } = self;
        let place = Place::Namespace(namespace.to_owned());
        let name = &format!("{namespace}/{name}");
        Common { name, mode: *mode, pods, containers, images, rules, decoys: &[] }.compile(place)
    }
}

impl ClusterFileAccessPolicySpec {
    /// The policy of this name.
    ///
    /// # Errors
    /// [`Refused`]
    pub fn compile(&self, name: &str) -> Result<Policy, Refused> {
        self.validate()?;
        let Self { mode, namespace_selector, pod_selector: pods, host_processes, containers, images, rules, decoys } =
            self;
        let namespaces = Selector::try_from(namespace_selector.clone())?;
        let place = Place::Cluster { namespaces, host: *host_processes };
        Common { name, mode: *mode, pods, containers, images, rules, decoys }.compile(place)
    }
}

impl Common<'_> {
    fn compile(self, place: Place) -> Result<Policy, Refused> {
        let scope = Scope {
            place,
            pods: Selector::try_from(self.pods.clone())?,
            containers: names(self.containers, Star::Text)?,
            images: names(self.images, Star::Text)?,
        };
        let rules = self.rules.iter().map(rule).chain(self.decoys.iter().map(rule_of_decoy));
        let rules = rules.collect::<Result<_, _>>()?;
        Ok(Policy {
            name: self.name.to_owned(),
            active: self.mode == Mode::Active,
            scope,
            rules,
            decoys: self.decoys.iter().map(|spec| Arc::new(decoy(spec, self.name))).collect(),
            counts: Arc::default(),
        })
    }
}

fn rule(spec: &RuleSpec) -> Result<Rule, Refused> {
    let paths = |patterns: &[String]| Paths::parse(patterns.iter().map(String::as_str)).map_err(|(_, error)| error);
    Ok(Rule {
        name: spec.name.clone(),
        paths: paths(&spec.paths)?,
        except: paths(&spec.except)?,
        operations: spec.operations.iter().copied().collect(),
        result: spec.result,
        executables: names(&spec.executables, Star::Name)?,
        users: spec.users.clone(),
        severity: spec.severity,
        action: spec.action,
        labels: spec.labels.iter().map(label).collect(),
    })
}

fn label((key, value): (&String, &String)) -> (String, String) {
    (format!("{}{key}", attribute::POLICY_LABEL), value.clone())
}

/// Whatever is done to it, by whomever.
fn rule_of_decoy(spec: &DecoySpec) -> Result<Rule, Refused> {
    Ok(Rule {
        name: spec.name.clone(),
        paths: Paths::parse([&*spec.path]).map_err(|(_, error)| error)?,
        severity: spec.severity,
        action: Action::Violation,
        ..Rule::default()
    })
}

fn decoy(spec: &DecoySpec, policy: &str) -> Decoy {
    let DecoySpec { name, path, content, .. } = spec.clone();
    // It was checked.
    Decoy { name, policy: policy.to_owned(), path, content, mode: decoy_mode(&spec.mode).unwrap_or_default() }
}

fn names(globs: &[String], star: Star) -> Result<Globs, globs::Invalid> {
    Globs::parse(globs.iter().map(String::as_str), star).map_err(|(_, error)| error)
}

#[cfg(test)]
mod tests {
    use super::super::rule::{Action, Severity};
    use super::*;

    fn spec(rules: &serde_json::Value) -> Result<Policy, String> {
        let spec: FileAccessPolicySpec =
            serde_json::from_value(serde_json::json!({ "rules": rules })).map_err(|error| error.to_string())?;
        spec.compile("p", "shop").map_err(|error| error.to_string())
    }

    #[test]
    fn defaults() {
        let policy = spec(&serde_json::json!([{"name": "a", "paths": ["/etc/*"]}])).expect("a policy");
        assert!(policy.active && matches!(&policy.scope.place, Place::Namespace(namespace) if namespace == "shop"));
        let rule = &policy.rules[0];
        assert_eq!((rule.severity, rule.action, rule.users.len()), (Severity::Low, Action::Record, 0));
    }

    #[test]
    fn labels_are_attributes() {
        let labels = serde_json::json!({"team": "", "example.com/run_book-1": "é".repeat(128), "A": "a\n"});
        let policy = spec(&serde_json::json!([{"name": "a", "paths": ["/a"], "labels": labels}])).expect("a policy");
        let names: Vec<_> = policy.rules[0].labels.iter().map(|(name, _)| &**name).collect();
        let of = |key| format!("inotrail.policy.label.{key}");
        assert_eq!(names, [of("A"), of("example.com/run_book-1"), of("team")]);
        assert_eq!(policy.rules[0].labels[2].1, "");
    }

    #[test]
    fn what_is_refused_says_where() {
        let check = |rules: serde_json::Value, expected: &str| {
            let error = spec(&rules).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        };
        let rule = |more: serde_json::Value| {
            let mut rule = serde_json::json!({"name": "a", "paths": ["/etc/*"]});
            rule.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            rule
        };
        let one = |more| serde_json::json!([rule(more)]);
        check(serde_json::json!([]), "rules: length is lower than 1");
        check(one(serde_json::json!({"paths": []})), "rules[0].paths: length is lower than 1");
        check(one(serde_json::json!({"paths": ["/a", "etc"]})), "rules[0].paths[1]: it must start with '/'");
        check(one(serde_json::json!({"except": ["/a/../b"]})), "rules[0].except[0]: it has '..'");
        check(one(serde_json::json!({"executables": ["[a"]})), "rules[0].executables[0]: it is not a glob");
        check(one(serde_json::json!({"name": "a".repeat(254)})), "rules[0].name: length is greater than 253");
        check(one(serde_json::json!({"paths": vec!["/a"; 10_001]})), "rules[0].paths: length is greater than 10000");
        check(
            serde_json::json!([rule(serde_json::json!({})), rule(serde_json::json!({}))]),
            "two rules are called 'a'",
        );
        let labels = |labels: serde_json::Value| one(serde_json::json!({ "labels": labels }));
        for key in ["", "a b", "-a", "a.", "é", &"a".repeat(64)] {
            check(labels(serde_json::json!({key: "x"})), &format!("rules[0].labels: '{key}': a label's key is"));
        }
        check(labels(serde_json::json!({"a": "é".repeat(129)})), "rules[0].labels: 'a' has more than 256 bytes");
        let many: std::collections::BTreeMap<_, _> = (0..17).map(|number| (format!("a{number}"), "x")).collect();
        check(labels(serde_json::json!(many)), "rules[0].labels: there are 17 labels");
        check(one(serde_json::json!({"pahts": []})), "unknown field `pahts`");
        check(one(serde_json::json!({"operations": ["read"]})), "unknown variant `read`");
    }

    fn with_decoys(spec: serde_json::Value) -> Result<Policy, String> {
        let spec = serde_json::from_value::<ClusterFileAccessPolicySpec>(spec).map_err(|error| error.to_string())?;
        spec.compile("p").map_err(|error| error.to_string())
    }

    #[test]
    fn decoys() {
        let decoy = serde_json::json!({"name": "key", "path": "/root/.ssh/id_rsa", "content": "-"});
        let rules = serde_json::json!([{"name": "a", "paths": ["/a"]}]);
        let policy = with_decoys(serde_json::json!({"rules": rules, "decoys": [decoy]})).expect("a policy");
        let rule = &policy.rules[1];
        assert_eq!((&*rule.name, rule.severity, rule.action), ("key", Severity::High, Action::Violation));
        assert!(rule.paths.matches(b"/root/.ssh/id_rsa") && !rule.paths.matches(b"/root/.ssh/id_rs"));
        assert_eq!((policy.decoys[0].mode, &*policy.decoys[0].policy, policy.decoys.len()), (0o444, "p", 1));
        let alone = serde_json::json!({"decoys": [{"name": "a", "path": "/a", "content": "", "mode": "0640"}]});
        let policy = with_decoys(alone).expect("a policy");
        assert_eq!((policy.rules.len(), policy.decoys[0].mode), (1, 0o640));
        // Those of a namespace have none.
        let spec = serde_json::json!({"rules": [], "decoys": []});
        let error = serde_json::from_value::<FileAccessPolicySpec>(spec).expect_err("a field").to_string();
        assert!(error.contains("unknown field `decoys`"), "{error}");
    }

    #[test]
    fn what_decoys_are_refused_says_where() {
        let check = |spec: serde_json::Value, expected: &str| {
            let error = with_decoys(spec).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        };
        check(serde_json::json!({"decoys": []}), "rules: length is lower than 1, and there are no decoys");
        let decoy = |more: serde_json::Value, expected: &str| {
            let mut decoy = serde_json::json!({"name": "key", "path": "/a", "content": "-"});
            decoy.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            check(serde_json::json!({"decoys": [decoy]}), expected);
        };
        for path in ["/a/*", "/**", "**/a", "/", "/a\\*", "/[a]"] {
            decoy(serde_json::json!({"path": path}), "decoys[0].path: it must be one file's path");
        }
        decoy(serde_json::json!({"path": "/a/../b"}), "decoys[0].path: it has '..'");
        decoy(serde_json::json!({"path": "a"}), "decoys[0].path: it must start with '/'");
        decoy(serde_json::json!({"content": "ä".repeat(2049)}), "decoys[0].content: length is greater than 4096");
        decoy(serde_json::json!({"name": ""}), "decoys[0].name: length is lower than 1");
        for mode in ["444", "0999", "04444", "+444", "0+44", "u=r", ""] {
            decoy(serde_json::json!({"mode": mode}), "decoys[0].mode: it must be like '0444'");
        }
        decoy(serde_json::json!({"owner": 0}), "unknown field `owner`");
        let named = |name: &str, path: &str| serde_json::json!({"name": name, "path": path, "content": ""});
        let several = |decoys: &[serde_json::Value]| serde_json::json!({"decoys": decoys});
        check(several(&[named("a", "/a"), named("a", "/b")]), "decoys: two decoys or rules are called 'a'");
        check(several(&[named("a", "/a"), named("b", "/a")]), "decoys: two decoys are at /a");
        let rule = serde_json::json!([{"name": "key", "paths": ["/a"]}]);
        let both = serde_json::json!({"rules": rule, "decoys": [named("key", "/a")]});
        check(both, "decoys: two decoys or rules are called 'key'");
        let many: Vec<_> = (0..17).map(|number| named(&number.to_string(), &format!("/{number}"))).collect();
        check(several(&many), "decoys: length is greater than 16");
    }

    #[test]
    fn selectors() {
        let compile = |operator: &str| {
            let text = format!(
                r#"{{"namespaceSelector": {{"matchExpressions": [{{"key": "team", "operator": "{operator}", "values": ["a"]}}]}},
                    "rules": [{{"name": "a", "paths": ["/a"]}}]}}"#
            );
            serde_json::from_str::<ClusterFileAccessPolicySpec>(&text).expect("a spec").compile("p")
        };
        assert!(compile("In").is_ok());
        let error = compile("Near").expect_err("an operator").to_string();
        assert!(error.starts_with("namespaceSelector: "), "{error}");
    }
}
