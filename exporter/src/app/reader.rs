//! The sensor's thread: drain by timer, until told to stop or until the sink has enough.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::pipeline::{Output, Pipeline};
use crate::sensor::{Drained, Sensor};

/// An empty ring is looked at this much less often.
const IDLE_FACTOR: u32 = 10;

/// A running thread.
pub(super) struct Reader<O> {
    thread: JoinHandle<O>,
    stop: Arc<AtomicBool>,
    /// Resolves when the sink wants no more.
    pub(super) done: oneshot::Receiver<()>,
}

impl<O: Output + Send + 'static> Reader<O> {
    /// Starts draining every `interval`, and more seldom while nothing happens.
    pub(super) fn start(mut sensor: Sensor, mut pipeline: Pipeline<O>, interval: Duration) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (finished, done) = oneshot::channel();
        let told = Arc::clone(&stop);
        let thread = thread::Builder::new().name("sensor".to_owned()).spawn(move || {
            read(&mut sensor, &mut pipeline, interval, &told);
            let output = pipeline.finish(&sensor);
            // Nobody listens any more where the stop came from outside.
            let _unheard = finished.send(());
            output
        })?;
        Ok(Self { thread, stop, done })
    }

    /// Detaches the programs, drains what they wrote, and gives the sink back; nothing if the thread panicked.
    pub(super) fn stop(self) -> Option<O> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().ok()
    }
}

fn read<O: Output>(sensor: &mut Sensor, pipeline: &mut Pipeline<O>, interval: Duration, stop: &AtomicBool) {
    let mut wait = interval;
    while !stop.load(Ordering::Relaxed) {
        match pipeline.drain(sensor) {
            ControlFlow::Break(()) => return,
            ControlFlow::Continue(Drained::Part) => continue,
            ControlFlow::Continue(Drained::All) => wait = interval,
            ControlFlow::Continue(Drained::Nothing) => wait = (wait * 2).min(interval * IDLE_FACTOR),
        }
        thread::park_timeout(wait);
    }
    sensor.detach();
    // Detached: what is there is all that will be.
    while pipeline.drain(sensor) == ControlFlow::Continue(Drained::Part) {}
}
