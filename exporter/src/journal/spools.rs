//! One spool per lane, which share the room.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::compressor::Compressor;
use super::inbox::Letter;
use super::keeping::{self, Keeping};
use super::{JournalConfig, Recipient};
use crate::clock::unix_now;
use crate::lane::Lane;
use crate::loss::Uuid;
use crate::metrics::{Dropped, Metrics, Problem, Waiting};
use crate::sensor::{Inherited, Opened, heap};
use crate::spool::disk::Os;
use crate::spool::entry::{Entry, Given, Limits, Reader};
use crate::spool::{Error, Spool};

/// Bytes of requests after which memory is given back, when none waits any more.
const BURST: usize = 4 << 20;
/// Not more often than this, nanoseconds: on a busy node it is needed again at once.
const GIVE_BACK_INTERVAL: u64 = 10_000_000_000;

/// The lanes' spools.
#[derive(Debug)]
pub(super) struct Spools {
    lanes: [Spool; Lane::ALL.len()],
    /// This run.
    run: Uuid,
    recipients: Vec<Recipient>,
    /// What was lost of destinations that are none any more.
    orphans: Counter,
    is_on_disk: bool,
    /// Bytes of all lanes together.
    room: u64,
    keeping: Option<Keeping>,
    /// Why the disk is not used.
    disk: Problem,
    compressor: Compressor,
    /// Bytes of requests since memory was given back, and when that was, nanoseconds by `steady_now`.
    since: (usize, u64),
    /// How often [`Self::next`] was asked.
    #[cfg(test)]
    pub(super) looks: usize,
}

/// A request that a destination is to get.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Its lane.
    pub lane: Lane,
    /// Its number in its spool.
    pub(super) id: u64,
    /// When it was kept, by [`steady_now`](crate::clock::steady_now).
    pub since_ns: u64,
    /// The run that has made it; nothing: this one.
    pub earlier: Option<Uuid>,
    /// The request, compressed by zstd.
    pub entry: Entry,
}

impl Spools {
    pub(super) fn open(
        config: &JournalConfig,
        recipients: &[Recipient],
        run: Uuid,
        metrics: &Metrics,
        now_ns: u64,
    ) -> Result<Self, Error> {
        let reader = |of: &Recipient| Reader { name: of.books.name.clone(), streams: vec![of.stream] };
        let readers: Vec<_> = recipients.iter().map(reader).collect();
        let memory = config.memory as u64 / 2;
        let room = if config.folder.is_some() { config.disk } else { memory };
        let open = |lane: Lane| {
            let limits = Limits {
                bytes: room,
                age: config.age,
                segment_bytes: Limits::SEGMENT_BYTES,
                memory_bytes: if lane == Lane::Access { memory / 2 } else { memory / 4 },
            };
            match &config.folder {
                Some(folder) => Spool::open(Os::open(&folder.join(lane.as_str()))?, limits, readers.clone(), now_ns),
                None => Spool::memory(limits, readers.clone()),
            }
        };
        let lanes = [open(Lane::ALL[0])?, open(Lane::ALL[1])?, open(Lane::ALL[2])?];
        let (is_on_disk, recipients) = (config.folder.is_some(), recipients.to_vec());
        let mut this = Self {
            lanes,
            run,
            recipients,
            orphans: metrics.dropped(Dropped::Shutdown).clone(),
            is_on_disk,
            room,
            keeping: None,
            disk: metrics.health.spool.clone(),
            compressor: Compressor::default(),
            since: (0, now_ns),
            #[cfg(test)]
            looks: 0,
        };
        this.settle_room(now_ns);
        this.show();
        Ok(this)
    }

    /// Opens the account of what the first route is to get, and says what an earlier run has kept nowhere.
    pub(super) fn account_by(&mut self, inherited: Inherited) -> Opened {
        let (account, unkept) = inherited.open(|number| keeping::is_there(number, &self.lanes));
        self.keeping = Some(Keeping::new(account.clone()));
        (account, unkept)
    }

    /// Compresses and keeps them; what matters least, and of that the oldest, makes room.
    pub(super) fn append(&mut self, letters: Vec<Letter>, now_ns: u64) {
        let mut must_last = false;
        for letter in letters {
            must_last |= letter.lane == Lane::Violation;
            self.append_one(letter, now_ns);
        }
        if must_last {
            self.lanes[Lane::Violation as usize].sync(now_ns);
        }
        self.settle_room(now_ns);
        self.look();
    }

    fn append_one(&mut self, letter: Letter, now_ns: u64) {
        let Letter { lane, route, tenant, request } = letter;
        self.since.0 = self.since.0.saturating_add(request.body.len());
        let Some(first) = self.recipients.iter().find(|of| of.route == route) else { return };
        let Ok(body) = self.compressor.compress(&request.body) else {
            let of_route = self.recipients.iter().filter(|of| of.route == route);
            of_route.for_each(|of| of.books.lose(Dropped::Encode, request.accesses, request.records));
            return;
        };
        let (records, accesses) = (request.records as u32, request.accesses);
        let entry = Entry {
            stream: first.stream,
            run: self.run.0,
            tenant: tenant.into(),
            time_ns: unix_now(),
            records,
            accesses,
            body,
        };
        if self.keeping.as_ref().is_some_and(Keeping::is_full) {
            for spool in &mut self.lanes {
                spool.sync(now_ns);
            }
            self.look();
        }
        let spool = &mut self.lanes[lane as usize];
        let (taken, mut keeping) = (accesses + request.told, self.keeping.as_mut().filter(|_| route == 0));
        let place = keeping.as_mut().and_then(|keeping| keeping.announce(lane, spool.next_id(), taken));
        let id = spool.append(entry, now_ns);
        if let Some(keeping) = keeping {
            keeping.append(lane, id, taken, place, spool);
        }
    }

    /// What is durable is there for the next start.
    fn look(&mut self) {
        if let Some(keeping) = &mut self.keeping {
            for lane in Lane::ALL {
                keeping.look(lane, &self.lanes[lane as usize]);
            }
        }
    }

    pub(super) fn next(&mut self, destination: usize, lanes: &[Lane]) -> Option<Taken> {
        #[cfg(test)]
        {
            self.looks += 1;
        }
        lanes.iter().find_map(|lane| {
            let spool = &mut self.lanes[*lane as usize];
            let Given { id, entry } = spool.next(destination)?;
            let since_ns = spool.since(id).unwrap_or(entry.time_ns);
            Some(Taken { lane: *lane, id, since_ns, earlier: self.earlier(entry.run), entry })
        })
    }

    /// The first of these lanes for which [`Self::next`] may have something more.
    pub(super) fn next_lane(&self, destination: usize, lanes: &[Lane]) -> Option<Lane> {
        lanes.iter().copied().find(|lane| self.lanes[*lane as usize].has_next(destination))
    }

    /// The run that an entry says, where that was another one.
    fn earlier(&self, run: u128) -> Option<Uuid> {
        (run != self.run.0 && run != 0).then_some(Uuid(run))
    }

    /// Returns whether that is news: false where it was given up meanwhile, and is in the books.
    pub(super) fn settle(&mut self, destination: usize, lane: Lane, id: u64) -> bool {
        let spool = &mut self.lanes[lane as usize];
        let is_news = spool.acknowledge(destination, id);
        if let Some(keeping) = &mut self.keeping {
            keeping.look_at(lane, id, spool);
        }
        is_news
    }

    pub(super) fn set_age(&mut self, age: Duration) {
        self.lanes.iter_mut().for_each(|spool| spool.set_age(age));
    }

    /// What is to be done now and then. Returns whether there may be something for [`Self::next`].
    pub(super) fn tick(&mut self, now_ns: u64) -> bool {
        for spool in &mut self.lanes {
            spool.sync(now_ns);
            spool.look_again(now_ns);
        }
        // What could not be read for want of memory or open files is tried again too.
        let has_more = (0..self.recipients.len()).any(|number| self.next_lane(number, &Lane::ALL).is_some());
        self.settle_room(now_ns);
        self.look();
        let waits = self.show();
        self.judge_disk();
        let (bytes, given_back_ns) = self.since;
        if waits == 0 && bytes > BURST && now_ns.abs_diff(given_back_ns) > GIVE_BACK_INTERVAL {
            self.since = (0, now_ns);
            self.compressor.give_back();
            heap::give_back();
        }
        has_more
    }

    /// Nothing more will happen: what is on disk lasts, and what is not is lost.
    pub(super) fn finish(&mut self, now_ns: u64) {
        self.tick(now_ns);
        for spool in &mut self.lanes {
            spool.give_up_unkept(now_ns);
        }
        self.settle_losses();
        self.show();
    }

    /// Gives each lane the room that those which matter more leave.
    fn settle_room(&mut self, now_ns: u64) {
        let mut left = self.room;
        for spool in self.lanes.iter_mut().rev() {
            spool.set_bytes(left, now_ns);
            left = left.saturating_sub(spool.bytes());
        }
        self.settle_losses();
    }

    fn settle_losses(&mut self) {
        let losses: Vec<_> = self.lanes.iter_mut().flat_map(Spool::take_losses).collect();
        for lost in losses {
            // Without a disk there is no spool to be full.
            let reason = match lost.reason {
                Dropped::SpoolFull if !self.is_on_disk => Dropped::QueueFull,
                reason => reason,
            };
            match self.recipients.iter().find(|of| *of.books.name == *lost.reader) {
                Some(of) => of.books.lose_of(self.earlier(lost.run), reason, lost.accesses, lost.records),
                None => drop(self.orphans.inc_by(lost.accesses)),
            }
        }
    }

    fn judge_disk(&mut self) {
        let failure = self.lanes.iter().find_map(Spool::degraded);
        let was = self.disk.get();
        if let Some(error) = failure.filter(|_| was.is_none()) {
            tracing::error!(%error, "the disk of the spool fails: what waits is in memory until it works again");
        } else if failure.is_none() && was.is_some() {
            tracing::info!("the disk of the spool works again");
        }
        self.disk.set(failure.map(ToString::to_string));
    }

    /// Shows what waits. Returns its bytes.
    fn show(&self) -> u64 {
        let mut bytes = 0;
        for (number, Recipient { books, .. }) in self.recipients.iter().enumerate() {
            let mut waiting = Waiting::default();
            for depth in self.lanes.iter().map(|spool| spool.depth(number)) {
                waiting.requests += depth.entries;
                waiting.bytes += depth.bytes;
                waiting.accesses += depth.accesses;
                let oldest = [Some(waiting.oldest_ns).filter(|time| *time > 0), depth.oldest_ns];
                waiting.oldest_ns = oldest.into_iter().flatten().min().unwrap_or(0);
            }
            bytes += waiting.bytes;
            books.set_waiting(waiting);
        }
        bytes
    }
}
