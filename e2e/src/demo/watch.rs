//! `make demo`: `inotrail trace` names the container, line by line.
#![expect(clippy::print_stdout, reason = "the demo is what it prints")]

use std::io::{BufRead as _, BufReader};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail, ensure};

use super::{ACCESSES, NAME, start};
use crate::containerd::{Container, Containerd};
use crate::daemon::Daemon;
use crate::{exporter, interrupt};

/// The container touches its files again after this long without a line, in case nobody watched yet.
const AGAIN: Duration = Duration::from_secs(2);
const LIMIT: Duration = Duration::from_secs(30);
const DAY_MS: u64 = 24 * 3600 * 1000;

/// A line, and when it came: milliseconds since the Unix epoch.
type Line = (String, u64);

pub(super) fn run() -> Result<()> {
    println!("starting containerd and the container {NAME}, which");
    for (what, _) in ACCESSES {
        println!("  - {what}");
    }
    let containerd = Containerd::start(None)?;
    let container = start(&containerd)?;
    let mut command = Command::new(exporter::binary()?);
    command.args(["trace", "--container", "web", "--runtime-socket"]).arg(&containerd.socket);
    command.arg("--cgroup-root").arg(containerd.cgroup());
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    println!("\n$ inotrail {}\n", arguments.join(" "));

    // So that its times are read the same way everywhere.
    let (mut trace, output) = Daemon::start_piped("inotrail trace", command.env("TZ", "UTC"))?;
    let (sender, lines) = mpsc::sync_channel(64);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send((line, now_ms())).is_err() {
                break;
            }
        }
    });
    let slowest = watch(&container, &lines)?;
    trace.stop();
    println!("\nall {} accesses, named {NAME}; a line came at most {slowest} ms after its access", ACCESSES.len());
    Ok(())
}

/// Prints lines until every access was among them; the longest delay of those, in milliseconds.
fn watch(container: &Container<'_>, lines: &Receiver<Line>) -> Result<u64> {
    let started = Instant::now();
    let mut missing = ACCESSES.to_vec();
    let (mut slowest, mut touched) = (0, None::<Instant>);
    while !missing.is_empty() {
        if touched.is_none_or(|touched| touched.elapsed() > AGAIN) {
            container.signal("SIGUSR1")?;
            touched = Some(Instant::now());
        }
        ensure!(!interrupt::requested(), "interrupted");
        let (line, arrived) = match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) if started.elapsed() < LIMIT => continue,
            Err(RecvTimeoutError::Timeout) => bail!("not reported within {} s: {missing:?}", LIMIT.as_secs()),
            Err(RecvTimeoutError::Disconnected) => bail!("inotrail trace ended"),
        };
        let Some(delay) = delay(&line, arrived) else {
            println!("{line:100} AFTER");
            continue;
        };
        println!("{line:100} {delay} ms");
        if line.contains(NAME)
            && let Some(found) = missing.iter().position(|(_, parts)| matches(&line, parts))
        {
            missing.remove(found);
            slowest = slowest.max(delay);
        }
    }
    Ok(slowest)
}

/// Whether a line's columns are these, the path being the last one but for notes.
fn matches(line: &str, [access, result, path]: &[&str; 3]) -> bool {
    let columns: Vec<_> = line.split_whitespace().collect();
    let wanted: Vec<_> = access.split(' ').chain([*result, *path]).collect();
    columns.windows(wanted.len()).any(|columns| columns == wanted)
}

/// Milliseconds from the time in the line's first column (of today, UTC) to its arrival; nothing where there is none.
fn delay(line: &str, arrived_ms: u64) -> Option<u64> {
    let (clock, millis) = line.split(' ').next()?.split_once('.')?;
    let [hour, minute, second] = clock.split(':').collect::<Vec<_>>()[..] else { return None };
    let seconds = hour.parse::<u64>().ok()? * 3600 + minute.parse::<u64>().ok()? * 60 + second.parse::<u64>().ok()?;
    let time_ms = seconds * 1000 + millis.parse::<u64>().ok()?;
    Some((arrived_ms % DAY_MS + DAY_MS - time_ms) % DAY_MS)
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns() {
        let check = |line: &str, expected| {
            assert_eq!(matches(line, &["open r", "ok", "/etc/passwd"]), expected, "{line}");
        };
        check("12:10:49.742 demo/web/web cat[3263] open r    ok     /etc/passwd", true);
        check("12:10:49.742 demo/web/web cat[3263] open r    ok     /etc/passwd [unconfirmed]", true);
        check("12:10:49.742 demo/web/web cat[3263] open rw   ok     /etc/passwd", false);
        check("12:10:49.742 demo/web/web cat[3263] open r    EACCES /etc/passwd", false);
        check("12:10:49.742 demo/web/web cat[3263] open r    ok     /etc/passwd-", false);
    }

    #[test]
    fn delay_over_midnight() {
        let check = |line: &str, arrived, expected| assert_eq!(delay(line, arrived), expected, "{line}");
        check("00:00:01.250 x", 3 * DAY_MS + 1_300, Some(50));
        check("23:59:59.990 x", 3 * DAY_MS + 5, Some(15));
        check("TIME         CONTAINER", 0, None);
    }
}
