//! `bench-path N ours|sdk none|zstd [new]`: the requests of N records of the ring buffer, by the exporter or by the opentelemetry
//! SDK, compressed or not, of files that come again and again or of new ones. Prints their bytes, and the nanoseconds of CPU time that it took.

use anyhow::{Result, bail};
use e2e::bench::counted::Counted;
use e2e::bench::path::{self, Files};
use rustix::time::{ClockId, clock_gettime};

#[expect(clippy::print_stdout, reason = "the count proves that the work was done")]
fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (arguments, files) = match &arguments[..] {
        [arguments @ .., new] if new == "new" => (arguments, Files::New),
        arguments => (arguments, Files::Again),
    };
    let [events, who, compression] = arguments else { bail!("usage: bench-path EVENTS ours|sdk none|zstd [new]") };
    let (events, mut counted) = (events.parse()?, Counted::new(compression)?);
    let start = clock_gettime(ClockId::ProcessCPUTime);
    match who.as_str() {
        "ours" => path::ours(events, files, |request| counted.add(request)),
        "sdk" => path::sdk(events, files, |request| counted.add(request))?,
        other => bail!("{other}: ours, or sdk"),
    }
    let took = clock_gettime(ClockId::ProcessCPUTime) - start;
    println!("{} {}", counted.bytes, took.tv_sec * 1_000_000_000 + took.tv_nsec);
    Ok(())
}
