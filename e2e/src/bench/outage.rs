//! A Collector is away while accesses go on: whether all of them arrive, in which order, how fast what waited is through,
//! and how long violations take meanwhile.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, ensure};
use clap::ValueEnum as _;
use tempfile::TempDir;

use super::build;
use super::load::{self, Load};
use super::target::{Target, To};
use crate::exporter::{EACH, Exporter};
use crate::interrupt;
use crate::receiver::Received;

/// Before the Collector goes away.
const WARM: Duration = Duration::from_secs(10);
/// How long the load goes on when the Collector is back: longer than the exporter's longest pause between attempts, and
/// what waited needs time too.
const AFTER: u32 = 60;
/// Until everything has arrived.
const LIMIT: Duration = Duration::from_secs(600);
/// Seconds of load that wait in usual times: a request fills for one at most, and then is on its way.
const USUAL: u64 = 2;

/// `e2e bench outage`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the Collector sends what it takes; all in turn where none is named
    #[arg(long, value_enum)]
    to: Vec<To>,
    /// Opens a second
    #[arg(long, default_value_t = 20_000)]
    rate: u32,
    /// Seconds for which the Collector is away
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// `--in-flight` of the exporter
    #[arg(long, default_value_t = 1)]
    in_flight: u32,
}

/// What was seen of one outage.
struct Seen {
    made: u64,
    /// Seconds from the Collector's return to the first acknowledged request.
    first: f64,
    /// Accesses that waited then.
    waited: u64,
    /// Seconds from then until only what is usual waits, and accesses that were delivered meanwhile.
    drain: (f64, u64),
    /// When that was.
    drained: [SystemTime; 2],
    lost: u64,
    retries: u64,
}

impl Args {
    /// Prints what comes of an outage, with the exporter as built for release.
    ///
    /// # Errors
    /// Something does not run here, or an access is neither received nor told as lost.
    pub fn run(&self) -> Result<()> {
        for to in if self.to.is_empty() { To::value_variants() } else { &self.to } {
            self.outage(*to)?;
        }
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
    fn outage(&self, to: To) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let mut target = Target::start(to, folder.path())?;
        let load = Load::new(self.rate, WARM.as_secs() as u32 + self.seconds + AFTER)?;
        let exporter = self.exporter(&folder, &target, &load)?;
        println!(
            "to {to}: {} opens a second in {} containers, the Collector killed for {} s, --in-flight {}",
            self.rate,
            load::CONTAINERS,
            self.seconds,
            self.in_flight
        );
        let seen = self.watch(&exporter, &mut target, load)?;
        seen.print(self.rate);
        if let Some(received) = target.received() {
            print_received(&received, &seen);
            let difference = seen.made.cast_signed() - (received.accesses + received.lost()).cast_signed();
            ensure!(difference == 0 && received.changed == 0, "the books do not close: {received:?}");
        }
        target.print_end(seen.made)
    }

    fn exporter(&self, folder: &TempDir, target: &Target, load: &Load) -> Result<Exporter> {
        let state = folder.path().join("state");
        std::fs::create_dir(&state)?;
        let mut command = Command::new(build("release", &["inotrail"])?.join("inotrail"));
        // Nobody can name these containers.
        command.args(["run", "--runtime", "none", "--resolve-timeout", "10ms", "--endpoint", &target.endpoint()]);
        command.args(EACH).args(["--in-flight", &self.in_flight.to_string()]).arg("--state").arg(state);
        command.arg("--cgroup-root").arg(load.cgroup()).arg("--policy").arg(load.policy());
        Exporter::start(command, folder.path(), "/readyz")
    }

    fn watch(&self, exporter: &Exporter, target: &mut Target, mut load: Load) -> Result<Seen> {
        load.start()?;
        sleep(WARM)?;
        target.kill()?;
        sleep(Duration::from_secs(self.seconds.into()))?;
        target.start_again()?;
        let back = Instant::now();
        let (waited, before) =
            (exporter.metric("inotrail_waiting_accesses")?, exporter.metric("inotrail_events_delivered_total")?);
        let since = |what: &str, mut is: Box<dyn FnMut() -> Result<bool> + '_>| -> Result<f64> {
            interrupt::wait_for(what, LIMIT, || Ok(is()?.then(|| back.elapsed().as_secs_f64())))
        };
        let delivered = || exporter.metric("inotrail_events_delivered_total");
        let first = since("a request that is taken", Box::new(|| Ok(delivered()? > before)))?;
        let from = SystemTime::now();
        let usual = u64::from(self.rate) * USUAL;
        let drained =
            since("an end of what waits", Box::new(|| Ok(exporter.metric("inotrail_waiting_accesses")? < usual)))?;
        let (drain, drained) = ((drained - first, delivered()? - before), [from, SystemTime::now()]);
        let made = load.wait()?;
        let lost = || exporter.metric("inotrail_dropped_total");
        since("the end of the books", Box::new(|| Ok(delivered()? + lost()? >= made)))?;
        let retries = exporter.metric("inotrail_export_retries_total")?;
        Ok(Seen { made, first, waited, drain, drained, lost: lost()?, retries })
    }
}

impl Seen {
    #[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
    fn print(&self, rate: u32) {
        let (seconds, delivered) = self.drain;
        let speed = delivered as f64 / seconds;
        println!("  made          {:>12}, of these lost {}", self.made, self.lost);
        println!(
            "  waited        {:>12} accesses when the Collector was back, {} attempts in vain",
            self.waited, self.retries
        );
        println!("  first taken   {:>12.1} s later", self.first);
        println!(
            "  drained       {seconds:>12.1} s later: {speed:.0} accesses a second, {:.1} times the load",
            speed / f64::from(rate)
        );
    }
}

#[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
fn print_received(received: &Received, seen: &Seen) {
    let Received { accesses, again, changed, late, .. } = received;
    let difference = seen.made.cast_signed() - (accesses + received.lost()).cast_signed();
    println!("  received      {accesses:>12}, told as lost {}, difference {difference}", received.lost());
    println!("  came again    {again:>12} records, {changed} of them changed");
    println!("  out of order  {late:>12} records: one of their container with a higher number was there");
    let [from, to] = seen.drained;
    let waited = received.alarms.iter().filter(|alarm| alarm.time < from && alarm.came >= from);
    let after = waited.clone().filter_map(|alarm| alarm.came.duration_since(from).ok()).max().unwrap_or_default();
    // Those that are made meanwhile come after these: a container's are sent in their order.
    println!(
        "  violations    {:>12} had waited, the last was received {after:.1?} after the first taken",
        waited.count()
    );
    let while_it_drained = |time: SystemTime| time >= from && time <= to;
    let quiet = |time: SystemTime| time > to + Duration::from_secs(2);
    for (what, of) in
        [("while what waited went", &while_it_drained as &dyn Fn(SystemTime) -> bool), ("after that", &quiet)]
    {
        let alarms = received.alarms.iter().filter(|alarm| of(alarm.time));
        let mut delays: Vec<_> =
            alarms.map(|alarm| alarm.came.duration_since(alarm.time).unwrap_or_default()).collect();
        delays.sort();
        let at = |percent: usize| {
            delays.get((delays.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
        };
        println!(
            "  violations    {:>12} {what}: received after {:.0?} (median), {:.0?} (99 %), {:.0?} (longest)",
            delays.len(),
            at(50),
            at(99),
            at(100)
        );
    }
}

fn sleep(duration: Duration) -> Result<()> {
    let start = Instant::now();
    interrupt::wait_for("the time", LIMIT, || Ok((start.elapsed() >= duration).then_some(())))
}
