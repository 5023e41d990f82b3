//! The calendar is set, far ahead and far back, while records wait.

use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use inotrail::clock::unix_now;
use inotrail::event::Backend;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;

use super::Scene;
use crate::accesses::base;
use crate::load::{Opens, set_calendar};
use crate::receiver::text;

const HOUR: i64 = 3600;
/// In seconds: more than anything is kept for, back by more than that, and where it was.
const STEPS: [i64; 3] = [25 * HOUR, -50 * HOUR, 25 * HOUR];
/// The exporter has looked at everything that it looks at now and then, but for reports of losses.
const LOOK: Duration = Duration::from_secs(3);

/// Sets the calendar ahead and back while nobody listens, with accesses by each calendar.
///
/// # Errors
/// One is given up, comes late, or has a time that is none of its calendar's.
pub fn prove_jumps(backend: Backend, guest: &Path) -> Result<String> {
    // Many requests, of which one is tried at a time and the others wait.
    let mut scene = Scene::start(backend, guest, guest, &["--in-flight", "1", "--batch-records", "20"])?;
    scene.receiver.down();
    let opens = Opens::new(2, 100);
    let mut calendars = vec![during(|| scene.make(opens))?];
    for step in STEPS {
        set_calendar(step)?;
        calendars.push(during(|| scene.make(opens))?);
        sleep(LOOK);
    }
    scene.receiver.up()?;
    let books = scene.close()?;
    let told = told(&fs::read_to_string(scene.receiver.trail()?)?, &calendars)?;
    let each = (opens.threads * opens.each) as u64;
    ensure!(told == vec![each; calendars.len()], "by calendar: {told:?}");
    Ok(format!("{books}; {each} by each of {} calendars", told.len()))
}

/// When something happened, by the calendar.
fn during(what: impl FnOnce() -> Result<()>) -> Result<RangeInclusive<u64>> {
    let start = unix_now();
    what()?;
    Ok(start..=unix_now())
}

/// How many of a trail's accesses happened in each of these times.
fn told(trail: &str, times: &[RangeInclusive<u64>]) -> Result<Vec<u64>> {
    let mut told = vec![0; times.len()];
    for line in trail.lines() {
        let request: ExportLogsServiceRequest = serde_json::from_str(line)?;
        let scopes = request.resource_logs.iter().flat_map(|logs| &logs.scope_logs);
        let records = scopes.flat_map(|scope| &scope.log_records);
        let is_access = |record: &&LogRecord| Path::new(&text(&record.attributes, "file.path")).starts_with(base());
        for LogRecord { time_unix_nano: time, observed_time_unix_nano: seen, .. } in records.filter(is_access) {
            let at = times.iter().position(|range| range.contains(time) && range.contains(seen));
            let at = at.with_context(|| format!("at {time}, seen at {seen}: not in one of {times:?}"))?;
            ensure!(time <= seen, "seen at {seen}, and it was at {time}");
            told[at] += 1;
        }
    }
    Ok(told)
}
