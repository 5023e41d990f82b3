//! `inotrail check`: the sensor's report as text or JSON.

use std::fmt::Write as _;
use std::io;
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};

use super::{Error, print};
use crate::config::args::CheckArgs;
use crate::config::choice::CheckOutput;
use crate::sensor::report::Report;
use crate::{app, config};

/// Width where stdout is no terminal.
const COLUMNS: u16 = 100;

pub(super) fn check(args: CheckArgs) -> Result<ExitCode, Error> {
    let output = args.output;
    let report = app::check(&config::Check::try_from(args)?)?;
    let text = match output {
        CheckOutput::Table => text(&report, super::columns().unwrap_or(COLUMNS)),
        CheckOutput::Json => {
            let json = serde_json::to_string_pretty(&report).map_err(io::Error::other).map_err(Error::Output)?;
            json + "\n"
        }
    };
    print(text.as_bytes())?;
    Ok(if report.chosen.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Facts, the table of backends, then what was chosen, its hooks of mutations where they are asked for, and what it cannot see.
fn text(report: &Report, columns: u16) -> String {
    let missing = match report.missing_capabilities.as_slice() {
        [] => "none missing".to_owned(),
        missing => format!("missing {}", missing.join(", ")),
    };
    let kernel = format!("{} {}", report.kernel, report.arch);
    let facts = [
        ("kernel", kernel.as_str()),
        ("BTF", &report.btf),
        ("preemption", &report.preemption),
        ("cgroups", &report.cgroups),
        ("capabilities", &missing),
    ];
    let facts = table(columns, facts.map(|(name, value)| [name, value]).to_vec());
    let mut rows = vec![["BACKEND", "LOADS", "ATTACHES", "MISSES", "REASON"]];
    rows.extend(
        report
            .backends
            .iter()
            .map(|row| [row.backend.as_str(), yes(row.loads), yes(row.attaches), row.misses, &row.reason]),
    );
    let backends = table(columns, rows);
    let chosen = report.chosen.map_or("none", crate::event::Backend::as_str);
    let mut rows = vec![["NAMES", "SOCKET", "WORKS", "REASON"]];
    rows.extend(report.names.iter().map(|row| [row.source, &*row.socket, yes(row.works), &row.reason]));
    let names = table(columns, rows);
    let mut text = String::new();
    let _infallible = write!(text, "{facts}\n\n{names}\n\n{backends}\n\nchosen: {chosen}: {}\n", report.why);
    if let Some(pinned) = &report.pinned {
        let swapped = if pinned.swaps > 0 { ", which took over from fexit when the kernel skipped that" } else { "" };
        let _infallible = writeln!(text, "attached: {}{swapped}; pinned in {}", pinned.backend.as_str(), pinned.folder);
    }
    if !report.mutations.is_empty() {
        let mut rows = vec![["MUTATION", "FUNCTION", "ATTACHES", "REASON"]];
        rows.extend(report.mutations.iter().map(|row| [row.operation, row.function, yes(row.works), &row.reason]));
        let _infallible = write!(text, "\n{}\n", table(columns, rows));
    }
    if !report.not_seen.is_empty() {
        text.push_str("\nThis node cannot see:\n");
        for sentence in &report.not_seen {
            let _infallible = writeln!(text, "- {sentence}");
        }
    }
    text
}

fn table<const N: usize>(columns: u16, rows: Vec<[&str; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(columns);
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index + 1 < N { 2 } else { 0 }));
    }
    table.trim_fmt()
}

fn yes(truth: bool) -> &'static str {
    if truth { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::report::SourceReport;
    use crate::event::Backend;
    use crate::sensor::report::{BackendReport, MutationReport, PinnedReport};

    fn report() -> Report {
        let backend = |backend, works: bool, reason: &str| BackendReport {
            backend,
            loads: works,
            attaches: works,
            misses: "never",
            reason: reason.into(),
        };
        Report {
            kernel: "6.18.44".into(),
            arch: "x86_64".into(),
            btf: "/sys/kernel/btf/vmlinux".into(),
            preemption: "none".into(),
            cgroups: "v1 memory at /sys/fs/cgroup/memory".into(),
            names: vec![SourceReport {
                source: "containerd",
                socket: "/run/containerd/containerd.sock".into(),
                works: true,
                reason: String::new(),
            }],
            backends: vec![
                backend(Backend::Fexit, false, "this kernel has no BPF trampolines (CONFIG_FUNCTION_TRACER is off)"),
                backend(Backend::RawTracepoint, true, ""),
            ],
            chosen: Some(Backend::RawTracepoint),
            why: "the only one that works".into(),
            not_seen: vec!["opens by services of the kernel".into()],
            mutations: Vec::new(),
            pinned: None,
            missing_capabilities: Vec::new(),
        }
    }

    #[test]
    fn text_of_a_report() {
        let expected = "\
kernel        6.18.44 x86_64
BTF           /sys/kernel/btf/vmlinux
preemption    none
cgroups       v1 memory at /sys/fs/cgroup/memory
capabilities  none missing

NAMES       SOCKET                           WORKS  REASON
containerd  /run/containerd/containerd.sock  yes

BACKEND         LOADS  ATTACHES  MISSES  REASON
fexit           no     no        never   this kernel has no BPF trampolines (CONFIG_FUNCTION_TRACER is off)
raw-tracepoint  yes    yes       never

chosen: raw-tracepoint: the only one that works

This node cannot see:
- opens by services of the kernel
";
        assert_eq!(text(&report(), 120), expected);
    }

    #[test]
    fn nothing_works_and_long_reasons_wrap_in_their_column() {
        let mut report = report();
        (report.chosen, report.why) = (None, "no backend works".into());
        report.missing_capabilities = vec!["CAP_BPF".into(), "CAP_PERFMON".into()];
        let text = text(&report, 60);
        assert!(text.contains("capabilities  missing CAP_BPF, CAP_PERFMON\n"), "{text}");
        assert!(text.contains("\nchosen: none: no backend works\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    }

    #[test]
    fn mutations_have_a_table_where_they_are_asked_for() {
        let row = |operation, function, reason: &str| MutationReport {
            operation,
            function,
            works: reason.is_empty(),
            reason: reason.into(),
        };
        let mut report = report();
        report.mutations = vec![
            row("delete", "security_path_unlink", ""),
            row("rename", "security_path_rename", "this kernel has none"),
        ];
        let expected = "
MUTATION  FUNCTION              ATTACHES  REASON
delete    security_path_unlink  yes
rename    security_path_rename  no        this kernel has none

This node cannot see:
";
        let text = text(&report, 100);
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn says_what_an_exporter_has_attached() {
        let mut report = report();
        let pinned = |swaps| PinnedReport { folder: "/sys/fs/bpf/inotrail".into(), backend: Backend::Kprobe, swaps };
        report.pinned = Some(pinned(0));
        assert!(text(&report, 100).contains("\nattached: kprobe; pinned in /sys/fs/bpf/inotrail\n"));
        report.pinned = Some(pinned(1));
        assert!(
            text(&report, 100)
                .contains("\nattached: kprobe, which took over from fexit when the kernel skipped that; ")
        );
    }

    #[test]
    fn json_names_backends_as_flags_do() {
        let json = serde_json::to_value(report()).expect("json");
        assert_eq!(json["chosen"], "raw-tracepoint");
        assert_eq!(json["backends"][0]["backend"], "fexit");
        assert_eq!(json["backends"][0]["loads"], false);
        assert_eq!(json["missing_capabilities"], serde_json::json!([]));
    }
}
