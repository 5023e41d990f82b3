//! `bench-sdk N none|zstd`: the requests of N events, by the opentelemetry SDK, compressed or not. Prints their bytes.

use anyhow::{Result, bail};
use e2e::bench::counted::Counted;
use e2e::bench::sample::Sample;
use e2e::bench::sdk;

#[expect(clippy::print_stdout, reason = "the count proves that the work was done")]
fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [events, compression] = &arguments[..] else { bail!("usage: bench-sdk EVENTS none|zstd") };
    let mut counted = Counted::new(compression)?;
    sdk::run(&Sample::default(), events.parse()?, |request| counted.add(request))?;
    println!("{}", counted.bytes);
    Ok(())
}
