//! The sensor's thread: drain by timer, until told to stop or until the sink has enough.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::pipeline::{Output, Pipeline};
use crate::sensor::Sensor;

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
            let output = pipeline.finish();
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
            ControlFlow::Continue(0) => wait = (wait * 2).min(interval * IDLE_FACTOR),
            ControlFlow::Continue(_) => wait = interval,
        }
        thread::park_timeout(wait);
    }
    sensor.detach();
    // Whether the sink wants more does not matter here: this is the last of it.
    let _last = pipeline.drain(sensor);
}
