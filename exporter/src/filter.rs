//! Which events `trace` shows.

use globset::{Candidate, Glob, GlobSet, GlobSetBuilder};

use crate::container::{Container, Origin};
use crate::event::{Access, Event, Outcome};

/// All kinds of condition must agree; of one kind's several values any. An empty kind agrees with everything.
#[derive(Debug, Default)]
pub struct Filter {
    /// Names of containers, or beginnings of their ids.
    pub containers: Vec<String>,
    /// Namespaces of pods.
    pub namespaces: Vec<String>,
    /// Globs for whole paths, as [`crate::config::parse::glob`] builds them.
    pub paths: Option<GlobSet>,
    /// Names of threads, compared up to the 15 bytes that the kernel keeps.
    pub comms: Vec<String>,
    /// Only accesses that failed.
    pub denied: bool,
}

/// `TASK_COMM_LEN` without the NUL (include/linux/sched.h).
const COMM_LEN: usize = 15;

impl Filter {
    /// True: the event is shown. Allocates nothing.
    #[must_use]
    pub fn matches(&self, event: &Event<'_>) -> bool {
        (!self.denied || matches!(event.access.outcome(), Outcome::Failure(_)))
            && any(&self.comms, |comm| truncate(comm.as_bytes()) == event.access.comm())
            && any(&self.namespaces, |namespace| is_namespace(event.container, namespace))
            && any(&self.containers, |container| is_container(event.container, container))
            && self.matches_path(&event.access)
    }

    fn matches_path(&self, access: &Access<'_>) -> bool {
        // What was asked for counts too: a symbolic link's name, or all that is known of a file that is not there. And so
        // does a file's other name.
        let matches = |set: &GlobSet, path: &[u8]| set.is_match_candidate(&Candidate::from_bytes(path));
        self.paths.as_ref().is_none_or(|set| {
            matches(set, access.path)
                || matches(set, access.requested)
                || (!access.target.is_empty() && matches(set, access.target))
        })
    }
}

/// One set of several globs.
///
/// # Errors
/// The globs together are too large to compile.
pub fn path_set(globs: &[Glob]) -> Result<Option<GlobSet>, globset::Error> {
    if globs.is_empty() {
        return Ok(None);
    }
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob.clone());
    }
    builder.build().map(Some)
}

fn any(values: &[String], matches: impl Fn(&String) -> bool) -> bool {
    values.is_empty() || values.iter().any(matches)
}

fn truncate(comm: &[u8]) -> &[u8] {
    &comm[..comm.len().min(COMM_LEN)]
}

fn is_namespace(container: &Container, namespace: &str) -> bool {
    container.pod.as_ref().is_some_and(|pod| pod.namespace == namespace)
}

fn is_container(container: &Container, wanted: &str) -> bool {
    match &container.origin {
        Origin::Container { id, name, .. } => name == wanted || (!wanted.is_empty() && id.starts_with(wanted)),
        Origin::Unit(_) | Origin::Host | Origin::Exporter => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse::glob;
    use crate::sink::sample::Sample;

    fn check(filter: &Filter, sample: &Sample, expected: bool) {
        assert_eq!(sample.with(|event| filter.matches(event)), expected, "{filter:?}");
    }

    fn paths(patterns: &[&str]) -> Filter {
        let globs: Vec<Glob> = patterns.iter().map(|pattern| glob(pattern).expect(pattern)).collect();
        Filter { paths: path_set(&globs).expect("set"), ..Filter::default() }
    }

    #[test]
    fn empty_matches_everything() {
        check(&Filter::default(), &Sample::default(), true);
        check(&Filter::default(), &Sample::host(), true);
    }

    #[test]
    fn containers_by_name_or_id() {
        let by = |container: &str| Filter { containers: vec!["other".into(), container.into()], ..Filter::default() };
        check(&by("web"), &Sample::default(), true);
        check(&by("0123456789ab"), &Sample::default(), true);
        check(&by("123456789ab"), &Sample::default(), false);
        check(&by(""), &Sample::default(), false);
        check(&by("web"), &Sample::host(), false);
    }

    #[test]
    fn namespaces() {
        let by = |namespace: &str| Filter { namespaces: vec![namespace.into()], ..Filter::default() };
        check(&by("shop"), &Sample::default(), true);
        check(&by("sho"), &Sample::default(), false);
        check(&by("shop"), &Sample::host(), false);
    }

    #[test]
    fn paths_are_bytes() {
        let raw = Sample { path: b"/data/\xff.bin".to_vec(), requested: b"./\xff.bin".to_vec(), ..Sample::default() };
        check(&paths(&["/data/*.bin"]), &raw, true);
        check(&paths(&["*.bin"]), &raw, true);
        check(&paths(&["/data/?.bin"]), &raw, true);
        check(&paths(&["/etc/**", "/var/**"]), &raw, false);
        let missing = Sample { path: Vec::new(), requested: b"/etc/shadow".to_vec(), ..Sample::default() };
        check(&paths(&["/etc/**", "/var/**"]), &missing, true);
    }

    #[test]
    fn either_path_of_two() {
        let renamed = Sample { path: b"/tmp/a".to_vec(), target: b"/etc/passwd".to_vec(), ..Sample::default() };
        check(&paths(&["/etc/*"]), &renamed, true);
        check(&paths(&["/tmp/*"]), &renamed, true);
    }

    #[test]
    fn comms_up_to_what_the_kernel_keeps() {
        let by = |comm: &str| Filter { comms: vec![comm.into()], ..Filter::default() };
        let long = Sample { comm: *b"a-rather-long-n\0", ..Sample::default() };
        check(&by("a-rather-long-name"), &long, true);
        check(&by("a-rather-long"), &long, false);
        check(&by("python3"), &Sample::default(), true);
    }

    #[test]
    fn denied() {
        let filter = Filter { denied: true, ..Filter::default() };
        check(&filter, &Sample { result: -13, ..Sample::default() }, true);
        check(&filter, &Sample::default(), false);
        check(&filter, &Sample { result: inotrail_ebpf::RESULT_UNKNOWN, ..Sample::default() }, false);
    }

    #[test]
    fn all_kinds_must_agree() {
        let mut filter = paths(&["/etc/*"]);
        check(&filter, &Sample::default(), true);
        filter.denied = true;
        check(&filter, &Sample::default(), false);
    }

    #[test]
    fn matching_allocates_nothing() {
        let mut filter = paths(&["/etc/*", "*.conf", "/var/**/x{1,2}?"]);
        filter.comms = vec!["python3".into()];
        filter.containers = vec!["0123".into()];
        filter.namespaces = vec!["shop".into()];
        let events = [Sample::default(), Sample { path: b"/var/\xff/y/x2z".to_vec(), ..Sample::default() }];
        for sample in &events {
            sample.with(|event| {
                // The first match fills the pool of the regular expressions' scratch space.
                assert!(filter.matches(event));
                let counted = allocation_counter::measure(|| assert!(filter.matches(event)));
                assert_eq!(counted.count_total, 0);
            });
        }
    }
}
