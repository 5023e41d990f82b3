//! The kinds of policies that the API server has.

use std::fmt;

use kube::api::DynamicObject;
use kube::core::ApiResource;
use serde::de::DeserializeOwned;

use crate::policy::Policy;
use crate::policy::crd::{ClusterFileAccessPolicy, FileAccessPolicy};
use crate::policy::scope::Place;

/// Which resource a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Namespace,
    Cluster,
}

impl Kind {
    pub(super) const fn of(policy: &Policy) -> Self {
        match policy.scope.place {
            Place::Namespace(_) => Self::Namespace,
            Place::Cluster { .. } => Self::Cluster,
        }
    }

    pub(super) fn resource(self) -> ApiResource {
        match self {
            Self::Namespace => ApiResource::erase::<FileAccessPolicy>(&()),
            Self::Cluster => ApiResource::erase::<ClusterFileAccessPolicy>(&()),
        }
    }

    /// The policy that an object is, or why it is none.
    pub(super) fn compile(self, object: &DynamicObject) -> Result<Policy, String> {
        let meta = &object.metadata;
        let name = meta.name.as_deref().unwrap_or_default();
        let policy = match self {
            Self::Namespace => {
                parse::<FileAccessPolicy>(object)?.spec.compile(name, meta.namespace.as_deref().unwrap_or_default())
            }
            Self::Cluster => parse::<ClusterFileAccessPolicy>(object)?.spec.compile(name),
        };
        policy.map_err(|refused| refused.to_string())
    }
}

/// Each by itself: a list with one that cannot be parsed would be refused as a whole.
fn parse<T: DeserializeOwned>(object: &DynamicObject) -> Result<T, String> {
    let value = serde_json::to_value(object).map_err(|error| error.to_string())?;
    serde_json::from_value(value).map_err(|error| error.to_string())
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespace => "FileAccessPolicy",
            Self::Cluster => "ClusterFileAccessPolicy",
        })
    }
}
