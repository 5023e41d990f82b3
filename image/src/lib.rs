//! Container images, written without an engine: the exporter's, and those of the test bench.
//!
//! ```text
//! program (cargo, static) ─┐
//! certificates, sbom ──────┴─> content: entries ─┬─> layer ─> image ─> layout ─> archive     (`make image`)
//!                                                └─> a folder, which an engine copies whole   (the Dockerfile)
//! ```
//!
//! Equal inputs make equal bytes: nothing here reads a clock, and nothing depends on where the source lies.

pub mod certificates;
pub mod check;
pub mod content;
pub mod layout;
pub mod platform;
pub mod program;
pub mod release;
pub mod sbom;
pub mod version;

use std::path::Path;

/// The workspace's folder.
#[must_use]
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
