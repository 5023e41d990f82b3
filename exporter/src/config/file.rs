//! The file of `--config`: flags by their names, and destinations.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::OsStr;
use clap::error::{ContextKind, ContextValue};
use clap::{ArgAction, Command, Parser as _};
use serde_json::{Map, Value};

use super::Error;
use super::args::DestinationArgs;

/// Under which the destinations are.
pub(super) const DESTINATIONS: &str = "destinations";
/// Destinations at most: each has connections and a place in the spool.
const DESTINATIONS_MAX: usize = 8;
/// Longest name of one.
const NAME_MAX: usize = 64;

/// The command with what the file that `arguments` name says as the flags' defaults.
///
/// # Errors
/// The file cannot be read, or says what no flag does.
pub fn with_file(command: Command, arguments: &[OsString]) -> Result<Command, Error> {
    let Some(path) = named(command.clone(), arguments) else { return Ok(command) };
    let values = read(&path)?;
    let mut run = command.find_subcommand("run").cloned().unwrap_or_default();
    for (key, value) in values.iter().filter(|(key, _)| *key != DESTINATIONS) {
        run = with_default(run, key, value).map_err(|what| wrong(&path, what))?;
    }
    Ok(command.mut_subcommand("run", |_| run))
}

/// The destinations of a file, by name; none where it names none.
///
/// # Errors
/// It cannot be read, or one is wrong.
pub(super) fn destinations(path: &Path) -> Result<Vec<(String, DestinationArgs)>, Error> {
    let values = read(path)?;
    let Some(all) = values.get(DESTINATIONS) else { return Ok(Vec::new()) };
    let all = all.as_object().filter(|all| (1..=DESTINATIONS_MAX).contains(&all.len())).ok_or_else(|| {
        wrong(path, format!("{DESTINATIONS}: expected 1 to {DESTINATIONS_MAX} destinations, each by its name"))
    })?;
    let one = |(name, value): (&String, &Value)| {
        let args = destination(name, value).map_err(|what| wrong(path, format!("{DESTINATIONS}.{name}: {what}")))?;
        Ok((name.clone(), args))
    };
    all.iter().map(one).collect()
}

/// The same in the file's words.
///
/// # Errors
/// It cannot be read.
pub(super) fn values(path: &Path) -> Result<Map<String, Value>, Error> {
    match read(path)?.remove(DESTINATIONS) {
        Some(Value::Object(values)) => Ok(values),
        _ => Ok(Map::new()),
    }
}

fn destination(name: &str, value: &Value) -> Result<DestinationArgs, String> {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(is_name) {
        return Err(format!("a name has 1 to {NAME_MAX} of a-z, 0-9 and '-'"));
    }
    let mut arguments = Vec::new();
    for (key, value) in value.as_object().ok_or("expected flags by their names")? {
        for value in texts(value).ok_or_else(|| format!("{key}: expected a value or a list of such"))? {
            arguments.push(format!("--{key}={value}"));
        }
    }
    // Its help is of a command line that there is not.
    DestinationArgs::try_parse_from(arguments).map_err(|error| said(&error))
}

/// Which file is named, by the flag or by its variable.
pub(super) fn named(command: Command, arguments: &[OsString]) -> Option<PathBuf> {
    let matches = command.ignore_errors(true).try_get_matches_from(arguments).ok()?;
    matches.subcommand_matches("run")?.try_get_one::<PathBuf>("config").ok()?.cloned()
}

fn with_default(run: Command, key: &str, value: &Value) -> Result<Command, String> {
    let arg = run.get_arguments().find(|arg| arg.get_long() == Some(key) && key != "config");
    let arg = arg.ok_or_else(|| format!("{key}: there is no such flag"))?;
    let (id, is_list) = (arg.get_id().clone(), matches!(arg.get_action(), ArgAction::Append));
    let texts = texts(value).filter(|texts| is_list || texts.len() == 1);
    let texts = texts
        .ok_or_else(|| format!("{key}: expected {}", if is_list { "a value or a list of such" } else { "a value" }))?;
    // A list with commas would be one value of a list that is given as such.
    Ok(run.mut_arg(id, |arg| arg.default_values(texts.into_iter().map(OsStr::from))))
}

/// Values as a command line has them.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Bool(_) | Value::Number(_) => Some(vec![value.to_string()]),
        Value::Array(values) => {
            let one = |value: &Value| texts(value).filter(|_| !value.is_array())?.pop();
            values.iter().map(one).collect()
        }
        Value::Null | Value::Object(_) => None,
    }
}

fn read(path: &Path) -> Result<Map<String, Value>, Error> {
    let advice = "name a readable YAML file";
    let text = fs::read_to_string(path).map_err(|cause| Error::File {
        flag: "--config",
        path: path.to_owned(),
        cause,
        advice,
    })?;
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_saphyr::from_str(&text).map_err(|error| wrong(path, error.to_string()))
}

fn wrong(path: &Path, what: String) -> Error {
    Error::Wrong { path: path.to_owned(), what }
}

/// What is wrong with a value, in a line; never a header, which may be a secret.
pub(super) fn said(error: &clap::Error) -> String {
    if let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg)
        && flag.starts_with("--header ")
    {
        return format!("{flag}: expected key=value");
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
