//! What `run` was given: read again while it runs, and held against what it has.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, Command, FromArgMatches as _};
use serde_json::{Map, Value};

use super::args::RunArgs;
use super::{Error, Shipping, command, file, shipping};

/// Keys of what can change while it runs, of the file and of a destination in it.
pub const LIVE: [&str; 13] = [
    "endpoint",
    "protocol",
    "insecure",
    "bearer-token-file",
    "header",
    "compression",
    "timeout",
    "ca-file",
    "client-cert",
    "client-key",
    "max-age",
    "in-flight",
    "tenant-header",
];

/// The words of flags, variables and the file of `--config`, to be compared.
#[derive(Clone, Debug)]
pub struct Given {
    flags: BTreeMap<String, Vec<OsString>>,
    destinations: Map<String, Value>,
}

/// What reading has brought.
#[derive(Debug)]
pub struct Reading {
    /// Files that were named, as far as it came: the configuration, and certificates and keys.
    pub files: Vec<PathBuf>,
    /// What they and the command line say.
    pub outcome: Result<(Given, Shipping), Error>,
}

impl Given {
    /// Reads the configuration of a command line of `run`, and all files that it names. Reads files, and looks at nothing
    /// else of the machine.
    #[must_use]
    pub fn read(arguments: &[OsString]) -> Reading {
        let mut files = Vec::new();
        let outcome = read(arguments, &mut files);
        Reading { files, outcome }
    }

    /// Keys of what is different in `new` and cannot change while it runs: `ring-size`, `destinations.siem.export-kind`.
    #[must_use]
    pub fn fixed(&self, new: &Self) -> Vec<String> {
        let mut keys = differing(&self.flags, &new.flags);
        let named = |given: &Self| given.destinations.keys().cloned().collect::<BTreeSet<_>>();
        let (before, after) = (named(self), named(new));
        keys.extend(before.symmetric_difference(&after).map(|name| format!("{}.{name}", file::DESTINATIONS)));
        for name in before.intersection(&after) {
            let of = |given: &Self| match &given.destinations[name] {
                Value::Object(values) => values.clone().into_iter().collect(),
                _ => BTreeMap::new(),
            };
            let keys_of = differing(&of(self), &of(new));
            keys.extend(keys_of.into_iter().map(|key| format!("{}.{name}.{key}", file::DESTINATIONS)));
        }
        keys
    }
}

/// Keys that are not [`LIVE`] and have other values.
fn differing<T: PartialEq>(before: &BTreeMap<String, T>, after: &BTreeMap<String, T>) -> Vec<String> {
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let is_meant = |key: &&&String| before.get(**key) != after.get(**key) && !LIVE.contains(&key.as_str());
    keys.iter().filter(is_meant).map(|key| (*key).clone()).collect()
}

fn read(arguments: &[OsString], files: &mut Vec<PathBuf>) -> Result<(Given, Shipping), Error> {
    let config = file::named(command(), arguments);
    files.extend(config.clone());
    let command = file::with_file(command(), arguments)?;
    // The command line and the variables were right at the start.
    let wrong =
        |error: clap::Error| Error::Wrong { path: config.clone().unwrap_or_default(), what: file::said(&error) };
    let matches = command.clone().try_get_matches_from(arguments).map_err(wrong)?;
    let matches = matches.subcommand_matches("run").ok_or(Error::Usage("only `run` has a configuration to read"))?;
    let args = RunArgs::from_arg_matches(matches).map_err(wrong)?;
    let destinations = config.as_deref().map(file::values).transpose()?.unwrap_or_default();
    let named = config.as_deref().map(file::destinations).transpose()?.unwrap_or_default();
    let exports = named.iter().map(|(_, args)| &args.export).chain(named.is_empty().then_some(&args.export));
    files.extend(exports.flat_map(|args| [&args.ca_file, &args.client_cert, &args.client_key]).flatten().cloned());
    let given = Given { flags: flags(&command, matches), destinations };
    let state = args.policy.state.clone();
    let shipping = shipping::shipping(args.export, args.route, &args.queue, state, args.config.as_deref())?;
    Ok((given, shipping))
}

/// Values of all flags of `run`, wherever they are from.
fn flags(command: &Command, matches: &ArgMatches) -> BTreeMap<String, Vec<OsString>> {
    let all = command.find_subcommand("run").into_iter().flat_map(Command::get_arguments);
    let value = |arg: &clap::Arg| {
        let values = matches.try_get_raw(arg.get_id().as_str()).ok()??;
        Some((arg.get_long()?.to_owned(), values.map(OsString::from).collect()))
    };
    all.filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Given {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&file, text).expect("write");
        let arguments = ["inotrail", "run", "--config", file.path().to_str().expect("a name")];
        let (mut given, _) = Given::read(&arguments.map(OsString::from)).outcome.expect(text);
        given.flags.remove("config");
        given
    }

    #[test]
    fn what_needs_a_restart_is_named() {
        let check = |before: &str, after: &str, expected: &[&str]| {
            assert_eq!(given(before).fixed(&given(after)), expected, "{before} -> {after}");
        };
        check("", "", &[]);
        check("", "ring-size: 1MiB", &["ring-size"]);
        check("ring-size: 16MiB", "", &[]);
        check("state: /a\nhost: true", "state: /b\ntimeout: 3s", &["host", "state"]);
        check("exclude-cgroup: [/a, /b]", "exclude-cgroup: [/a]", &["exclude-cgroup"]);
        let live = "endpoint: http://y:1\nprotocol: http/protobuf\nheader: a=1\ncompression: gzip\ntimeout: 3s\n\
                    max-age: 1h\nin-flight: 1\nbearer-token-file: /t\ntenant-header: a\ninsecure: true";
        check("", live, &[]);
        check("tenant: namespace", "tenant: 'name:a'\nexport-kind: loss", &["export-kind", "tenant"]);
        check("destinations: {a: {}}", "destinations: {b: {}}", &["destinations.a", "destinations.b"]);
        check("", "destinations: {default: {}}", &["destinations.default"]);
        check(
            "destinations: {a: {timeout: 1s}, b: {export-kind: loss}}",
            "destinations: {a: {in-flight: 2}, b: {export-kind: [loss, violation]}}",
            &["destinations.b.export-kind"],
        );
    }

    #[test]
    fn every_key_is_a_flag() {
        let command = command();
        let run = command.find_subcommand("run").expect("run");
        for key in LIVE {
            assert!(run.get_arguments().any(|arg| arg.get_long() == Some(key)), "{key}");
        }
    }

    #[test]
    fn files_are_known_though_one_is_wrong() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let read = |text: &str| {
            std::fs::write(&file, text).expect("write");
            let reading = Given::read(
                &["inotrail", "run", "--config", file.path().to_str().expect("a name")].map(OsString::from),
            );
            (reading.files.len(), reading.outcome.map(drop).map_err(|error| error.to_string()))
        };
        let (files, outcome) = read("destinations: {a: {endpoint: 'https://a:1', ca-file: /absent}}");
        assert_eq!(files, 2);
        assert!(outcome.expect_err("absent").starts_with("cannot read /absent given by --ca-file"));
        let (files, outcome) = read("header: 'Bearer secret'");
        assert_eq!(files, 1);
        let said = outcome.expect_err("no header");
        assert!(said.ends_with("--header <KEY=VALUE>: expected key=value") && !said.contains("secret"), "{said}");
        let (_, outcome) = read("destinations: {a: {header: [b=c, 'Bearer secret']}}");
        let said = outcome.expect_err("no header");
        assert!(said.ends_with("destinations.a: --header <KEY=VALUE>: expected key=value"), "{said}");
    }
}
