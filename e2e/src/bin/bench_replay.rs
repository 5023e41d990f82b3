//! `bench-replay RATE RECORDS ARGUMENT...`: gives so many of the ring buffer's records at so many a second (0: as fast as
//! they are taken) to what `inotrail run ARGUMENT...` is made of. Prints what became of them, as JSON.

use anyhow::{Result, bail};
use e2e::bench::replay::replay;

#[expect(clippy::print_stdout, reason = "the figures are what was asked for")]
fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [rate, records, arguments @ ..] = &arguments[..] else { bail!("usage: bench-replay RATE RECORDS ARGUMENT...") };
    println!("{}", serde_json::to_string(&replay(rate.parse()?, records.parse()?, arguments)?)?);
    Ok(())
}
