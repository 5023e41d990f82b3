//! Our way: the event's bytes at once.

use inotrail::batch::{Batch, Limits, Request};
use inotrail::otlp::Encoder;

use super::sample::{BATCH, Sample};

/// Gives the bytes of every request of `events` events to `each`.
pub fn run(sample: &Sample, events: usize, mut each: impl FnMut(&[u8])) {
    let limits = Limits { records: BATCH, bytes: usize::MAX, ..Limits::default() };
    let (mut batch, mut encoder) = (Batch::new(limits, sample.node.clone()), Encoder::new(&sample.node));
    let mut give = |request: Option<Request>| {
        if let Some(request) = request {
            each(&request.body);
        }
    };
    for index in 0..events {
        give(batch.push(&mut encoder, &sample.event(index), 0));
    }
    give(batch.take());
}
