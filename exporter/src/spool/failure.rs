//! What a spool does about a disk that fails: nothing is lost by it as long as there is memory.

use std::io;

use rustix::io::Errno;

use super::Spool;
use super::disk::Disk;

/// How long a disk that failed is left alone, nanoseconds.
const PAUSE_NS: u64 = 1_000_000_000;

/// A disk that failed, and has done nothing right since.
#[derive(Debug)]
pub(super) struct Failure {
    cause: io::Error,
    /// From when until when it is left alone, nanoseconds since the Unix epoch; nothing where only reading failed.
    pause: Option<(u64, u64)>,
}

impl Failure {
    pub(super) fn cause(&self) -> &io::Error {
        &self.cause
    }

    /// Whether it is too early to try again. A clock that went back says nothing.
    fn is_fresh(&self, now_ns: u64) -> bool {
        self.pause.is_some_and(|(from, until)| (from..until).contains(&now_ns))
    }
}

/// Whether it is we who are short of something, not the disk.
pub(super) fn is_passing(cause: &io::Error) -> bool {
    matches!(Errno::from_io_error(cause), Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

impl<D: Disk> Spool<D> {
    pub(super) fn may_try(&self, now_ns: u64) -> bool {
        self.store.is_some() && self.failure.as_ref().is_none_or(|failure| !failure.is_fresh(now_ns))
    }

    pub(super) fn failed(&mut self, cause: io::Error, now_ns: u64) {
        self.failure = Some(Failure { cause, pause: Some((now_ns, now_ns.saturating_add(PAUSE_NS))) });
    }

    pub(super) fn failed_to_read(&mut self, cause: io::Error) {
        self.failure.get_or_insert(Failure { cause, pause: None });
    }

    /// Writes what is not written, in order.
    pub(super) fn flush(&mut self, now_ns: u64) {
        let is_ready = self.failure.is_none() && self.store.as_ref().is_some_and(super::store::Store::is_ready);
        // Readers first: who is not known would not get what is written. And what nobody needs makes room.
        if !self.may_try(now_ns) || (!is_ready && !self.reclaim(now_ns)) {
            return;
        }
        while let Some(id) = self.index.slots.range(self.unwritten..).next().map(|(id, _)| *id) {
            if let Err(cause) = self.write(id) {
                return self.distrust(cause, now_ns);
            }
        }
        self.unwritten = self.index.next_id;
    }

    fn write(&mut self, id: u64) -> io::Result<()> {
        let (Some(slot), Some(body)) = (self.index.slots.get(&id), self.bodies.get(&id)) else {
            self.unwritten = id + 1;
            return Ok(());
        };
        let entry = slot.entry(body.clone());
        if !self.make_room(id, entry.body.len())? {
            return Ok(());
        }
        // Making room may have cost this one.
        let (Some(store), Some(slot)) = (&mut self.store, self.index.slots.get_mut(&id)) else { return Ok(()) };
        if let Some(earlier) = slot.place.replace(store.append(id, &entry)?) {
            store.release(earlier);
        }
        self.unwritten = id + 1;
        Ok(())
    }

    /// Makes durable what is written. Returns whether it is.
    pub(super) fn sync_entries(&mut self, now_ns: u64) -> bool {
        if !self.may_try(now_ns) {
            return false;
        }
        let Some(store) = &mut self.store else { return false };
        if let Err(cause) = store.sync() {
            self.distrust(cause, now_ns);
            return false;
        }
        self.unsynced = self.unwritten;
        true
    }

    /// After an error nobody knows which of the pages written since the last `fdatasync` are on disk, and the next one would
    /// not say: all of it is written again, into a new segment. The old one stays until then.
    fn distrust(&mut self, cause: io::Error, now_ns: u64) {
        self.failed(cause, now_ns);
        if let Some(store) = &mut self.store {
            store.seal();
        }
        self.unwritten = self.unsynced;
    }

    /// Makes cursors durable, then removes what nobody needs. Returns whether it did.
    pub(super) fn reclaim(&mut self, now_ns: u64) -> bool {
        if !self.may_try(now_ns) {
            return false;
        }
        self.try_reclaim().map_err(|cause| self.failed(cause, now_ns)).is_ok()
    }

    pub(super) fn try_reclaim(&mut self) -> io::Result<()> {
        let (lines, next_id) = (self.index.cursors(), self.index.next_id);
        let Some(store) = &mut self.store else { return Ok(()) };
        store.store_cursors(lines, next_id)?;
        store.remove_settled()
    }
}
