//! Fuzzing of what reads bytes of others: the kernel's type information, which the user may name, and the records of the
//! ring. Seeded: an input follows from the seed and its number alone.

mod btf;
mod corpus;
mod random;
mod record;
mod watch;
mod writer;

use std::{
    fs,
    num::NonZero,
    panic::catch_unwind,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;

use corpus::Corpus;
use watch::Worker;

/// Inputs that a worker takes at a time.
const STRIDE: u64 = 1024;

/// Feed damaged inputs to a parser until one is found that breaks it
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Parser to feed
    target: Target,
    /// How many inputs
    #[arg(long, default_value_t = 10_000_000)]
    inputs: u64,
    /// Where the inputs come from: the same number, the same inputs [default: the time]
    #[arg(long)]
    seed: Option<u64>,
    /// Threads [default: one for each CPU]
    #[arg(long)]
    jobs: Option<NonZero<usize>>,
    /// Feed only this file
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
}

/// What is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// The reader of type information and all that is looked up in it
    Btf,
    /// The decoder of ring buffer records
    Record,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Inputs fed.
    pub inputs: u64,
    /// Those that the parser took: the others it refused.
    pub taken: u64,
    /// Inputs that broke it, as files.
    pub findings: Vec<PathBuf>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Args {
    /// Feeds the inputs, or the one of `--replay`.
    ///
    /// # Errors
    /// Where there is a finding.
    pub fn run(&self) -> Result<()> {
        if let Some(file) = &self.replay {
            let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
            let taken = self.target.feed(&bytes);
            eprintln!("{}: {}", file.display(), if taken { "taken" } else { "refused" });
            return Ok(());
        }
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
        let jobs = self.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
        let report = fuzz(self.target, self.inputs, self.seed.unwrap_or_else(now), jobs)?;
        ensure!(report.findings.is_empty(), "{} has findings", self.target.name());
        Ok(())
    }
}

/// Feeds `inputs` inputs, or as many as it takes to a finding. Says so on stderr.
///
/// # Errors
/// Where there are no seeds to begin with.
pub fn fuzz(target: Target, inputs: u64, seed: u64, jobs: usize) -> Result<Report> {
    let corpus = target.corpus()?;
    let name = target.name();
    eprintln!("{name}: seed {seed}, {inputs} inputs from {} seeds, {jobs} jobs", corpus.seeds());
    let start = Instant::now();
    let (next, found) = (AtomicU64::new(0), AtomicBool::new(false));
    let workers: Vec<_> = (0..jobs).map(|_| Worker::default()).collect();
    let run = Run { target, corpus: &corpus, seed, inputs, next: &next, found: &found };
    let findings = thread::scope(|scope| {
        let threads: Vec<_> = workers.iter().map(|worker| scope.spawn(move || run.work(worker))).collect();
        watch::until(&workers, start, &run, || threads.iter().all(thread::ScopedJoinHandle::is_finished));
        threads.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect::<Vec<_>>()
    });
    let findings = findings.into_iter().map(|index| run.save(index)).collect::<Result<Vec<_>>>()?;
    let count = |of: fn(&Worker) -> &AtomicU64| workers.iter().map(|worker| of(worker).load(Ordering::Relaxed)).sum();
    let report = Report { inputs: count(|w| &w.done), taken: count(|w| &w.taken), findings, elapsed: start.elapsed() };
    eprintln!(
        "{name}: {} inputs ({} taken, the others refused), {} findings, {:.1} seconds",
        report.inputs,
        report.taken,
        report.findings.len(),
        report.elapsed.as_secs_f64()
    );
    Ok(report)
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Btf => "btf",
            Self::Record => "record",
        }
    }

    fn corpus(self) -> Result<Corpus> {
        match self {
            Self::Btf => btf::corpus(),
            Self::Record => Ok(record::corpus()),
        }
    }

    /// Whether the parser took it. Panics where it did what it must not.
    fn feed(self, bytes: &[u8]) -> bool {
        match self {
            Self::Btf => btf::feed(bytes),
            Self::Record => record::feed(bytes),
        }
    }
}

/// What all workers share.
#[derive(Clone, Copy)]
struct Run<'a> {
    target: Target,
    corpus: &'a Corpus,
    seed: u64,
    inputs: u64,
    next: &'a AtomicU64,
    found: &'a AtomicBool,
}

impl Run<'_> {
    /// Feeds until all is done or something is found: the number of the input that broke it.
    fn work(&self, worker: &Worker) -> Option<u64> {
        let mut input = Vec::new();
        while !self.found.load(Ordering::Relaxed) {
            let first = self.next.fetch_add(STRIDE, Ordering::Relaxed);
            if first >= self.inputs {
                break;
            }
            for index in first..self.inputs.min(first + STRIDE) {
                worker.at.store(index, Ordering::Relaxed);
                self.corpus.input(self.seed, index, &mut input);
                let Ok(taken) = catch_unwind(|| self.target.feed(&input)) else {
                    self.found.store(true, Ordering::Relaxed);
                    return Some(index);
                };
                worker.taken.fetch_add(u64::from(taken), Ordering::Relaxed);
                worker.done.fetch_add(1, Ordering::Relaxed);
            }
        }
        None
    }

    /// Writes an input to a file and says how to feed it again.
    fn save(&self, index: u64) -> Result<PathBuf> {
        let mut input = Vec::new();
        self.corpus.input(self.seed, index, &mut input);
        let file = PathBuf::from(format!("fuzz-{}-{}-{index}", self.target.name(), self.seed));
        fs::write(&file, &input).with_context(|| format!("write {}", file.display()))?;
        eprintln!("finding: input {index}; replay it: {}", self.replay(&file));
        Ok(file)
    }

    fn replay(&self, file: &Path) -> String {
        format!("e2e fuzz {} --replay {}", self.target.name(), file.display())
    }
}
