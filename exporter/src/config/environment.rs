//! Environment variables of flags: `INOTRAIL_<FLAG>` for each, then the names that others gave the same thing.

use std::env;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command, CommandFactory};

use super::args::{Args, WITHOUT_ENVIRONMENT};

/// Names by others: OpenTelemetry's specification (configuration of the OTLP exporter), and the variable that pod
/// specs by custom fill from `spec.nodeName`.
const OTHER_NAMES: [(&str, &[&str]); 15] = [
    ("endpoint", &["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]),
    ("protocol", &["OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]),
    ("insecure", &["OTEL_EXPORTER_OTLP_LOGS_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"]),
    ("header", &["OTEL_EXPORTER_OTLP_LOGS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]),
    ("compression", &["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"]),
    ("timeout", &["OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]),
    ("ca-file", &["OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]),
    ("client-cert", &["OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"]),
    ("client-key", &["OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"]),
    ("node-name", &["NODE_NAME"]),
    // Not the base of all signals: who sets that for the audit trail has not asked for more.
    ("telemetry-endpoint", &["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"]),
    ("telemetry-interval", &["OTEL_METRIC_EXPORT_INTERVAL"]),
    ("telemetry-header", &["OTEL_EXPORTER_OTLP_METRICS_HEADERS"]),
    ("telemetry-ca-file", &["OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE"]),
    ("telemetry-disabled", &["OTEL_SDK_DISABLED"]),
];

/// Below it are the addresses of all signals.
const BASE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// The command line with every flag bound to the first of its variables that is set. An empty variable counts as unset.
#[must_use]
pub fn command() -> Command {
    bind(Args::command()).mut_subcommands(bind)
}

fn bind(command: Command) -> Command {
    command.mut_args(|arg| {
        let Some(name) = own_name(&arg) else { return arg };
        let others = OTHER_NAMES.iter().find(|(flag, _)| Some(*flag) == arg.get_long()).map_or(&[][..], |row| row.1);
        let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let set = [name.as_str()].into_iter().chain(others.iter().copied()).find(is_set).map(str::to_owned);
        let arg = match arg.get_action() {
            ArgAction::SetTrue => arg.value_parser(BoolishValueParser::new()),
            _ => arg,
        };
        match set {
            // The specification's: this one is the base of addresses, all others are whole ones.
            Some(set) if set == BASE => match env::var(BASE).ok().as_deref().and_then(logs_below) {
                Some(whole) => arg.default_value(whole),
                None => arg.env(set),
            },
            Some(set) => arg.env(set),
            None if env::var_os(&name).is_none() => arg.env(name),
            None => arg,
        }
    })
}

/// Where logs are taken below a base that has a path; nothing where it has none, or is a file, and is a whole address as it is.
fn logs_below(base: &str) -> Option<String> {
    if base.starts_with("file:") {
        return None;
    }
    let path = base.split_once("://").map_or(base, |(_, rest)| rest).split_once('/').map(|(_, path)| path)?;
    let base = base.trim_end_matches('/');
    (!path.trim_matches('/').is_empty()).then(|| format!("{base}/v1/logs"))
}

/// `INOTRAIL_RING_SIZE` for `--ring-size`; nothing for positional arguments and flags of one look at the terminal.
fn own_name(arg: &Arg) -> Option<String> {
    let flag = arg.get_long()?;
    let excluded = arg.get_help_heading().is_some_and(|heading| WITHOUT_ENVIRONMENT.contains(&heading));
    let builtin = matches!(flag, "help" | "version");
    (!excluded && !builtin).then(|| format!("INOTRAIL_{}", flag.to_uppercase().replace('-', "_")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_belongs_to_a_flag() {
        let command = command();
        let run = command.find_subcommand("run").expect("run");
        for (flag, _) in OTHER_NAMES {
            assert!(run.get_arguments().any(|arg| arg.get_long() == Some(flag)), "{flag}");
        }
    }

    #[test]
    fn bases() {
        let check = |base: &str, expected: Option<&str>| assert_eq!(logs_below(base).as_deref(), expected, "{base}");
        check("http://x:4318", None);
        check("http://x:4318/", None);
        check("x:4317", None);
        check("file:///var/log/a.jsonl", None);
        check("http://x:3100/otlp", Some("http://x:3100/otlp/v1/logs"));
        check("https://x/a/b/", Some("https://x/a/b/v1/logs"));
    }

    #[test]
    fn names() {
        let command = command();
        let check = |subcommand: &str, flag: &str, expected: Option<&str>| {
            let subcommand = command.find_subcommand(subcommand).expect(subcommand);
            let arg = subcommand.get_arguments().find(|arg| arg.get_long() == Some(flag)).expect(flag);
            assert_eq!(own_name(arg).as_deref(), expected, "{flag}");
        };
        check("run", "ring-size", Some("INOTRAIL_RING_SIZE"));
        check("trace", "path", None);
        check("check", "output", None);
        command.clone().debug_assert();
    }
}
