//! A steady load: files opened at a rate, and now and then one that is worth an alarm.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Most bunches of opens in a second.
const STEPS: u32 = 100;
/// Files that are opened in turn.
const FILES: u32 = 64;
/// An alarm each so many steps.
const STEPS_PER_ALARM: u32 = 10;
/// Name of the file that is worth an alarm.
pub const ALARM: &str = "alarm";

/// Opens a second, and for how long.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Paced {
    /// Opens a second, a multiple of 100 where it is more than that
    pub rate: u32,
    /// Seconds
    pub seconds: u32,
}

impl Paced {
    /// What makes the guest do it.
    #[must_use]
    pub fn arguments(self) -> Vec<String> {
        ["paced".to_owned(), self.rate.to_string(), self.seconds.to_string()].into()
    }

    /// Opens in all, alarms among them.
    #[must_use]
    pub fn opens(self) -> u64 {
        u64::from(self.steps()) * u64::from(self.per_step()) + u64::from(self.steps().div_ceil(STEPS_PER_ALARM))
    }

    fn per_second(self) -> u32 {
        self.rate.clamp(1, STEPS)
    }

    fn per_step(self) -> u32 {
        self.rate / self.per_second()
    }

    fn steps(self) -> u32 {
        self.seconds * self.per_second()
    }
}

/// The guest's part. What it could not do in time for want of a CPU it does as soon as it can.
///
/// # Errors
/// Where the cgroup cannot be entered or a file cannot be opened.
pub fn open_paced(paced: Paced, folder: &Path, procs: &Path) -> Result<()> {
    if paced.rate == 0 || !paced.rate.is_multiple_of(paced.per_second()) {
        bail!("{} opens a second are no multiple of {STEPS}", paced.rate);
    }
    let files: Vec<_> = (0..FILES).map(|number| folder.join(number.to_string())).collect();
    let alarm = folder.join(ALARM);
    for path in files.iter().chain([&alarm]) {
        fs::write(path, "content").with_context(|| format!("create {}", path.display()))?;
    }
    fs::write(procs, "0").with_context(|| format!("enter {}", procs.display()))?;
    let mut turn = files.iter().cycle();
    let (start, pause) = (Instant::now(), Duration::from_secs(1) / paced.per_second());
    for step in 0..paced.steps() {
        for file in turn.by_ref().take(paced.per_step() as usize) {
            fs::File::open(file)?;
        }
        if step % STEPS_PER_ALARM == 0 {
            fs::File::open(&alarm)?;
        }
        thread::sleep((pause * (step + 1)).saturating_sub(start.elapsed()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_it_says() {
        assert_eq!(Paced { rate: 2_000, seconds: 3 }.opens(), 6_030);
        assert_eq!(Paced { rate: 5, seconds: 4 }.opens(), 22);
        let folder = tempfile::tempdir().unwrap();
        assert!(open_paced(Paced { rate: 150, seconds: 1 }, folder.path(), &folder.path().join("procs")).is_err());
    }
}
