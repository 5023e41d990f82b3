//! `bench-allocations N`: what the way of N records through user space asks of the allocator when it is warm. Prints how
//! often that is, and how many requests were made.

use std::cell::Cell;

use allocation_counter::measure;
use anyhow::{Context as _, Result};
use e2e::bench::path::{Way, exported};

/// By then every buffer has the size that it needs, and every thread was seen.
const WARM: usize = 100_000;

#[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
fn main() -> Result<()> {
    let events: usize = std::env::args().nth(1).context("usage: bench-allocations EVENTS")?.parse()?;
    let requests = Cell::new(0_u64);
    let mut way = Way::new(exported(|_| requests.set(requests.get() + 1)));
    way.go(WARM);
    requests.set(0);
    let counted = measure(|| way.go(events));
    println!("{} {}", counted.count_total, requests.get());
    Ok(())
}
