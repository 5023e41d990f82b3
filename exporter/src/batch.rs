//! Events of many containers -> one request with one `ResourceLogs` per container.
//!
//! Records are encoded into one buffer as they come, each linked to the next one of its container. Only [`Batch::take`]
//! brings them into order, in one copy: memory is bounded by the limits and not by how many containers there are.

mod resources;

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::container::Container;
use crate::event::{Event, Node};
use crate::loss::Loss;
use crate::otlp::{self, Encoder, Room};
use crate::stopped::Stopped;
use resources::Resources;

/// Most bytes of a request: a gRPC server refuses more than 4 MiB unless told otherwise.
pub const REQUEST_MAX: usize = 3_584 * 1024;

/// Room for the event that goes over the limit: its record (paths of 16 KiB together and an executable, all escaped and
/// the paths twice) and its Resource (lists are cut, and a runtime's label has at most 4 KiB).
const EVENT_MAX: usize = 512 * 1024;

/// A batch with this part of its room taken when it could go waits so many times as long: until then it is full.
const FILLS: u32 = 4;
/// A batch that has less than this part of its room taken waits for its age: each request costs the receiver as much as many records.
const FEW: usize = 40;

/// When a batch is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Records.
    pub records: usize,
    /// Bytes of the request; with the event that goes over it, never above [`REQUEST_MAX`].
    pub bytes: usize,
    /// Longest time since the last request: after a time without events the first one goes at once, and where there are few, those of
    /// this time go together. So do all for those who do not take requests as fast as these come.
    pub age: Duration,
    /// Time since the last request where there are more: a fortieth of a full batch in this time. Where there are so many that four
    /// times this time fills the batch, they fill it.
    pub interval: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { records: 2000, bytes: 1024 * 1024, age: Duration::from_secs(1), interval: Duration::from_millis(50) }
    }
}

/// Encoded records that wait for their request to be full, or old enough.
#[derive(Debug)]
pub struct Batch {
    limits: Limits,
    resources: Resources,
    /// Encoded records, as they came.
    buffer: Room,
    /// Where each record ends in the buffer, and which is its container's next.
    records: Vec<Record>,
    /// Containers of this batch, in order of their first record.
    groups: Vec<Group>,
    /// Bytes of the request but for the records, and for what lengths take that grow with those.
    overhead: usize,
    /// Accesses that the records stand for.
    accesses: u64,
    told: u64,
    /// When the last request was made.
    taken_ns: u64,
}

/// What [`Batch::take`] makes: an `ExportLogsServiceRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The encoded message, not compressed.
    pub body: Bytes,
    /// Its log records.
    pub records: u64,
    /// Accesses that the records stand for.
    pub accesses: u64,
    /// Accesses that its losses tell of and nothing else does: see [`Loss::owed`].
    pub told: u64,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    end: usize,
    next: Option<usize>,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    /// Index into [`Resources`].
    resource: usize,
    first: usize,
    last: usize,
    bytes: usize,
}

impl Batch {
    /// An empty batch. `limits.bytes` is cut so that no request exceeds [`REQUEST_MAX`].
    #[must_use]
    pub fn new(limits: Limits, node: Node) -> Self {
        let limits = Limits { bytes: limits.bytes.min(REQUEST_MAX - EVENT_MAX), ..limits };
        Self {
            limits,
            resources: Resources::new(node),
            buffer: Room::default(),
            records: Vec::new(),
            groups: Vec::new(),
            overhead: 0,
            accesses: 0,
            told: 0,
            taken_ns: 0,
        }
    }

    /// Adds an event, and returns the request if that made it full. `encoder` is of the same node; `now_ns` is of any one clock.
    #[must_use = "a full batch is a request to be sent"]
    pub fn push(&mut self, encoder: &mut Encoder, event: &Event<'_>, now_ns: u64) -> Option<Request> {
        let start = self.buffer.len();
        encoder.record(&mut self.buffer, event);
        self.accesses = self.accesses.saturating_add(event.count);
        self.pushed(event.container, start, now_ns)
    }

    /// The same with a loss, which stands for no access: those it tells of are in no record.
    #[must_use = "a full batch is a request to be sent"]
    pub fn push_loss(&mut self, encoder: &Encoder, loss: &Loss<'_>, now_ns: u64) -> Option<Request> {
        let start = self.buffer.len();
        let mut record = Vec::new();
        encoder.loss(&mut record, loss);
        self.buffer.extend(&record);
        self.told = self.told.saturating_add(loss.owed);
        self.pushed(loss.container, start, now_ns)
    }

    /// The same with the end of the run, which stands for no access either.
    #[must_use = "a full batch is a request to be sent"]
    pub fn push_stopped(&mut self, encoder: &Encoder, stopped: &Stopped<'_>, now_ns: u64) -> Option<Request> {
        let start = self.buffer.len();
        let mut record = Vec::new();
        encoder.stopped(&mut record, stopped);
        self.buffer.extend(&record);
        self.pushed(stopped.container, start, now_ns)
    }

    #[inline]
    fn pushed(&mut self, container: &Arc<Container>, start: usize, now_ns: u64) -> Option<Request> {
        self.link(container, self.buffer.len() - start);
        let full = self.records.len() >= self.limits.records || self.buffer.len() + self.overhead >= self.limits.bytes;
        if !full {
            return None;
        }
        self.taken_ns = now_ns;
        self.take()
    }

    /// As [`Self::take`], where the last request is old enough, or nobody knows how old because the clock went back. So many
    /// batches `share` the interval; `is_behind` says whether requests are not taken as fast as they come.
    #[must_use]
    pub fn take_due(&mut self, now_ns: u64, share: u32, is_behind: impl FnOnce() -> bool) -> Option<Request> {
        if self.is_empty() {
            return None;
        }
        let waited = now_ns.checked_sub(self.taken_ns).map_or(Duration::MAX, Duration::from_nanos);
        if waited < self.limits.age && (waited < self.pause(share) || is_behind()) {
            return None;
        }
        self.taken_ns = now_ns;
        self.take()
    }

    /// Whether nothing waits in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Time from the last request to the next where there is no reason to wait longer.
    fn pause(&self, share: u32) -> Duration {
        let (records, bytes) = (self.records.len(), self.buffer.len() + self.overhead);
        let has = |part: usize| records >= self.limits.records / part || bytes >= self.limits.bytes / part;
        if !has(FEW) {
            return self.limits.age;
        }
        self.limits.interval.saturating_mul(if has(FILLS as usize) { share.saturating_mul(FILLS) } else { share })
    }

    /// The request of all events since the last one; nothing if there were none.
    #[must_use]
    pub fn take(&mut self) -> Option<Request> {
        if self.records.is_empty() {
            return None;
        }
        let len = |group: &Group| otlp::resource_logs_len(self.resources.get(group.resource).len(), group.bytes);
        let mut body = Vec::with_capacity(self.groups.iter().map(len).sum());
        for group in &self.groups {
            otlp::open_resource_logs(&mut body, self.resources.get(group.resource), group.bytes);
            let mut next = Some(group.first);
            while let Some(index) = next {
                let start = index.checked_sub(1).map_or(0, |before| self.records[before].end);
                body.extend_from_slice(&self.buffer.written()[start..self.records[index].end]);
                next = self.records[index].next;
            }
            otlp::close_resource_logs(&mut body);
        }
        let records = self.records.len() as u64;
        let (accesses, told) = (self.accesses, self.told);
        self.clear();
        Some(Request { body: Bytes::from(body), records, accesses, told })
    }

    fn clear(&mut self) {
        self.resources.release(self.groups.iter().map(|group| group.resource));
        self.buffer.clear();
        self.records.clear();
        self.groups.clear();
        self.overhead = 0;
        (self.accesses, self.told) = (0, 0);
    }

    /// Appends the record that the buffer ends with to its container's.
    #[inline]
    fn link(&mut self, container: &Arc<Container>, bytes: usize) {
        let index = self.records.len();
        self.records.push(Record { end: self.buffer.len(), next: None });
        let resource = self.resources.find(container);
        if let Some(group) = self.resources.group(resource) {
            let group = &mut self.groups[group];
            self.records[mem::replace(&mut group.last, index)].next = Some(index);
            group.bytes += bytes;
        } else {
            self.resources.set_group(resource, self.groups.len());
            self.groups.push(Group { resource, first: index, last: index, bytes });
            self.overhead += otlp::resource_logs_len(self.resources.get(resource).len(), 0);
        }
    }
}

#[cfg(test)]
mod tests;
