//! The golden lists once more, behind a filter of policies: what a rule is about is told, and what the filter keeps back is no
//! rule's, and counted.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};
use inotrail::{
    event::Backend,
    policy::{PolicySet, Verdict, document},
};

use super::{
    Case, Feature, RING_BYTES, Seen, groups, mutations,
    run::{io_uring_is_told, see},
    watch::Watch,
};

/// A rule of each kind that the kernel tells apart, by names that the lists have.
const POLICY: &str = "\
apiVersion: inotrail.dev/v1alpha1
kind: ClusterFileAccessPolicy
metadata: {name: golden}
spec:
  rules:
  - {name: leaf, paths: ['**/key', '**/third'], operations: [open]}
  - {name: suffix, paths: ['**/*new'], operations: [create, open, rename]}
  - {name: folder, paths: ['**/..2026_2/**', '/tmp/*/*/bind/**', '**/link/**']}
  - {name: every, paths: ['**'], operations: [delete, mkdir]}
";

/// Accesses of the lists.
#[derive(Debug, Default)]
struct Tally {
    told: usize,
    kept_back: usize,
    wrong: Vec<&'static str>,
}

/// Runs the lists that the backend can see behind the filter.
///
/// # Errors
/// A record is missing that a rule is about, or one is told that is none, or the kernel's count is another.
pub fn prove_filtered(backend: Backend, guest: &Path) -> Result<String> {
    let (policies, problems) = document::read(POLICY);
    ensure!(problems.is_empty(), "the policy is wrong: {problems:?}");
    let policies = PolicySet::new(policies.into_iter().map(Arc::new));
    let mut tally = tally(Watch::start(backend, RING_BYTES)?, &policies, groups(), guest)?;
    if backend != Backend::RawTracepoint {
        let watch = Watch::start_with_mutations(backend, RING_BYTES, Path::new("/sys/kernel/btf/vmlinux"))?;
        let more = self::tally(watch, &policies, mutations::groups_without_owners(), guest)?;
        tally = Tally {
            told: tally.told + more.told,
            kept_back: tally.kept_back + more.kept_back,
            wrong: [tally.wrong, more.wrong].concat(),
        };
    }
    let Tally { told, kept_back, wrong } = tally;
    ensure!(wrong.is_empty(), "{} tells wrong of {}", backend.as_str(), wrong.join(", "));
    ensure!(told > 0 && 2 * kept_back > told, "{told} told and {kept_back} kept back: that proves nothing");
    Ok(format!("{told} told, {kept_back} kept back"))
}

fn tally(
    mut watch: Watch,
    policies: &PolicySet,
    groups: impl Iterator<Item = (Option<Feature>, &'static [Case])>,
    guest: &Path,
) -> Result<Tally> {
    watch.filter(policies.filter(&policies.all()))?;
    let io_uring_is_told = io_uring_is_told()?;
    let mut tally = Tally::default();
    for (feature, cases) in groups {
        if let Some(feature) = feature
            && !feature.is_here()?
        {
            continue;
        }
        for case in cases {
            let (place, seen) = see(&mut watch, case, guest, io_uring_is_told)?;
            match compare(policies, &case.seen_by(watch.backend(), &place), &seen) {
                Ok(kept_back) => tally.kept_back += kept_back,
                Err(error) => {
                    eprintln!("{}: {}: {error:#}", watch.backend().as_str(), case.name);
                    tally.wrong.push(case.name);
                }
            }
            tally.told += seen.len();
        }
    }
    let counted = watch.filtered();
    ensure!(!tally.wrong.is_empty() || counted == tally.kept_back as u64, "{counted} counted as kept back: {tally:?}");
    Ok(tally)
}

/// How many were kept back.
fn compare(policies: &PolicySet, expected: &[Seen], seen: &[Seen]) -> Result<usize> {
    let mut told = seen.iter().peekable();
    for one in expected {
        if told.next_if_eq(&one).is_none() && is_wanted(policies, one) {
            bail!("a rule is about it, and it was not told: {one:?}\n  but {seen:#?}");
        }
    }
    let more = told.next();
    ensure!(more.is_none(), "nobody did this: {more:?}");
    expected.len().checked_sub(seen.len()).context("more than were made")
}

fn is_wanted(policies: &PolicySet, one: &Seen) -> bool {
    policies.decide(&policies.all(), &one.attempt(), &mut Vec::new()) != Verdict::Ignore
}
