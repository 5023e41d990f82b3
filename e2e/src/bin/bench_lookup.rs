//! `bench-lookup [N]`: looks up what N events need, or says how long one takes.

use std::hint::black_box;

use allocation_counter::measure;
use anyhow::Result;
use e2e::bench::lookup::Lookup;

#[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
fn main() -> Result<()> {
    let mut lookup = Lookup::default();
    if let Some(events) = std::env::args().nth(1) {
        // The count proves that the work was done.
        println!("{}", lookup.run(events.parse()?));
        return Ok(());
    }
    println!("  nanoseconds   {:>8.1}", lookup.nanoseconds());
    let allocations = measure(|| {
        black_box(lookup.run(100_000));
    });
    println!("  allocations   {:>8}", allocations.count_total);
    Ok(())
}
