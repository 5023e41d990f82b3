//! Accesses that equal one that was told: the kernel counts them, and one event a window tells of all.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use inotrail_ebpf::{LedgerKey, REPEAT_SLOTS};

use super::held::HeldEvent;
use super::seen::Seen;
use crate::container::Container;
use crate::event::Event;
use crate::sensor::{Entry, Repeated, Repeats, boot_ns};

/// How much longer than a window is counted: the window's end is looked at once a second.
const SLACK_NS: u64 = 3_000_000_000;

/// What is counted, and what of it is to be told.
pub(super) struct Followed {
    map: Arc<Repeats>,
    window_ns: u64,
    /// Accesses that were told. What comes only once takes no slot from what comes again, and no memory.
    seen: Seen,
    slots: Vec<Slot>,
    /// Those that are not free.
    used: Vec<u32>,
    /// Until this is over, an earlier run's programs may count.
    left: Option<u32>,
}

enum Slot {
    Free,
    Open(Box<Told>, Due),
    Closed(Box<Told>, u32),
}

/// When a window ends, by the clock of the programs.
type Due = u64;

/// The access that was told.
struct Told {
    event: HeldEvent,
    container: Arc<Container>,
}

impl Followed {
    /// `window`: how long equal accesses are counted for one event; nothing: they are events each.
    pub(super) fn new(map: Arc<Repeats>, window: Option<Duration>) -> Self {
        // What an earlier run has opened, its policies have judged.
        let left = Some(map.close_all());
        // Its keys are the system's random numbers.
        let random = RandomState::new();
        map.set(window.map(|_| [random.hash_one(0), random.hash_one(1)]));
        let window_ns = window.map_or(0, |window| u64::try_from(window.as_nanos()).unwrap_or(u64::MAX));
        let (seen, slots) = if window.is_some() { (Seen::new(), REPEAT_SLOTS) } else { (Seen::default(), 0) };
        let slots = (0..slots).map(|_| Slot::Free).collect();
        Self { map, window_ns, seen, slots, used: Vec::new(), left }
    }

    /// Has what equals this event, which is told, counted from now on, if it is not the first of them.
    pub(super) fn follow(&mut self, event: &Event<'_>) {
        let header = event.access.header;
        if header.identity == 0 || event.count != 1 || !self.seen.comes_again(header.identity) {
            return;
        }
        let key = LedgerKey::of(header);
        let due = boot_ns().saturating_add(self.window_ns);
        let slots = &self.slots;
        // What an earlier run has had counted is of another access, until it is told.
        let is_left = |index: u32| self.left.is_some() && self.map.has_new(index);
        let is_free = |index: u32| matches!(slots.get(index as usize), Some(Slot::Free)) && !is_left(index);
        let Some(index) = self.map.open(header.identity, (&key, header.tgid), due.saturating_add(SLACK_NS), is_free)
        else {
            return;
        };
        if let Some(slot) = self.slots.get_mut(index as usize) {
            let told = Told { event: HeldEvent::of(event, 0), container: Arc::clone(event.container) };
            *slot = Slot::Open(Box::new(told), due);
            self.used.push(index);
        }
    }

    /// Tells what was counted in windows that are over; `last`: in all. The container is the one that is known of the event.
    pub(super) fn tell(&mut self, last: bool, mut each: impl FnMut(Event<'_>, Repeated)) {
        let now = boot_ns();
        if last {
            self.map.set(None);
        }
        for at in (0..self.used.len()).rev() {
            let index = self.used[at];
            let Some(slot) = self.slots.get_mut(index as usize) else { continue };
            *slot = match std::mem::replace(slot, Slot::Free) {
                Slot::Open(told, due) if due > now && !last => Slot::Open(told, due),
                Slot::Open(told, _) => {
                    let closed = last.then(|| self.map.close(index));
                    let goes_on = self.map.take(index, |repeated| each(told.event.event(&told.container), repeated));
                    let due = now.saturating_add(self.window_ns);
                    match closed {
                        None if goes_on => {
                            self.map.renew(index, due.saturating_add(SLACK_NS));
                            Slot::Open(told, due)
                        }
                        None => Slot::Closed(told, self.map.close(index)),
                        Some(closed) => Slot::Closed(told, closed),
                    }
                }
                Slot::Closed(told, closed) if last || self.map.is_over(closed) => {
                    self.map.take(index, |repeated| each(told.event.event(&told.container), repeated));
                    self.used.swap_remove(at);
                    Slot::Free
                }
                other => other,
            };
        }
    }

    /// Gives what an earlier run has had counted and has not told, once no program counts there any more.
    pub(super) fn tell_left(&mut self, last: bool, each: impl FnMut(Entry)) {
        if self.left.is_some_and(|closed| last || self.map.is_over(closed)) {
            self.left = None;
            let slots = &self.slots;
            self.map.take_left(|index| slots.get(index as usize).is_none_or(|slot| matches!(slot, Slot::Free)), each);
        }
    }
}
