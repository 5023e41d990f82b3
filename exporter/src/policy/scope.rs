//! Which containers a policy is about.

use std::collections::BTreeMap;

use kube::core::{Selector, SelectorExt as _};

use super::globs::Globs;

/// Labels of a Kubernetes object.
pub type Labels = BTreeMap<String, String>;

/// Which containers a policy is about. The empty one: all that are where it is.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Where they are.
    pub place: Place,
    /// Their pods' labels.
    pub pods: Selector,
    /// Their names.
    pub containers: Globs,
    /// Their images' names, with tag.
    pub images: Globs,
}

/// Where a policy may see something.
#[derive(Clone, Debug)]
pub enum Place {
    /// In pods of this namespace alone, whatever else the policy says: it belongs to somebody who may see no other.
    Namespace(String),
    /// On the whole cluster.
    Cluster {
        /// In pods of namespaces with such labels.
        namespaces: Selector,
        /// In processes of the node that are in no container.
        host: bool,
    },
}

/// Whoever acts, as policies choose them.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// A process of the node that is in no container.
    Host,
    /// A container.
    Container {
        /// What it is called.
        name: &'a str,
        /// Its image's name, with tag; empty where unknown.
        image: &'a str,
        /// The pod that it is in, if any.
        pod: Option<PodLabels<'a>>,
    },
}

/// A pod, as policies choose it.
#[derive(Clone, Copy, Debug)]
pub struct PodLabels<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// The namespace's labels.
    pub namespace_labels: &'a Labels,
    /// Its own labels.
    pub labels: &'a Labels,
}

impl Scope {
    /// Whether the policy is about a subject.
    #[must_use]
    pub fn contains(&self, subject: &Subject<'_>) -> bool {
        match (subject, &self.place) {
            (Subject::Host, Place::Cluster { host, .. }) => *host,
            (Subject::Host, Place::Namespace(_)) => false,
            (Subject::Container { name, image, pod }, place) => {
                self.has_pod(place, pod.as_ref())
                    && self.containers.matches(name.as_bytes())
                    && self.images.matches(image.as_bytes())
            }
        }
    }

    fn has_pod(&self, place: &Place, pod: Option<&PodLabels<'_>>) -> bool {
        match (place, pod) {
            (Place::Namespace(namespace), Some(pod)) => pod.namespace == namespace && self.pods.matches(pod.labels),
            (Place::Namespace(_), None) => false,
            (Place::Cluster { namespaces, .. }, Some(pod)) => {
                namespaces.matches(pod.namespace_labels) && self.pods.matches(pod.labels)
            }
            // A container that Kubernetes does not know has no labels.
            (Place::Cluster { namespaces, .. }, None) => namespaces.selects_all() && self.pods.selects_all(),
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Expression;

    use super::super::globs::Star;
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn equal(key: &str, value: &str) -> Selector {
        [Expression::Equal(key.to_owned(), value.to_owned())].into_iter().collect()
    }

    fn scope(place: Place) -> Scope {
        Scope { place, pods: Selector::default(), containers: Globs::default(), images: Globs::default() }
    }

    fn shop() -> Scope {
        scope(Place::Namespace("shop".to_owned()))
    }

    fn cluster(namespaces: Selector, host: bool) -> Scope {
        scope(Place::Cluster { namespaces, host })
    }

    #[track_caller]
    fn check(scope: &Scope, namespace: &str, expected: bool) {
        let (namespace_labels, own) = (labels(&[("team", namespace)]), labels(&[("app", "web")]));
        let pod = PodLabels { namespace, namespace_labels: &namespace_labels, labels: &own };
        let subject = Subject::Container { name: "nginx", image: "docker.io/library/nginx:1.29", pod: Some(pod) };
        assert_eq!(scope.contains(&subject), expected, "{scope:?} {subject:?}");
    }

    #[track_caller]
    fn check_without_pod(scope: &Scope, expected: [bool; 2]) {
        let container = Subject::Container { name: "nginx", image: "", pod: None };
        assert_eq!([scope.contains(&container), scope.contains(&Subject::Host)], expected, "{scope:?}");
    }

    #[test]
    fn a_namespace_reaches_its_own_pods_alone() {
        check(&shop(), "shop", true);
        check(&shop(), "shop-2", false);
        check(&shop(), "", false);
        check_without_pod(&shop(), [false, false]);
        check(&Scope { pods: equal("app", "web"), ..shop() }, "shop", true);
        check(&Scope { pods: equal("app", "db"), ..shop() }, "shop", false);
        check(&Scope { pods: equal("app", "web"), ..shop() }, "bank", false);
    }

    #[test]
    fn a_cluster_by_labels() {
        let all = || cluster(Selector::default(), false);
        check(&all(), "bank", true);
        check_without_pod(&all(), [true, false]);
        check_without_pod(&cluster(Selector::default(), true), [true, true]);
        check(&cluster(equal("team", "bank"), false), "bank", true);
        check(&cluster(equal("team", "bank"), false), "shop", false);
        check_without_pod(&cluster(equal("team", "bank"), true), [false, true]);
        check_without_pod(&Scope { pods: equal("app", "web"), ..all() }, [false, false]);
    }

    #[test]
    fn names() {
        let globs = |text: &str| Globs::parse([text], Star::Text).expect("a glob");
        check(&Scope { containers: globs("ng*"), ..shop() }, "shop", true);
        check(&Scope { containers: globs("!ng*"), ..shop() }, "shop", false);
        check(&Scope { images: globs("*/nginx:*"), ..shop() }, "shop", true);
        check(&Scope { images: globs("nginx:*"), ..shop() }, "shop", false);
    }
}
