//! What exactly this is: set when it is built.

use std::sync::LazyLock;

/// Version of the release.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Git revision of the source; `unknown` outside a checkout.
pub const REVISION: &str = match option_env!("INOTRAIL_GIT_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// SHA-256 of the embedded BPF object, hexadecimal: two binaries with equal hashes load the same programs.
pub const OBJECT_SHA256: &str = match option_env!("INOTRAIL_OBJECT_SHA256") {
    Some(hash) => hash,
    None => "unknown",
};

/// What `--version` prints after the name.
#[must_use]
pub fn line() -> &'static str {
    static LINE: LazyLock<String> =
        LazyLock::new(|| format!("{VERSION} (revision {REVISION}, BPF object sha256:{OBJECT_SHA256})"));
    &LINE
}
