//! Our way: the event's bytes at once.

use inotrail::batch::{Batch, Limits, Request};

use super::sample::{BATCH, Sample};

/// Gives the bytes of every request of `events` events to `each`.
pub fn run(sample: &Sample, events: usize, mut each: impl FnMut(&[u8])) {
    let limits = Limits { records: BATCH, bytes: usize::MAX, ..Limits::default() };
    let mut batch = Batch::new(limits, sample.node.clone());
    let mut give = |request: Option<Request>| {
        if let Some(request) = request {
            each(&request.body);
        }
    };
    for index in 0..events {
        give(batch.push(&sample.event(index), 0));
    }
    give(batch.take());
}
