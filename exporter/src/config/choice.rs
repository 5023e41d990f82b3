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
