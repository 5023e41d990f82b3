//! Tables by number.

use std::collections::HashMap;

/// A table whose keys are addresses, or numbers that the kernel gives out: of processes, cgroups and devices. The default
/// hasher's defence against chosen keys costs an event more than all that it looks up.
pub(crate) type IdMap<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
