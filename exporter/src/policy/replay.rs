//! Recorded events held against policies: lines of `trace --output json`, and what is expected of them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::rule::{self, Action, Attempt, Severity};
use super::scope::{Labels, PodLabels, Subject};
use super::{PolicySet, RuleIndex, Verdict};
use crate::escape;
use crate::event::{Operation, Outcome};
use crate::otlp::attribute;

/// A recorded access.
#[derive(Clone, Debug)]
pub struct Recorded {
    attributes: Map<String, Value>,
    names: [Vec<u8>; 4],
    operation: Operation,
    outcome: Outcome,
    user: u32,
    image: String,
    /// How many accesses it stands for.
    pub count: u64,
}

/// Why a line is no event.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// It is not what `trace --output json` writes.
    #[error("no line of `trace --output json`: {0}")]
    Json(#[from] serde_json::Error),
    /// An attribute has a value that no event has.
    #[error("{0} is missing, or has a value that no event has")]
    Attribute(&'static str),
}

/// What recorded events do not say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KnownLabels {
    /// By namespace.
    pub namespaces: BTreeMap<String, Labels>,
    /// By namespace and name: `shop/web-1`.
    pub pods: BTreeMap<String, Labels>,
}

/// What is expected of recorded events.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expectations {
    /// What recorded events do not say.
    pub labels: KnownLabels,
    /// Each is held against all events.
    pub expect: Vec<Expected>,
}

/// What is expected of some events.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Attributes that they have.
    pub when: Map<String, Value>,
    /// All active policies with a rule that is about them, in any order; none: they are not reported.
    pub policies: Vec<String>,
    /// The severity that they get.
    #[serde(default)]
    pub severity: Option<Severity>,
    /// What they are.
    #[serde(default)]
    pub action: Option<Action>,
    /// How many there are; without it one or more.
    #[serde(default)]
    pub count: Option<u64>,
}

impl Recorded {
    /// Reads one line; `None`: it tells of a loss, or is empty.
    ///
    /// # Errors
    ///
    /// [`Malformed`]
    pub fn parse(line: &str) -> Result<Option<Self>, Malformed> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let attributes: Map<String, Value> = serde_json::from_str(line)?;
        let text = |key: &str| attributes.get(key).and_then(Value::as_str);
        let number = |key: &str| attributes.get(key).and_then(Value::as_u64);
        if text(attribute::OTEL_EVENT_NAME).is_some_and(|name| name != crate::otlp::EVENT_NAME) {
            return Ok(None);
        }
        let escaped =
            text(attribute::FILE_FLAGS).is_some_and(|flags| flags.split(',').any(|it| it == attribute::ESCAPED));
        let name = |key: &str| match text(key) {
            Some(text) if escaped => escape::undo(text),
            text => text.unwrap_or_default().into(),
        };
        let names = [
            attribute::FILE_PATH,
            attribute::FILE_REQUESTED_PATH,
            attribute::FILE_TARGET_PATH,
            attribute::PROCESS_EXECUTABLE_PATH,
        ];
        let operation = attributes.get(attribute::FILE_OPERATION).cloned().unwrap_or_default();
        let outcome = match text(attribute::FILE_OUTCOME) {
            Some("success") => Outcome::Success,
            // Which one it was no rule asks.
            Some("failure") => Outcome::Failure(1),
            Some("unknown") => Outcome::Unknown,
            _ => return Err(Malformed::Attribute(attribute::FILE_OUTCOME)),
        };
        let tag = attributes.get(attribute::CONTAINER_IMAGE_TAGS).and_then(|tags| tags.get(0)?.as_str());
        let image = text(attribute::CONTAINER_IMAGE_NAME).unwrap_or_default();
        Ok(Some(Self {
            names: names.map(name),
            operation: Operation::deserialize(operation)
                .map_err(|_| Malformed::Attribute(attribute::FILE_OPERATION))?,
            outcome,
            user: number(attribute::PROCESS_USER_ID).unwrap_or_default() as u32,
            image: tag.map_or_else(|| image.to_owned(), |tag| format!("{image}:{tag}")),
            count: number(attribute::AGGREGATION_COUNT).unwrap_or(1),
            attributes,
        }))
    }

    /// What policies say of it. `matched` is as [`PolicySet::decide`] leaves it.
    pub fn judge(&self, set: &PolicySet, labels: &KnownLabels, matched: &mut Vec<RuleIndex>) -> Verdict {
        let [path, requested, target, executable] = self.names.each_ref().map(Vec::as_slice);
        let Self { operation, outcome, user, .. } = *self;
        let attempt =
            Attempt { path, target, requested: rule::name(requested), also: &[], operation, outcome, executable, user };
        set.decide(&set.select(&self.subject(labels)), &attempt, matched)
    }

    fn subject<'a>(&'a self, labels: &'a KnownLabels) -> Subject<'a> {
        static NONE: Labels = Labels::new();
        let text = |key: &str| self.attributes.get(key).and_then(Value::as_str);
        let unresolved = self.attributes.contains_key(attribute::RESOURCE_UNRESOLVED);
        if text(attribute::CONTAINER_ID).is_none() && !unresolved {
            return Subject::Host;
        }
        let name = text(attribute::K8S_CONTAINER_NAME).or_else(|| text(attribute::CONTAINER_NAME)).unwrap_or_default();
        let pod = text(attribute::K8S_NAMESPACE_NAME).map(|namespace| {
            let key = format!("{namespace}/{}", text(attribute::K8S_POD_NAME).unwrap_or_default());
            let namespace_labels = labels.namespaces.get(namespace).unwrap_or(&NONE);
            PodLabels { namespace, namespace_labels, labels: labels.pods.get(&key).unwrap_or(&NONE) }
        });
        Subject::Container { name, image: &self.image, pod }
    }

    /// Whether it has all of these attributes.
    #[must_use]
    pub fn has(&self, attributes: &Map<String, Value>) -> bool {
        attributes.iter().all(|(key, value)| self.attributes.get(key) == Some(value))
    }
}

impl Expected {
    /// What is not as expected of an event that [`Recorded::has`] what is asked for.
    #[must_use]
    pub fn differs(&self, set: &PolicySet, verdict: Verdict, matched: &[RuleIndex]) -> Option<String> {
        let active = matched.iter().filter_map(|index| set.get(*index)).filter(|(policy, _)| policy.active);
        let mut found: Vec<&str> = active.map(|(policy, _)| &*policy.name).collect();
        found.dedup();
        let mut expected: Vec<&str> = self.policies.iter().map(String::as_str).collect();
        expected.sort_unstable();
        if found != expected {
            return Some(format!("policies [{}], not [{}]", found.join(", "), expected.join(", ")));
        }
        let Verdict::Keep { rule, action } = verdict else { return None };
        let severity = set.get(rule).map(|(_, rule)| rule.severity);
        if let Some(wanted) = self.severity.filter(|wanted| Some(*wanted) != severity) {
            return Some(format!("severity {:?}, not {wanted:?}", severity.unwrap_or_default()).to_lowercase());
        }
        let wanted = self.action.filter(|wanted| *wanted != action)?;
        Some(format!("action {action:?}, not {wanted:?}").to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;

    fn set() -> PolicySet {
        let text = "
apiVersion: inotrail.dev/v1alpha1
kind: FileAccessPolicy
metadata: {name: tokens, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  containers: [app]
  images: ['*/nginx:1']
  rules: [{name: token, paths: ['**/token'], severity: high, action: violation, users: [7], executables: ['!/bin/sh']}]
---
apiVersion: inotrail.dev/v1alpha1
kind: ClusterFileAccessPolicy
metadata: {name: host}
spec:
  hostProcesses: true
  namespaceSelector: {matchLabels: {team: a}}
  rules: [{name: denied, paths: [/etc/*], result: denied, operations: [open]}]
";
        let (policies, problems) = crate::policy::document::read(text);
        assert_eq!(problems, []);
        PolicySet::new(policies.into_iter().map(Arc::new))
    }

    fn labels() -> KnownLabels {
        serde_json::from_value(json!({"namespaces": {"shop": {"team": "a"}}, "pods": {"shop/web-1": {"app": "web"}}}))
            .unwrap()
    }

    /// Of a container in a pod that reads its token.
    fn token() -> Value {
        json!({
            "otel.event.name": "inotrail.file.access", "file.path": "/run/a", "inotrail.file.requested_path": "/run/token",
            "inotrail.file.operation": "open", "inotrail.file.outcome": "success", "process.user.id": 7,
            "process.executable.path": "/bin/cat", "container.id": "1", "k8s.container.name": "app",
            "container.image.name": "docker.io/nginx", "container.image.tags": ["1", "2"],
            "k8s.namespace.name": "shop", "k8s.pod.name": "web-1", "inotrail.aggregation.count": 3,
        })
    }

    #[track_caller]
    fn check(event: &Value, expected: &[&str]) {
        let (set, mut matched) = (set(), Vec::new());
        let event = Recorded::parse(&event.to_string()).unwrap().unwrap();
        event.judge(&set, &labels(), &mut matched);
        let names: Vec<_> = matched.iter().map(|index| &*set.get(*index).unwrap().1.name).collect();
        assert_eq!(names, expected, "{event:?}");
    }

    #[test]
    fn every_attribute_counts() {
        check(&token(), &["token"]);
        for (key, value) in [
            ("inotrail.file.requested_path", json!("token")),
            ("process.user.id", json!(8)),
            ("process.executable.path", json!("/bin/sh")),
            ("k8s.container.name", json!("db")),
            ("container.image.tags", json!(["2"])),
            ("k8s.namespace.name", json!("bank")),
            ("k8s.pod.name", json!("web-2")),
        ] {
            let mut other = token();
            other[key] = value;
            check(&other, &[]);
        }
        let mut denied = token();
        for (key, value) in [("file.path", "/etc/x"), ("inotrail.file.outcome", "failure")] {
            denied[key] = value.into();
        }
        check(&denied, &["denied", "token"]);
        for key in ["container.id", "k8s.namespace.name"] {
            denied.as_object_mut().unwrap().remove(key);
        }
        check(&denied, &["denied"]);
        denied["inotrail.file.operation"] = "create".into();
        check(&denied, &[]);
    }

    #[test]
    fn escaped_names_are_their_bytes() {
        let mut event = token();
        event["file.path"] = r"/etc/\xff\\".into();
        event["inotrail.file.flags"] = "raced,escaped".into();
        let event = Recorded::parse(&event.to_string()).unwrap().unwrap();
        assert_eq!((&*event.names[0], event.count), (&b"/etc/\xff\\"[..], 3));
    }

    #[test]
    fn what_is_no_access() {
        assert!(Recorded::parse(" \n").unwrap().is_none());
        assert!(Recorded::parse(r#"{"otel.event.name": "inotrail.exporter.loss"}"#).unwrap().is_none());
        let error = |line: &str| Recorded::parse(line).unwrap_err().to_string();
        assert!(error("CONTAINER  FILE").contains("trace --output json"));
        assert!(error("{}").contains("inotrail.file.outcome is missing"));
        let mut event = token();
        event["inotrail.file.operation"] = "lick".into();
        assert!(error(&event.to_string()).contains("inotrail.file.operation"));
    }

    #[test]
    fn expectations() {
        let (set, mut matched) = (set(), Vec::new());
        let event = Recorded::parse(&token().to_string()).unwrap().unwrap();
        let verdict = event.judge(&set, &labels(), &mut matched);
        let differs = |expected: Value| {
            let expected: Expected = serde_json::from_value(expected).unwrap();
            assert!(event.has(&expected.when));
            expected.differs(&set, verdict, &matched).unwrap_or_default()
        };
        let when = json!({"k8s.namespace.name": "shop"});
        assert_eq!(differs(json!({"when": when, "policies": ["shop/tokens"]})), "");
        assert_eq!(
            differs(json!({"when": when, "policies": ["shop/tokens"], "severity": "high", "action": "violation"})),
            ""
        );
        assert_eq!(differs(json!({"when": when, "policies": []})), "policies [shop/tokens], not []");
        assert_eq!(
            differs(json!({"when": when, "policies": ["shop/tokens"], "severity": "low"})),
            "severity high, not low"
        );
        assert_eq!(
            differs(json!({"when": when, "policies": ["shop/tokens"], "action": "record"})),
            "action violation, not record"
        );
        assert!(!event.has(json!({"k8s.namespace.name": "bank"}).as_object().unwrap()));
    }
}
