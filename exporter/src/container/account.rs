//! Service accounts, by which pods are left out: who may run pods as one is the API server's to decide, unlike names and labels.

use std::str::FromStr;

/// A service account of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    namespace: String,
    name: String,
}

impl Account {
    /// Whether it is the one of this name in this namespace.
    pub(super) fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }
}

impl FromStr for Account {
    type Err = &'static str;

    /// `NAMESPACE/NAME`
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("expected NAMESPACE/NAME"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for wrong in ["", "/", "loki", "a/", "/b", "a/b/c"] {
            assert!(wrong.parse::<Account>().is_err(), "{wrong}");
        }
    }
}
