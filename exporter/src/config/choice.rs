//! Flags whose values are a closed list.

use clap::ValueEnum;

/// How to hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// The one that loses least on this kernel, then the cheapest.
    Auto,
    /// `inode_permission` at its return: sees the result.
    Fexit,
    /// `inode_permission` at its entry.
    Kprobe,
    /// System call exit: needs neither kprobes nor BPF trampolines.
    RawTracepoint,
}

/// Where container names come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Runtime {
    /// The runtime whose socket is there, else none.
    Auto,
    /// containerd by its own API; its socket must be there.
    Containerd,
    /// Any runtime of a kubelet, CRI-O for one, by the Container Runtime Interface; its socket must be there.
    Cri,
    /// No runtime is asked.
    None,
}

/// Whether to do something that needs others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// Where it can be done.
    Auto,
    /// It must be possible.
    Always,
    /// Not at all.
    Never,
}

/// How requests travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP, as protobuf.
    #[value(name = "http/protobuf")]
    HttpProtobuf,
}

/// Kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Accesses that are no violations.
    Access,
    /// Violations of policies.
    Violation,
    /// What is missing.
    Loss,
}

/// How bad an access is, by its rule; without a rule, low.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Severity {
    /// All of them.
    Low,
    /// Worth a look.
    Medium,
    /// Worth a call.
    High,
    /// Worth being woken for.
    Critical,
}

/// Compression of export requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compression {
    /// zstd level 1, and gzip where it is refused.
    Zstd,
    /// gzip.
    Gzip,
    /// None.
    None,
}

/// Form of own log messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Form of what `trace` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceOutput {
    /// For people.
    Table,
    /// One flat JSON object per line.
    Json,
    /// One OTLP/JSON object per line, as OpenTelemetry's file exporter writes it.
    OtlpJson,
    /// One JSON object per line, as Vector's opentelemetry source emits it.
    Vector,
}

/// Form of the lines of a destination that is a file or stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// One OTLP/JSON request per line, as OpenTelemetry's file exporter writes it.
    OtlpJson,
    /// One flat JSON object per record.
    Json,
    /// One JSON object per record, as Vector's opentelemetry source emits it.
    Vector,
}

/// Form of what `verify` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VerifyOutput {
    /// For people.
    Table,
    /// One JSON object.
    Json,
}

/// Form of what `check` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckOutput {
    /// For people.
    Table,
    /// One JSON object.
    Json,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}
