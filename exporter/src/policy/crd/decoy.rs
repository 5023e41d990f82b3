//! A decoy of a policy as users write it.

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::pattern::PATTERN_MAX;
use super::super::rule::Severity;
use super::check;
use super::rule::NAME_MAX;

/// Bytes of a decoy: a key or a file of credentials has fewer.
const CONTENT_MAX: usize = 4096;

/// One file's path: what `Pattern` takes for one, but for the root.
const PATH: &str = r"^(/([^./*?\[\]{}\\][^/*?\[\]{}\\]*|\.[^./*?\[\]{}\\][^/*?\[\]{}\\]*|\.\.[^/*?\[\]{}\\]+))+$";
const MODE: &str = "^0[0-7]{3}$";

/// A file that is put into containers for nobody to touch.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize, Validate)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DecoySpec {
    /// Its name, which events have as `security_rule.name`; no rule of the policy has it.
    #[garde(length(min = 1, max = NAME_MAX))]
    pub name: String,
    /// Where it is put, as the container sees it. The folder must be there, in the container's own file system and not
    /// behind a link; the file must not.
    #[garde(custom(check::file))]
    #[schemars(length(min = 1, max = PATTERN_MAX), regex(pattern = PATH))]
    pub path: String,
    /// What is in it, at most 4096 bytes.
    #[garde(length(bytes, max = CONTENT_MAX))]
    #[schemars(length(max = CONTENT_MAX))]
    pub content: String,
    /// Who may read it, as chmod takes it. It is root's; 0444 lets whoever the container runs as find something.
    #[garde(custom(check::mode))]
    #[schemars(regex(pattern = MODE))]
    #[serde(default = "readable")]
    pub mode: String,
    /// How bad it is to touch it.
    #[garde(skip)]
    #[serde(default = "high")]
    pub severity: Severity,
}

/// A decoy is there to be read: most containers do not run as root, and what they are kept from teaches an intruder nothing.
fn readable() -> String {
    "0444".to_owned()
}

fn high() -> Severity {
    Severity::High
}

/// Bits of a mode; `None`: the text is no mode.
pub(in super::super) fn mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('0').filter(|digits| digits.len() == 3)?;
    // Digits alone: a sign would be taken too.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| u32::from_str_radix(digits, 8).ok())?
}
