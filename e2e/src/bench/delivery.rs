//! What it costs to hand a record to a reader on another processor: looked for now and then, as the exporter does it, beside a
//! wake-up for each record that finds the reader waiting, as is the default.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::RingBuf;
use aya::programs::RawTracePoint;
use aya::{Ebpf, EbpfLoader};
use cookbook::{global, map, program};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{getppid, getpriority_process, setpriority_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use super::goal::{Goal, Row, Table};
use super::miss;
use super::miss::rows::DRAIN;
use super::output::Output;

/// `getppid` (asm/unistd.h): does next to nothing.
const CALL: u32 = if cfg!(target_arch = "aarch64") { 173 } else { 110 };
/// Of one round: what a full ring has room for.
const CALLS: u32 = 100_000;
/// Of each kind in turn; the least counts, as whatever else the machine does only adds.
const ROUNDS: usize = 15;
/// For the reader's own end.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// What the README's table is written by.
const WRITER: &str = "e2e bench delivery --readme";

/// `e2e bench delivery`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    output: Output,
}

impl Args {
    /// Prints what a record adds to a system call on one processor, and takes of its reader on another.
    ///
    /// # Errors
    /// There is one processor only, the programs do not load, or records are missing.
    pub fn run(&self) -> Result<()> {
        self.output.tell(&measure()?, WRITER)
    }
}

/// What a round came to, in nanoseconds of a call and of a record.
#[derive(Clone, Copy, Debug)]
struct Round {
    call: f64,
    read: f64,
}

/// A program, and the reader that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// No record.
    Quiet,
    /// A reader that looks every [`DRAIN`].
    Lazy,
    /// A reader that is woken.
    Woken,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Quiet, Self::Lazy, Self::Woken];

    const fn program(self) -> &'static str {
        match self {
            Self::Quiet => program::CALL_QUIET,
            Self::Lazy => program::CALL_LAZY,
            Self::Woken => program::CALL_WOKEN,
        }
    }
}

/// # Errors
/// See [`Args::run`].
pub(super) fn measure() -> Result<Table> {
    ensure!(thread::available_parallelism()?.get() > 1, "two processors are wanted");
    let cookbook = miss::object("cookbook", "cookbook-programs", "cookbook", &[])?;
    let mut loaded = Vec::new();
    for kind in Kind::ALL {
        let mut loader = EbpfLoader::new();
        let mut ebpf = loader.override_global(global::CALL, &CALL, true).load_file(&cookbook)?;
        let ring = RingBuf::try_from(ebpf.take_map(map::EVENTS).context("the ring")?)?;
        let found: &mut RawTracePoint = ebpf.program_mut(kind.program()).context("the program")?.try_into()?;
        found.load().with_context(|| format!("load {}", kind.program()))?;
        loaded.push((kind, ebpf, ring));
    }
    let _first = First::new()?;
    let mut least = [Round { call: f64::MAX, read: f64::MAX }; Kind::ALL.len()];
    for number in 1..=ROUNDS {
        eprintln!("delivery, {number} of {ROUNDS}");
        for ((kind, ebpf, ring), least) in loaded.iter_mut().zip(&mut least) {
            let round = round(*kind, ebpf, ring)?;
            *least = Round { call: least.call.min(round.call), read: least.read.min(round.read) };
        }
    }
    let [quiet, lazy, woken] = least;
    let row = |what: &str, ours, peer, goal| Row::new(what, ours, Some(peer), goal);
    let of_call = [lazy, woken].map(|round| round.call - quiet.call);
    Ok(Table {
        what: "Delivery of a record to a reader on another processor, ns".to_owned(),
        peer: Some("A wake-up each".to_owned()),
        rows: vec![
            row("Added to the call that makes it", of_call[0], of_call[1], Some(Goal::Ratio(8.0))),
            row("Processor time of the reader", lazy.read, woken.read, None),
        ],
    })
}

/// Runs before whatever else wants the processors.
struct First(i32);

impl First {
    fn new() -> Result<Self> {
        let before = getpriority_process(None)?;
        setpriority_process(None, -20).context("take the highest priority: as root?")?;
        Ok(Self(before))
    }
}

impl Drop for First {
    fn drop(&mut self) {
        // To be less important is always allowed.
        setpriority_process(None, self.0).ok();
    }
}

fn round(kind: Kind, ebpf: &mut Ebpf, ring: &mut RingBuf<aya::maps::MapData>) -> Result<Round> {
    let program: &mut RawTracePoint = ebpf.program_mut(kind.program()).context("the program")?.try_into()?;
    let link = program.attach("sys_enter")?;
    let done = AtomicBool::new(false);
    let (call, reader) = thread::scope(|scope| {
        let reader = scope.spawn(|| read(kind, ring, &done));
        let caller = scope.spawn(calls);
        let call = caller.join();
        done.store(true, Ordering::Relaxed);
        (call, reader.join())
    });
    program.detach(link)?;
    let (Ok(call), Ok(reader)) = (call, reader) else { bail!("a thread panicked") };
    let (seen, took) = reader?;
    let wanted = if kind == Kind::Quiet { 0 } else { u64::from(CALLS) };
    // Others may make the call too.
    ensure!(seen >= wanted && (wanted > 0 || seen == 0), "{kind:?}: {seen} records of {wanted} calls");
    Ok(Round { call: call?, read: took / seen.max(1) as f64 })
}

/// Nanoseconds of one.
fn calls() -> Result<f64> {
    pin(1)?;
    let start = Instant::now();
    for _ in 0..CALLS {
        std::hint::black_box(getppid());
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(CALLS))
}

/// Records, and the nanoseconds that they took of the processor.
fn read(kind: Kind, ring: &mut RingBuf<aya::maps::MapData>, done: &AtomicBool) -> Result<(u64, f64)> {
    pin(0)?;
    let (mut seen, start) = (0, now());
    loop {
        let is_last = done.load(Ordering::Relaxed);
        while ring.next().is_some() {
            seen += 1;
        }
        if is_last {
            return Ok((seen, (now() - start) as f64));
        }
        if kind == Kind::Woken {
            let mut descriptors = [PollFd::new(ring, PollFlags::IN)];
            poll(&mut descriptors, Some(&PATIENCE))?;
        } else {
            thread::sleep(DRAIN);
        }
    }
}

/// Keeps this thread on one processor.
fn pin(processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set).with_context(|| format!("run on processor {processor}"))
}

/// Of this thread's processor time.
fn now() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
