//! What has become of a request so far, which may be in parts: it goes into the books as a whole.

use bytes::Bytes;

use crate::loss::Uuid;
use crate::metrics::{Books, Dropped};
use crate::otlp;

/// A request, or a part of one that was too large.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The message, compressed by zstd.
    pub(super) body: Bytes,
    pub(super) records: u64,
    pub(super) accesses: u64,
}

/// Accounts of a request's parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    delivered: u64,
    delivered_records: u64,
    dropped: Vec<(Dropped, u64, u64)>,
}

impl Outcome {
    /// The receiver has a part, but for `rejected` records that it refused. It does not say which: where records stand for
    /// more than one access, each is taken for the average.
    pub(super) fn delivered(&mut self, part: &Part, rejected: u64) {
        let rejected = rejected.min(part.records);
        let product = u128::from(part.accesses) * u128::from(rejected);
        let accesses = product.div_ceil(u128::from(part.records.max(1))) as u64;
        self.delivered += part.accesses - accesses;
        self.delivered_records += part.records - rejected;
        if rejected > 0 {
            self.dropped.push((Dropped::Rejected, accesses, rejected));
        }
    }

    /// A part is given up.
    pub(super) fn dropped(&mut self, reason: Dropped, part: &Part) {
        self.dropped.push((reason, part.accesses, part.records));
    }

    /// Two halves instead of a part, the first one last: it is the next to be taken. Nothing where it has none.
    pub(super) fn split(&mut self, part: &Part) -> Option<[Part; 2]> {
        let body = unpacked(&part.body)?;
        let halves = otlp::split(&body)?;
        // The halves are of our own making: were they not the whole, the difference is in the books.
        let sum = |count: fn(&otlp::Half) -> u64| halves.iter().map(count).fold(0, u64::saturating_add);
        let (accesses, records) = (sum(|half| half.accesses), sum(|half| half.records));
        if accesses < part.accesses {
            let records = part.records.saturating_sub(records);
            self.dropped.push((Dropped::Encode, part.accesses - accesses, records));
        }
        let [first, second] = halves.map(|half| {
            let body = zstd::bulk::compress(&half.body, 1).ok()?;
            Some(Part { body: body.into(), records: half.records, accesses: half.accesses })
        });
        Some([second?, first?])
    }

    /// Why something of it was lost; nothing: all was delivered.
    pub(super) fn failure(&self) -> Option<Dropped> {
        self.dropped.first().map(|(reason, _, _)| *reason)
    }

    /// Writes it into the books. `earlier` is the run that has made the request, where that was another one.
    pub(super) fn enter(self, earlier: Option<Uuid>, books: &Books) {
        books.deliver(self.delivered, self.delivered_records);
        for (reason, accesses, records) in self.dropped {
            books.lose_of(earlier, reason, accesses, records);
        }
    }
}

/// Requests have at most so many bytes: of our own making, and one may have been damaged on disk.
const UNPACKED_MAX: usize = 8 << 20;

/// The message of a body.
pub(super) fn unpacked(body: &[u8]) -> Option<Vec<u8>> {
    zstd::bulk::decompress(body, UNPACKED_MAX).ok()
}
