//! Exporters that come and go under load, and programs that take over from others: each open is told once.

use std::{
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use inotrail::{
    container::cgroup::Hierarchy,
    event::Backend,
    sensor::{Options, Record, Sensor},
};
use inotrail_ebpf::program;

use super::opens::Opens;
use crate::{
    accesses::{base, spawn},
    cgroup::Cgroup,
};

/// What the run has seen so far, whichever sensor saw it.
struct Tally {
    opens: Opens,
    folder: PathBuf,
    seen: Vec<u8>,
    events: u64,
    wrong: Option<String>,
}

impl Tally {
    fn new(opens: Opens) -> Self {
        Self { opens, folder: base(), seen: vec![0; opens.threads * opens.each], events: 0, wrong: None }
    }

    fn drain(&mut self, sensor: &mut Sensor) {
        sensor.drain(|record| {
            let Ok(Record::Access(access)) = record else { return };
            self.events += 1;
            match self.opens.place(&self.folder, access.path) {
                Some(place) => self.seen[place] = self.seen[place].saturating_add(1),
                None => self.wrong = Some(format!("an event of {}", access.path.escape_ascii())),
            }
        });
    }

    fn twice(&self) -> usize {
        self.seen.iter().filter(|count| **count > 1).count()
    }

    /// Opens that nobody has seen and that the counts do not know of either.
    fn lost(&self, sensor: &Sensor) -> u64 {
        let counters = sensor.counters();
        let full: u64 = ACCESSES.iter().map(|program| counters.totals(*program).ring_full).sum();
        (self.seen.len() as u64).saturating_sub(self.events + full)
    }
}

const ACCESSES: [u32; 3] = [program::FEXIT, program::KPROBE, program::SYS_EXIT];

fn options(backend: Backend, cgroup: &Cgroup) -> Result<Options> {
    Ok(Options {
        backend: Some(backend),
        root: cgroup.path().to_owned(),
        ..Options::new(Hierarchy::detect()?, 64 << 20)
    })
}

/// Drains until the guest has ended, calling `turn` again and again with the running sensor; then until the ring is empty.
fn until_end(
    guest: &Path,
    cgroup: &Cgroup,
    tally: &mut Tally,
    mut sensor: Sensor,
    mut turn: impl FnMut(&mut Tally, Sensor) -> Result<Sensor>,
) -> Result<Sensor> {
    let mut child = spawn(guest, &tally.opens.arguments(), &cgroup.procs())?;
    let status = loop {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(300) {
            tally.drain(&mut sensor);
            thread::sleep(Duration::from_millis(1));
        }
        if let Some(status) = child.try_wait().context("wait for the guest")? {
            break status;
        }
        sensor = turn(tally, sensor)?;
    };
    ensure!(status.success(), "the guest ended with {status}");
    let before = tally.events;
    tally.drain(&mut sensor);
    while tally.events > before && {
        let before = tally.events;
        tally.drain(&mut sensor);
        tally.events > before
    } {}
    Ok(sensor)
}

/// Starts a sensor again and again on the same pins while files are opened: now one that goes on with the programs that
/// are attached, now one that replaces them.
///
/// # Errors
/// Where an open is told twice, or is neither told nor counted although the programs could stay attached.
pub fn prove_restarts(backend: Backend, guest: &Path, pins: &Path, opens: Opens) -> Result<String> {
    let cgroup = Cgroup::create_top(&format!("inotrail-restarts-{}", backend.as_str()))?;
    let mut options = Options { pins: Some(pins.to_owned()), ..options(backend, &cgroup)? };
    let mut tally = Tally::new(opens);
    let first = Sensor::start(&options)?;
    ensure!(first.gap().is_none(), "the first start tells of a gap");
    let stay = first.hooks().are_pinned();
    let (mut starts, mut gaps, mut missed) = (0, 0, Some(0));
    let result = until_end(guest, &cgroup, &mut tally, first, |tally, mut sensor| {
        tally.drain(&mut sensor);
        missed = missed.zip(sensor.hooks().tell_missed()).map(|(before, now)| before + now);
        drop(sensor);
        // Nobody reads now.
        thread::sleep(Duration::from_millis(50));
        options.replace = !options.replace;
        starts += 1;
        let sensor = Sensor::start(&options)?;
        gaps += usize::from(sensor.gap().is_some());
        Ok(sensor)
    });
    let lost = result.map(|sensor| {
        missed = missed.zip(sensor.hooks().tell_missed()).map(|(before, now)| before + now);
        tally.lost(&sensor)
    });
    // Whatever came of it, the next backend begins with nothing.
    let programs = inotrail::sensor::unpin(pins)?;
    let (lost, twice, name) = (lost?, tally.twice(), backend.as_str());
    let told = format!(
        "{} opens, {starts} starts under load, {gaps} gaps told: {} events, {lost} lost with {missed:?} calls missed, {twice} twice",
        tally.seen.len(),
        tally.events,
    );
    eprintln!("{name}: {told}");
    ensure!(programs > 0 && !pins.exists(), "{name}: pins stay behind");
    ensure!(starts >= 2, "{name}: the load was over after {starts} starts");
    if let Some(wrong) = tally.wrong {
        bail!("{name}: {wrong}");
    }
    ensure!(twice == 0, "{name}: {twice} opens were told more than once");
    if stay {
        ensure!(gaps == 0, "{name}: {gaps} gaps were told");
        ensure!(
            missed.is_none_or(|missed| lost <= missed),
            "{name}: {lost} opens are lost, {missed:?} calls were missed"
        );
    } else {
        ensure!(gaps == starts, "{name}: {starts} starts had to tell of a gap, {gaps} did");
    }
    Ok(told)
}

/// Lets kprobe take over from fexit while files are opened.
///
/// # Errors
/// Where an open is told twice, where more are lost than fexit missed, or where any is lost once kprobe runs.
pub fn prove_swap(guest: &Path, opens: Opens) -> Result<String> {
    let cgroup = Cgroup::create_top("inotrail-swap")?;
    let options = Options { swap: true, ..options(Backend::Fexit, &cgroup)? };
    let mut tally = Tally::new(opens);
    let first = Sensor::start(&options)?;
    ensure!(first.hooks().has_standby(), "kprobe does not stand by");
    let hooks = first.hooks();
    let (mut swap, mut settled) = (None, None);
    let sensor = until_end(guest, &cgroup, &mut tally, first, |tally, mut sensor| {
        let Some(running) = &mut swap else {
            swap = Some(thread::spawn({
                let hooks = hooks.clone();
                move || hooks.swap()
            }));
            return Ok(sensor);
        };
        // Well after the swap: from here on nothing may be lost.
        if settled.is_none() && running.is_finished() {
            thread::sleep(Duration::from_millis(300));
            tally.drain(&mut sensor);
            settled = Some(tally.progress());
        }
        Ok(sensor)
    })?;
    let swapped = swap.context("the load was over before the swap")?.join();
    let Ok(swapped) = swapped else { bail!("the swap panicked") };
    let swapped = swapped?.context("nothing was swapped")?;
    let settled = settled.context("the load was over before the swap was")?;
    let (lost, twice, late) = (tally.lost(&sensor), tally.twice(), tally.unseen_after(&settled));
    let missed = hooks.missed_accesses();
    let told = format!(
        "{} opens: {} events, {lost} lost with {} calls missed, {late} of them after the swap, {twice} twice",
        tally.seen.len(),
        tally.events,
        swapped.missed,
    );
    eprintln!("swap in {} ms: {told}", swapped.took_ms);
    ensure!(hooks.backend() == Backend::Kprobe, "{} runs after the swap", hooks.backend().as_str());
    if let Some(wrong) = tally.wrong {
        bail!("{wrong}");
    }
    ensure!(twice == 0, "{twice} opens were told more than once");
    ensure!(lost <= missed.unwrap_or(0), "{lost} opens are lost, and {missed:?} calls were missed");
    ensure!(late == 0, "{late} opens were lost after the swap");
    Ok(told)
}

impl Tally {
    /// The highest number that was seen of each thread.
    fn progress(&self) -> Vec<usize> {
        let threads = self.seen.chunks(self.opens.each);
        threads.map(|seen| seen.iter().rposition(|count| *count > 0).unwrap_or(0)).collect()
    }

    /// Opens behind these numbers that nobody has seen.
    fn unseen_after(&self, progress: &[usize]) -> usize {
        let threads = self.seen.chunks(self.opens.each).zip(progress);
        threads.flat_map(|(seen, from)| &seen[*from..]).filter(|count| **count == 0).count()
    }
}
