//! Which decoys are where, on disk: for the next run, when this one is killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Error;
use super::file::Identity;
use super::planter::{Key, Planted};
use crate::policy::decoy::Decoy;

const FILE: &str = "decoys.json";

/// The file.
#[derive(Debug)]
pub(super) struct Kept(PathBuf);

/// Its content: what several containers have is there once.
#[derive(Default, Deserialize, Serialize)]
struct Content {
    decoys: Vec<Decoy>,
    files: Vec<Line>,
}

#[derive(Deserialize, Serialize)]
struct Line {
    /// Place in [`Content::decoys`].
    decoy: usize,
    container: String,
    cgroup: u64,
    cgroup_path: String,
    /// Seconds since the Unix epoch.
    since: i64,
    /// Nothing: it was about to be made.
    #[serde(flatten)]
    identity: Option<Identity>,
}

impl Kept {
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(|cause| Error::State { path: folder.to_owned(), cause })?;
        Ok(Self(folder.join(FILE)))
    }

    /// What an earlier run has left; nothing where nothing can be read.
    pub(super) fn load(&self) -> Vec<(Key, Planted)> {
        let text = match fs::read(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
            Err(error) => {
                tracing::warn!(%error, "decoys of an earlier run are not known");
                return Vec::new();
            }
        };
        let content: Content = serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(%error, "{} is not what an earlier run has written", self.0.display());
            Content::default()
        });
        let decoys: Vec<_> = content.decoys.into_iter().map(Arc::new).collect();
        let planted = |line: Line| {
            let decoy = Arc::clone(decoys.get(line.decoy)?);
            let Line { container, cgroup, cgroup_path, since, identity, .. } = line;
            let cgroup_path = cgroup_path.into_bytes().into();
            let key = (cgroup, decoy.path.clone());
            Some((key, Planted { decoy, container, cgroup: cgroup_path, since, identity, is_earlier: true }))
        };
        content.files.into_iter().filter_map(planted).collect()
    }

    /// Writes all of it, in place of what was there.
    pub(super) fn store<'a>(&self, planted: impl Iterator<Item = (&'a Key, &'a Planted)>) {
        let mut content = Content::default();
        for ((cgroup, _), planted) in planted {
            let known = content.decoys.iter().position(|decoy| *decoy == *planted.decoy);
            let decoy = known.unwrap_or_else(|| {
                content.decoys.push(Decoy::clone(&planted.decoy));
                content.decoys.len() - 1
            });
            content.files.push(Line {
                decoy,
                container: planted.container.clone(),
                cgroup: *cgroup,
                cgroup_path: String::from_utf8_lossy(&planted.cgroup).into_owned(),
                since: planted.since,
                identity: planted.identity,
            });
        }
        let new = self.0.with_extension("new");
        let stored = serde_json::to_vec(&content).map_err(io::Error::from);
        if let Err(error) = stored.and_then(|text| fs::write(&new, text)).and_then(|()| fs::rename(&new, &self.0)) {
            tracing::warn!(%error, "what decoys are where cannot be kept in {}", self.0.display());
        }
    }
}
