//! What works on this node: the outcome of loading and attaching, as plain values.

use serde::Serialize;

use crate::container::report::SourceReport;
use crate::event::Backend;

/// What `inotrail check` shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `uname -r`
    pub kernel: String,
    /// `uname -m`
    pub arch: String,
    /// Where the kernel's types were read, or why they were not.
    pub btf: String,
    /// Preemption model as far as it is known: `none`, `voluntary`, `full`, `lazy`, `unknown`.
    pub preemption: String,
    /// The hierarchy that tells containers apart, and where it is mounted.
    pub cgroups: String,
    /// Where container names come from, and whether that works. The sensor leaves it empty.
    pub names: Vec<SourceReport>,
    /// Every backend, in the order of the rule that chooses.
    pub backends: Vec<BackendReport>,
    /// The backend that `run` and `trace` would use; nothing when none works.
    #[serde(serialize_with = "name")]
    pub chosen: Option<Backend>,
    /// Why that one, or why none.
    pub why: String,
    /// What an exporter keeps attached by its pins; nothing where there are none.
    pub pinned: Option<PinnedReport>,
    /// What this node cannot see with the chosen backend, one sentence each.
    pub not_seen: Vec<String>,
    /// With `--mutations`: what the chosen backend tells of, one row per hooked function.
    pub mutations: Vec<MutationReport>,
    /// Capabilities that are needed and missing: `CAP_BPF`.
    pub missing_capabilities: Vec<String>,
}

/// What became of one backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackendReport {
    /// Which.
    #[serde(serialize_with = "required_name")]
    pub backend: Backend,
    /// The verifier took its programs.
    pub loads: bool,
    /// Its programs could be attached.
    pub attaches: bool,
    /// Whether the kernel may skip its programs: `never`, `counted`, `not countable`.
    pub misses: &'static str,
    /// Why not, or what is degraded or costly; empty when there is nothing to say.
    pub reason: String,
}

/// Programs that an exporter has pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PinnedReport {
    /// Where.
    pub folder: String,
    /// The backend that reports now.
    #[serde(serialize_with = "required_name")]
    pub backend: Backend,
    /// How often kprobe has taken over from fexit.
    pub swaps: u64,
}

/// What became of one operation's hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MutationReport {
    /// `inotrail.file.operation`
    pub operation: &'static str,
    /// The kernel's function.
    pub function: &'static str,
    /// The program is attached to it.
    pub works: bool,
    /// Why not; empty where it is.
    pub reason: String,
}

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
fn name<S: serde::Serializer>(backend: &Option<Backend>, serializer: S) -> Result<S::Ok, S::Error> {
    backend.map(Backend::as_str).serialize(serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
fn required_name<S: serde::Serializer>(backend: &Backend, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(backend.as_str())
}
