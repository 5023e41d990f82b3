//! `bench-lines RATE RECORDS FILE`: writes so many of the ring buffer's records at so many a second (0: at once) to a file, as
//! `inotrail trace --output json` does.

use std::path::Path;

use anyhow::{Result, bail};
use e2e::bench::replay::lines;

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [rate, records, file] = &arguments[..] else { bail!("usage: bench-lines RATE RECORDS FILE") };
    lines(rate.parse()?, records.parse()?, Path::new(file))
}
