//! `make demo-stack`: the same accesses through a Collector, found in Loki.
#![expect(clippy::print_stdout, reason = "the demo is what it prints")]

use std::time::{Duration, SystemTime};

use anyhow::Result;

use super::{NAME, start};
use crate::containerd::Containerd;
use crate::folder::Folder;
use crate::loki::Entry;
use crate::stack::{Ports, Stack};
use crate::{exporter, interrupt};

const QUERY: &str = r#"{k8s_namespace_name="demo"} | file_path="/etc/passwd""#;
const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn run() -> Result<()> {
    println!("starting a Collector, Loki, containerd, the exporter and the container {NAME}");
    let folder = Folder::new(None)?;
    let stack = Stack::start(None, Ports::Free)?;
    let containerd = Containerd::start(None)?;
    let container = start(&containerd)?;
    let _exporter = exporter::run(&containerd, &stack, folder.as_ref(), &[])?;
    let started = SystemTime::now();
    container.signal("SIGUSR1")?;
    println!("the container touches its files\n\nLoki {}: {QUERY}\n", stack.loki.url);
    let entries = interrupt::wait_for("entry in Loki", LIMIT, || {
        let found = stack.loki.query(QUERY, started)?;
        Ok((!found.is_empty()).then_some(found))
    })?;
    let after = started.elapsed()?.as_millis();
    entries.iter().for_each(print);
    println!("found {after} ms after the container was told to");
    Ok(())
}

fn print(entry: &Entry) {
    println!("{}", entry.line);
    let width = entry.labels.keys().chain(entry.metadata.keys()).map(String::len).max().unwrap_or_default();
    for (name, value) in &entry.labels {
        println!("  {name:width$}  {value}   (index label)");
    }
    for (name, value) in &entry.metadata {
        println!("  {name:width$}  {value}");
    }
    println!();
}
