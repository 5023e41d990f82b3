//! `trace`'s end of the pipeline: what the printer does with it.

use std::io::Write;
use std::ops::ControlFlow;
use std::time::Instant;

use crate::event::Event;
use crate::loss::Loss;
use crate::pipeline::Output;
use crate::sink::Printer;
use crate::stopped::Stopped;

impl<W: Write> Output for Printer<W> {
    fn wants(&self, event: &Event<'_>) -> bool {
        Self::wants(self, event)
    }

    fn has_room(&mut self, _: &Event<'_>) -> bool {
        true
    }

    fn event(&mut self, event: &Event<'_>) -> ControlFlow<()> {
        self.show(event).map_break(|_| ())
    }

    fn loss(&mut self, loss: &Loss<'_>) {
        self.show_loss(loss);
    }

    fn stopped(&mut self, stopped: &Stopped<'_>) {
        self.show_stopped(stopped);
    }

    fn drained(&mut self, _now_ns: u64) -> ControlFlow<()> {
        Self::drained(self, Instant::now()).map_break(|_| ())
    }
}
