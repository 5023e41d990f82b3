//! Policies that change all the time: each change is a map call of `bpf(2)`, and on a preemptible kernel each may blind
//! kprobes on a CPU for a moment.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context as _, Result};
use aya::maps::{HashMap, Map, MapData};
use inotrail::event::Backend;
use inotrail_ebpf::{VERSION, map, scope};

use super::{Books, Opens, Reader, under};
use crate::accesses::Watch;

/// Numbers of cgroups that do not exist, and how many of them have a scope at a time.
const NOBODY: u64 = 1 << 60;
const ENTRIES: u64 = 512;

/// Opens files twice, once while scopes of cgroups are entered and removed without a pause, and says what that costs.
///
/// # Errors
/// Where the books do not close.
pub fn prove_changes(opens: Opens, backend: Backend, guest: &Path, pins: &Path, reader: Reader) -> Result<String> {
    let watch = Watch::start_pinned(backend, reader.ring_bytes, pins)?;
    let filter = pins.join(VERSION.to_string()).join(map::CGROUPS);
    let done = AtomicBool::new(false);
    let (books, changes) = thread::scope(|scope| {
        let changes = scope.spawn(|| change(&filter, &done));
        let books = run(opens, watch, guest, reader);
        done.store(true, Ordering::Relaxed);
        (books, changes.join())
    });
    inotrail::sensor::unpin(pins)?;
    let books = books?;
    let changes = changes.ok().context("the thread of changes panicked")??;
    let quiet = run(opens, Watch::start(backend, reader.ring_bytes)?, guest, reader)?;
    let made = (opens.threads * opens.each) as u64;
    let misses = |books: &Books| books.misses.map_or_else(|| "not countable".to_owned(), |misses| misses.to_string());
    let told = format!(
        "{made} opens under {changes} changes: {} missed calls ({} without changes), {} opens unseen ({})",
        misses(&books),
        misses(&quiet),
        books.unseen(made)?,
        quiet.unseen(made)?,
    );
    eprintln!("{}: {told}; {:.1?} ({:.1?} without changes)", backend.as_str(), books.took, quiet.took);
    Ok(told)
}

fn run(opens: Opens, watch: Watch, guest: &Path, reader: Reader) -> Result<Books> {
    under(watch, guest, reader, &opens.arguments(), |_| Ok(()))
}

/// Returns how often a scope was changed.
fn change(filter: &Path, done: &AtomicBool) -> Result<u64> {
    let map = MapData::from_pin(filter).with_context(|| format!("open {}", filter.display()))?;
    let mut scopes: HashMap<_, u64, u32> = HashMap::try_from(Map::HashMap(map))?;
    let mut changes = 0;
    while !done.load(Ordering::Relaxed) {
        let cgroup = NOBODY + changes / 2 % ENTRIES;
        if changes % 2 == 0 {
            scopes.insert(&cgroup, &scope::KEEP, 0).context("enter a scope")?;
        } else {
            scopes.remove(&cgroup).context("remove a scope")?;
        }
        changes += 1;
    }
    Ok(changes)
}
