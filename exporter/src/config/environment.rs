//! Environment variables of flags: `INOTRAIL_<FLAG>` for each, then the names that others gave the same thing.

use std::env;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command, CommandFactory};

use super::args::{Args, WITHOUT_ENVIRONMENT};

/// Names by others: OpenTelemetry's specification (configuration of the OTLP exporter), and the variable that pod
/// specs by custom fill from `spec.nodeName`.
const OTHER_NAMES: [(&str, &[&str]); 8] = [
    ("endpoint", &["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]),
    ("header", &["OTEL_EXPORTER_OTLP_LOGS_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]),
    ("compression", &["OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"]),
    ("timeout", &["OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]),
    ("ca-file", &["OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]),
    ("client-cert", &["OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"]),
    ("client-key", &["OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"]),
    ("node-name", &["NODE_NAME"]),
];

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
            Some(set) => arg.env(set),
            None if env::var_os(&name).is_none() => arg.env(name),
            None => arg,
        }
    })
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
