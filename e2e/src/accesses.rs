//! The golden list: file accesses, and what the sensor must tell about each of them. One list for every backend, run
//! natively and in test machines.

mod abi;
mod calls;
mod expected;
mod feature;
mod filtered;
mod links;
mod mounts;
mod mutations;
mod opens;
mod overlays;
mod paths;
mod place;
mod processes;
mod program;
mod resolve;
mod run;
mod scopes;
mod sound;
mod watch;

use std::path::Path;

use anyhow::Result;
use inotrail::event::Backend;

use expected::Expected;
pub use expected::{Process, Seen};
pub use feature::Feature;
pub use filtered::prove_filtered;
pub use place::Place;
pub use run::{RING_BYTES, access, prove, prove_mutations};
pub use scopes::prove_scopes;
pub use watch::{Watch, base, spawn};

/// One access, or a few that belong together.
#[derive(Clone, Copy)]
pub struct Case {
    /// Name on the command line and in messages.
    pub name: &'static str,
    /// Makes the files. Not watched.
    setup: fn(&Path) -> Result<()>,
    /// The access itself. Watched.
    access: fn(&Path) -> Result<()>,
    /// What the sensor must tell, in order, and nothing else.
    expected: fn(&Place) -> Vec<Expected>,
}

impl Case {
    /// What a backend tells of the case.
    #[must_use]
    pub fn seen_by(&self, backend: Backend, place: &Place) -> Vec<Seen> {
        (self.expected)(place).into_iter().filter_map(|expected| expected.seen_by(backend, place)).collect()
    }
}

/// The list, in groups that need something that not every kernel has.
pub fn groups() -> impl Iterator<Item = (Option<Feature>, &'static [Case])> {
    let anywhere = [
        opens::CASES,
        resolve::CASES,
        paths::CASES,
        links::CASES,
        overlays::CASES,
        mounts::CASES,
        processes::CASES,
        abi::CASES,
    ];
    let somewhere =
        [abi::SOMEWHERE, processes::SOMEWHERE].into_iter().flatten().map(|(feature, cases)| (Some(*feature), *cases));
    anywhere.into_iter().map(|cases| (None, cases)).chain(somewhere)
}

/// The list.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    groups().flat_map(|(_, cases)| cases)
}

/// The list of mutations.
pub fn mutations() -> impl Iterator<Item = &'static Case> {
    mutations::groups().flat_map(|(_, cases)| cases)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_names_one_case() {
        let names: BTreeSet<_> = cases().chain(mutations()).map(|case| case.name).collect();
        assert_eq!(names.len(), cases().count() + mutations().count());
    }
}
