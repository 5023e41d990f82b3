//! Tables by number, and numbers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// A table whose keys are addresses, or numbers that the kernel gives out: of processes, cgroups and devices. The default
/// hasher's defence against chosen keys costs an event more than all that it looks up.
pub(crate) type IdMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// A number that nothing else has, from 1.
pub(crate) fn unique() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}
