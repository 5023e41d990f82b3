//! Requests between the sensor's thread, which never waits, and the task that writes them down.

use std::collections::VecDeque;

use prometheus_client::metrics::gauge::Gauge;

use crate::batch::Request;
use crate::lane::Lane;

/// A request for all destinations of a route.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) lane: Lane,
    pub(super) route: usize,
    pub(super) tenant: Box<str>,
    pub(super) request: Request,
}

/// Bounded by bytes. Where there is no room, what matters less makes some.
#[derive(Debug)]
pub(super) struct Inbox {
    lanes: [VecDeque<Letter>; Lane::ALL.len()],
    bytes: usize,
    limit: usize,
    is_closed: bool,
    /// Shows the bytes.
    shown: Gauge,
}

impl Inbox {
    pub(super) fn new(limit: usize, shown: Gauge) -> Self {
        Self { lanes: Default::default(), bytes: 0, limit, is_closed: false, shown }
    }

    /// Takes a letter; `shed` gets those that had to go for it, the oldest of the least important first. The letter itself
    /// where nothing is less important than it, or no more are taken.
    pub(super) fn push(&mut self, letter: Letter, mut shed: impl FnMut(Letter)) -> Result<(), Letter> {
        let len = letter.request.body.len();
        if self.is_closed {
            return Err(letter);
        }
        while self.bytes > 0 && self.bytes + len > self.limit {
            let Some(gone) = self.lanes[..letter.lane as usize].iter_mut().find_map(VecDeque::pop_front) else {
                return Err(letter);
            };
            self.bytes -= gone.request.body.len();
            shed(gone);
        }
        self.bytes += len;
        self.shown.set(self.bytes as i64);
        self.lanes[letter.lane as usize].push_back(letter);
        Ok(())
    }

    /// The oldest of the most important.
    pub(super) fn pop(&mut self) -> Option<Letter> {
        let letter = self.lanes.iter_mut().rev().find_map(VecDeque::pop_front)?;
        self.bytes -= letter.request.body.len();
        self.shown.set(self.bytes as i64);
        Some(letter)
    }

    /// Takes no more.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// More than half of the room is taken: whoever writes them down does not keep up.
    pub(super) const fn is_pressed(&self) -> bool {
        self.bytes > self.limit / 2
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn letter(lane: Lane, route: usize) -> Letter {
        let body = Bytes::from_static(&[0; 40]);
        Letter { lane, route, tenant: Box::default(), request: Request { body, records: 1, accesses: 1, told: 0 } }
    }

    #[track_caller]
    fn check(inbox: &mut Inbox, lane: Lane, route: usize, expected: Result<&[usize], ()>) {
        let mut shed = Vec::new();
        let taken = inbox.push(letter(lane, route), |gone| shed.push(gone.route));
        assert_eq!(taken.map(|()| &*shed).map_err(drop), expected);
    }

    #[test]
    fn what_matters_less_makes_room() {
        let shown = Gauge::default();
        let mut inbox = Inbox::new(100, shown.clone());
        check(&mut inbox, Lane::Access, 1, Ok(&[]));
        check(&mut inbox, Lane::Denied, 2, Ok(&[]));
        assert!(inbox.is_pressed());
        assert_eq!(shown.get(), 80);
        check(&mut inbox, Lane::Access, 3, Err(()));
        check(&mut inbox, Lane::Denied, 4, Ok(&[1]));
        check(&mut inbox, Lane::Denied, 5, Err(()));
        check(&mut inbox, Lane::Violation, 6, Ok(&[2]));
        assert_eq!(inbox.pop().map(|letter| letter.route), Some(6));
        assert_eq!(inbox.pop().map(|letter| letter.route), Some(4));
        assert!(inbox.pop().is_none() && !inbox.is_pressed());
        assert_eq!(shown.get(), 0);
        inbox.close();
        check(&mut inbox, Lane::Violation, 7, Err(()));
    }

    #[test]
    fn one_that_is_too_large_is_taken_alone() {
        let mut inbox = Inbox::new(10, Gauge::default());
        check(&mut inbox, Lane::Access, 1, Ok(&[]));
        check(&mut inbox, Lane::Access, 2, Err(()));
    }
}
