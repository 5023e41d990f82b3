//! Files that are put into containers for nobody to touch.

use serde::{Deserialize, Serialize};

/// One of a policy's; a rule of the policy is about its path.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Decoy {
    /// Its name, which is its rule's.
    pub name: String,
    /// [`super::Policy::name`]
    pub policy: String,
    /// Where it is, as the container sees it: absolute, without `.` and `..`.
    pub path: String,
    /// What is in it.
    pub content: String,
    /// Permission bits.
    pub mode: u32,
}

impl Decoy {
    /// Whether one file is as good as the other.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        (&self.path, &self.content, self.mode) == (&other.path, &other.content, other.mode)
    }
}
