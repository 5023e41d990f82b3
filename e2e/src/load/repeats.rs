//! Equal accesses are counted: each once, as a record or in its slot.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use inotrail::event::Backend;
use inotrail::sensor::Record;
use inotrail_ebpf::LedgerKey;

use super::{Opens, Reader, under};
use crate::accesses::Watch;

/// Has every access that is told counted from then on, and closes the books. Says in a few words what was done.
///
/// # Errors
/// Where they do not close, or hardly anything was counted.
pub fn prove_repeats(opens: Opens, backend: Backend, guest: &Path, reader: Reader) -> Result<String> {
    let watch = Watch::start(backend, reader.ring_bytes)?;
    let repeats = watch.repeats();
    repeats.set(Some([0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908]));
    let mut used = HashSet::new();
    let books = under(watch, guest, reader, &opens.arguments(), |record| {
        let Record::Access(access) = record else { return Ok(()) };
        ensure!(access.header.identity != 0, "an access without a number: {}", access.path.escape_ascii());
        let key = LedgerKey { inode: access.header.inode, ..LedgerKey::default() };
        // Nothing: it was on its way when the slot was opened.
        used.extend(
            repeats.open(access.header.identity, (&key, access.header.tgid), u64::MAX, |slot| !used.contains(&slot)),
        );
        Ok(())
    })?;
    let (total, mut counted) = ((opens.threads * opens.each) as u64, 0);
    let mut by_file: HashMap<u64, u64> = books.seen.clone();
    repeats.take_left(
        |_| true,
        |entry| {
            counted += entry.count;
            *by_file.entry(entry.key.inode).or_default() += entry.count;
        },
    );
    let made = total.checked_sub(counted).context("more was counted than was done")?;
    let unseen = books.unseen(made)?;
    ensure!(counted > 0, "nothing was counted");
    if unseen == 0 && books.ring_full == 0 {
        opens.prove_turns(by_file)?;
    }
    Ok(format!("{total} opens: {} told, {counted} counted, {unseen} missed", books.events))
}
