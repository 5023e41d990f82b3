//! What a parser's panic does not tell: that it never ends, or takes all memory.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::param::page_size;

use super::Run;

/// An input that takes longer has no end: others take microseconds.
const ENDLESS: Duration = Duration::from_secs(20);
/// The whole process, seeds included.
const BYTES_MAX: usize = 1 << 30;
/// How often the run says where it is.
const PROGRESS: Duration = Duration::from_secs(10);

/// What one worker tells.
#[derive(Debug, Default)]
pub(super) struct Worker {
    /// Number of the input it is at.
    pub(super) at: AtomicU64,
    /// Inputs fed.
    pub(super) done: AtomicU64,
    /// Inputs that the parser took.
    pub(super) taken: AtomicU64,
}

/// Watches until `done`. A worker that hangs cannot be stopped: its input is saved, and the process ends with 1.
pub(super) fn until(workers: &[Worker], start: Instant, run: &Run<'_>, done: impl Fn() -> bool) {
    let mut said = start;
    let mut moved: Vec<_> = workers.iter().map(|_| (u64::MAX, start)).collect();
    while !done() {
        thread::sleep(Duration::from_millis(20));
        for (worker, (count, since)) in workers.iter().zip(&mut moved) {
            let now = worker.done.load(Ordering::Relaxed);
            if now != *count {
                (*count, *since) = (now, Instant::now());
            } else if since.elapsed() > ENDLESS && !done() {
                eprintln!("an input has taken {ENDLESS:?}");
                end(std::slice::from_ref(worker), run);
            }
        }
        if resident() > BYTES_MAX {
            eprintln!("the process has taken more than {BYTES_MAX} bytes of memory");
            end(workers, run);
        }
        if said.elapsed() > PROGRESS {
            said = Instant::now();
            let fed: u64 = workers.iter().map(|worker| worker.done.load(Ordering::Relaxed)).sum();
            eprintln!("{}: {fed} inputs after {:.0} seconds", run.target.name(), start.elapsed().as_secs_f64());
        }
    }
}

fn end(workers: &[Worker], run: &Run<'_>) -> ! {
    for worker in workers {
        if let Err(error) = run.save(worker.at.load(Ordering::Relaxed)) {
            eprintln!("{error:#}");
        }
    }
    std::process::exit(1)
}

/// Bytes of memory that the process occupies (`/proc/self/statm`, second field).
fn resident() -> usize {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * page_size()
}
