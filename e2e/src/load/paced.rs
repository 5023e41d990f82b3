//! A steady load: files opened at a rate, and now and then one that is worth an alarm.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Between two bunches of opens.
const STEP: Duration = Duration::from_millis(10);
/// Files that are opened in turn.
const FILES: u32 = 64;
/// An alarm each so many steps.
const STEPS_PER_ALARM: u32 = 10;
/// Name of the file that is worth an alarm.
pub const ALARM: &str = "alarm";

/// Opens a second, and for how long.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Paced {
    /// Opens a second, a multiple of 100
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
        u64::from(self.steps()) * u64::from(self.per_step()) + u64::from(self.steps() / STEPS_PER_ALARM)
    }

    fn per_step(self) -> u32 {
        self.rate / 100
    }

    fn steps(self) -> u32 {
        self.seconds * 100
    }
}

/// The guest's part. What it could not do in time for want of a CPU it does as soon as it can.
///
/// # Errors
/// Where the cgroup cannot be entered or a file cannot be opened.
pub fn open_paced(paced: Paced, folder: &Path, procs: &Path) -> Result<()> {
    if paced.rate == 0 || !paced.rate.is_multiple_of(100) {
        bail!("{} opens a second are no multiple of 100", paced.rate);
    }
    let files: Vec<_> = (0..FILES).map(|number| folder.join(number.to_string())).collect();
    let alarm = folder.join(ALARM);
    for path in files.iter().chain([&alarm]) {
        fs::write(path, "content").with_context(|| format!("create {}", path.display()))?;
    }
    fs::write(procs, "0").with_context(|| format!("enter {}", procs.display()))?;
    let mut turn = files.iter().cycle();
    let start = Instant::now();
    for step in 0..paced.steps() {
        for file in turn.by_ref().take(paced.per_step() as usize) {
            fs::File::open(file)?;
        }
        if step % STEPS_PER_ALARM == 0 {
            fs::File::open(&alarm)?;
        }
        thread::sleep((STEP * (step + 1)).saturating_sub(start.elapsed()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_it_says() {
        assert_eq!(Paced { rate: 2_000, seconds: 3 }.opens(), 6_030);
        let folder = tempfile::tempdir().unwrap();
        assert!(open_paced(Paced { rate: 150, seconds: 1 }, folder.path(), &folder.path().join("procs")).is_err());
    }
}
