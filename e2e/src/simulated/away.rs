//! A destination is away for an hour.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use inotrail::event::Backend;

use super::{LIMIT, Scene};
use crate::interrupt;
use crate::load::Opens;

/// How long it is away.
const HOUR: Duration = Duration::from_secs(3600);
/// Between two bunches of accesses.
const PAUSE: Duration = Duration::from_secs(180);

/// Lets accesses happen all the time while nobody listens, and takes them in the end. To be run where time passes as fast as
/// nothing happens.
///
/// # Errors
/// Not all arrives, or not soon.
pub fn prove_away(backend: Backend, guest: &Path) -> Result<String> {
    // Time does not pass at once while the ring is looked at.
    let mut scene = Scene::start(backend, guest, guest, &["--drain-interval", "100ms"])?;
    let opens = Opens::new(1, 100);
    scene.make(opens)?;
    interrupt::wait_for("the first accesses", LIMIT, || {
        Ok((scene.receiver.received().accesses >= scene.made).then_some(()))
    })?;
    scene.receiver.down();
    let start = Instant::now();
    while start.elapsed() < HOUR {
        scene.make(opens)?;
        sleep(PAUSE);
    }
    let waits = scene.exporter.metric("inotrail_waiting_accesses")?;
    ensure!(waits + opens.each as u64 == scene.made, "{waits} of {} accesses wait", scene.made);
    scene.receiver.up()?;
    let (back, away) = (Instant::now(), start.elapsed());
    interrupt::wait_for("all that has waited", LIMIT, || {
        Ok((scene.receiver.received().accesses >= scene.made).then_some(()))
    })?;
    let took = back.elapsed();
    let books = scene.close()?;
    Ok(format!("{books}; away for {} s, all there {} s later", away.as_secs(), took.as_secs()))
}
