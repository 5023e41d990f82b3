//! Who acts, and what is watched for.

use super::family;
use crate::container::source::Source as Teller;
use crate::decoy::Refused;
use crate::metrics::family::Kind::{Counter, UpDown};
use crate::metrics::family::Value::Whole;
use crate::metrics::family::{Family, Label};

/// Who acts, and what is watched for.
pub(super) static CONTAINERS: [Family; 10] = [
    family(
        ("inotrail_containers", "inotrail.container.count"),
        "{cgroup}",
        UpDown,
        &[],
        "Cgroups that are known: containers, and units of the host",
        |source, each| each(&[], Whole(source.metrics.containers.get() as u64)),
    ),
    family(
        ("inotrail_containers_resolved", "inotrail.container.resolved"),
        "{container}",
        Counter,
        &[Label("source", "inotrail.container.source")],
        "Containers whose name a source was the first to tell",
        |source, each| {
            for teller in Teller::ALL {
                each(&[teller.as_str()], Whole(source.metrics.resolved(teller).get()));
            }
        },
    ),
    family(
        ("inotrail_containers_evicted", "inotrail.container.evicted"),
        "{cgroup}",
        Counter,
        &[],
        "Cgroups forgotten before their time because there were too many",
        |source, each| each(&[], Whole(source.metrics.containers_evicted.get())),
    ),
    family(
        ("inotrail_containers_excluded", "inotrail.container.excluded"),
        "{container}",
        UpDown,
        &[],
        "Containers of excluded accounts, which are not reported",
        |source, each| each(&[], Whole(source.metrics.containers_excluded.get() as u64)),
    ),
    family(
        ("inotrail_policies", "inotrail.policy.count"),
        "{policy}",
        UpDown,
        &[],
        "Policies that are in force",
        |source, each| each(&[], Whole(source.metrics.policies.get() as u64)),
    ),
    family(
        ("inotrail_filter_entries", "inotrail.filter.usage"),
        "{entry}",
        UpDown,
        &[Label("kind", "inotrail.filter.kind")],
        "What the kernel's filters of policies hold",
        |source, each| {
            for (kind, gauge) in ["names", "files"].iter().zip(&source.metrics.filter_entries) {
                each(&[kind], Whole(gauge.get() as u64));
            }
        },
    ),
    family(
        ("inotrail_filter_limit", "inotrail.filter.limit"),
        "{entry}",
        UpDown,
        &[],
        "What they can hold of each kind",
        |source, each| each(&[], Whole(source.metrics.filter_limit.get() as u64)),
    ),
    family(
        ("inotrail_filter_full", "inotrail.filter.full"),
        "{container}",
        Counter,
        &[],
        "Containers recorded as a whole because the kernel's filter was full",
        |source, each| each(&[], Whole(source.metrics.filter_full.get())),
    ),
    family(
        ("inotrail_decoys", "inotrail.decoy.count"),
        "{decoy}",
        UpDown,
        &[],
        "Decoys that are in containers",
        |source, each| each(&[], Whole(source.metrics.decoys.get() as u64)),
    ),
    family(
        ("inotrail_decoys_refused", "inotrail.decoy.refused"),
        "{decoy}",
        Counter,
        &[Label("reason", "inotrail.decoy.reason")],
        "Decoys that were not made, by reason",
        |source, each| {
            for (reason, counter) in Refused::NAMES.into_iter().zip(&source.metrics.decoys_refused) {
                each(&[reason], Whole(counter.get()));
            }
        },
    ),
];
