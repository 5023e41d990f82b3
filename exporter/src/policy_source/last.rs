//! What the API server told last, on disk: a start without it goes on with that.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kube::api::DynamicObject;
use serde_json::json;

use super::Error;
use crate::policy::{Policy, document};

const FILE: &str = "policies.yaml";

/// The folder of `--state`.
#[derive(Debug)]
pub(super) struct Last(PathBuf);

/// A resource as it is written down: what a policy is made of.
#[derive(Debug)]
pub(super) struct Stored(serde_json::Value);

impl Stored {
    pub(super) fn new(object: DynamicObject) -> Self {
        let DynamicObject { types, metadata, mut data } = object;
        let types = types.unwrap_or_default();
        Self(json!({
            "apiVersion": types.api_version,
            "kind": types.kind,
            "metadata": { "name": metadata.name, "namespace": metadata.namespace },
            "spec": data["spec"].take(),
        }))
    }
}

impl Last {
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(|cause| Error::State { path: folder.to_owned(), cause })?;
        Ok(Self(folder.join(FILE)))
    }

    /// What was stored; nothing where there is nothing, or nothing that can be read.
    pub(super) fn load(&self) -> Vec<Policy> {
        let text = match fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                tracing::warn!(%error, "the policies that were in force last cannot be read");
                return Vec::new();
            }
        };
        let (policies, problems) = document::read(&text);
        for problem in problems {
            tracing::warn!("{}:{problem}", self.0.display());
        }
        policies
    }

    /// Writes all of it, in place of what was there.
    pub(super) fn store<'a>(&self, resources: impl Iterator<Item = &'a Stored>) {
        // JSON is YAML.
        let text = resources.fold(String::new(), |text, stored| text + "---\n" + &stored.0.to_string() + "\n");
        let new = self.0.with_extension("new");
        if let Err(error) = fs::write(&new, text).and_then(|()| fs::rename(&new, &self.0)) {
            tracing::warn!(%error, "the policies in force cannot be kept in {}", self.0.display());
        }
    }
}
