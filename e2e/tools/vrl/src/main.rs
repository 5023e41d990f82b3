//! `vrl-events PROGRAM.vrl < EVENTS > EVENTS`: what Vector's `remap` transform makes of events, one JSON object per line.
//!
//! Events are those of Vector's `opentelemetry` source in the legacy log namespace, where `timestamp` and
//! `observed_timestamp` are timestamps and not strings. An event that the program aborts on, or fails with, is an error.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::{env, fs};

use chrono::{DateTime, Utc};
use vrl::compiler::runtime::Runtime;
use vrl::compiler::{TargetValue, TimeZone, compile};
use vrl::diagnostic::Formatter;
use vrl::value::{Secrets, Value};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: vrl-events PROGRAM.vrl")?;
    let source = fs::read_to_string(&path)?;
    let compiled = compile(&source, &vrl::stdlib::all())
        .map_err(|diagnostics| Formatter::new(&source, diagnostics).to_string())?;
    if !compiled.warnings.is_empty() {
        return Err(Formatter::new(&source, compiled.warnings).to_string().into());
    }
    let mut runtime = Runtime::default();
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let event: serde_json::Value = serde_json::from_str(&line?)?;
        let metadata = Value::Object(BTreeMap::new());
        let mut target = TargetValue { value: event_of(event)?, metadata, secrets: Secrets::new() };
        runtime.clear();
        runtime.resolve(&mut target, &compiled.program, &TimeZone::default()).map_err(|error| format!("{error}"))?;
        let event: serde_json::Value = target.value.try_into().map_err(|error| format!("{error:?}"))?;
        writeln!(out, "{event}")?;
    }
    Ok(())
}

fn event_of(json: serde_json::Value) -> Result<Value, Box<dyn Error>> {
    let mut value = Value::from(json);
    if let Some(event) = value.as_object_mut() {
        for name in ["timestamp", "observed_timestamp"] {
            if let Some(time) = event.get_mut(name) {
                let text = time.to_str_lossy().ok_or("a timestamp that is none")?.into_owned();
                *time = Value::Timestamp(DateTime::parse_from_rfc3339(&text)?.with_timezone(&Utc));
            }
        }
    }
    Ok(value)
}
