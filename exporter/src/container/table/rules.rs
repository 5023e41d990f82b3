//! Which policies' rules are about which container.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::super::announcement::NamespaceNews;
use super::super::view::View;
use super::super::watched::FilePath;
use super::super::{FileId, Recorded, SANDBOX};
use super::{Container, Image, Inhabitant, Key, Origin, Table, is_resolved};
use crate::policy::scope::{Labels, PodLabels, Subject};
use crate::policy::{PolicySet, Selection};

/// Id and path of a cgroup, and what of it is to be recorded.
pub(in super::super) type ToRecord = (u64, Arc<[u8]>, Recorded);

/// What is wanted for rules' sake.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) recorded: Recorded,
    /// Paths of files that are to be known under whatever name.
    pub(super) files: Arc<[FilePath]>,
}

/// By what rules are chosen, and what the choice brings.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// What is worth an event; `None`: everything.
    pub(super) policies: Option<Arc<PolicySet>>,
    namespaces: HashMap<String, Labels>,
    pub(super) wanted: HashMap<Selection, Wanted>,
    /// Cgroups of which something else is to be recorded.
    to_record: Vec<ToRecord>,
    /// Files are to be looked for in some container.
    pub(super) changed: bool,
    /// Files of containers that are no more.
    pub(super) gone_files: Vec<FileId>,
}

/// Such files of one container.
const FILES_MAX: usize = 4096;

/// Namespaces whose labels are kept.
const NAMESPACES_MAX: usize = 16_384;

impl Table {
    /// Only what these policies are about is worth an event from now on.
    pub(in super::super) fn judge_by(&mut self, policies: Arc<PolicySet>) {
        self.rules.policies = Some(policies);
        self.rules.wanted.clear();
        self.forget_rules(|_| true);
    }

    /// A namespace has other labels, or is no more.
    pub(in super::super) fn namespace(&mut self, news: NamespaceNews) {
        let NamespaceNews { name, labels, is_answer } = news;
        if is_answer && self.rules.namespaces.contains_key(&name) {
            return;
        }
        let has_changed = self.rules.namespaces.get(&name) != labels.as_ref();
        match labels {
            Some(labels)
                if self.rules.namespaces.len() < NAMESPACES_MAX || self.rules.namespaces.contains_key(&name) =>
            {
                self.rules.namespaces.insert(name.clone(), labels);
            }
            Some(_) => {}
            None => drop(self.rules.namespaces.remove(&name)),
        }
        if has_changed {
            self.forget_rules(|container| container.pod.as_ref().is_some_and(|pod| pod.namespace == name));
        }
    }

    fn forget_rules(&mut self, of: impl Fn(&Container) -> bool) {
        for inhabitant in self.inhabitants.values_mut().filter(|inhabitant| of(&inhabitant.container)) {
            inhabitant.container = Arc::new(inhabitant.container.with_rules(None));
        }
        self.changed = true;
    }

    /// Chooses the rules of those of whom something new is known.
    pub(super) fn choose_rules(&mut self) {
        let Some(policies) = &self.rules.policies else { return };
        for inhabitant in self.inhabitants.values_mut().filter(|inhabitant| inhabitant.container.rules.is_none()) {
            let rules = select(policies, &inhabitant.container, |namespace| self.rules.namespaces.get(namespace));
            inhabitant.container = Arc::new(inhabitant.container.with_rules(Some(rules)));
            (inhabitant.rules_changed, inhabitant.unfiltered, self.rules.changed) = (true, false, true);
        }
        // Users do not know of the containers that only hold their pods' namespaces.
        let is_sandbox = |it: &Container| matches!(&it.origin, Origin::Container { name, .. } if name == SANDBOX);
        let is_one = |known: &&Inhabitant| known.cgroups > 0 && known.is_container() && !is_sandbox(&known.container);
        let containers = self.inhabitants.values().filter(is_one);
        policies.count_containers(containers.filter_map(|known| known.container.rules.as_ref()));
    }

    /// Containers that are never reported.
    pub(in super::super) fn excluded(&self) -> usize {
        self.inhabitants.values().filter(|known| known.cgroups > 0 && known.container.is_excluded()).count()
    }

    /// Chooses what is worth recording: of containers what rules may be about. Parts of the host are recorded, since new
    /// containers are made below them and begin as these are.
    pub(super) fn choose_recorded(&mut self) {
        for (id, cgroup) in self.cgroups.iter_mut().filter(|(_, cgroup)| !cgroup.dead && !cgroup.path.is_empty()) {
            let Some(key @ Key::Container(_)) = &cgroup.inhabitant else { continue };
            let Some(inhabitant) = self.inhabitants.get(key) else { continue };
            let what = match (&self.rules.policies, &inhabitant.container.rules) {
                _ if inhabitant.container.is_excluded() => Recorded::Nothing,
                // It is from the start.
                (None, _) => continue,
                // More may be known of it soon.
                _ if inhabitant.pod_awaited || !is_resolved(&inhabitant.container) => Recorded::Everything,
                (_, None) => Recorded::Everything,
                (_, Some(rules)) if rules.is_empty() => Recorded::Nothing,
                (Some(policies), Some(rules)) => match wanted(&mut self.rules.wanted, policies, rules).recorded {
                    Recorded::Filtered(_) if inhabitant.unfiltered => Recorded::Everything,
                    recorded => recorded,
                },
            };
            if cgroup.recorded.as_ref() != Some(&what) {
                cgroup.recorded = Some(what.clone());
                self.rules.to_record.push((*id, Arc::clone(&cgroup.path), what));
            }
        }
    }

    /// What is to be recorded from now on, and what no longer.
    pub(in super::super) fn take_to_record(&mut self) -> Vec<ToRecord> {
        std::mem::take(&mut self.rules.to_record)
    }

    pub(super) fn view_of_policies(&self) -> View {
        let policies = self.rules.policies.clone();
        let unknown = |set: &Arc<PolicySet>| set.select(&Subject::Container { name: "", image: "", pod: None });
        let rules_of_unknown = policies.as_ref().map(unknown).unwrap_or_default();
        View { policies, rules_of_unknown, ..View::default() }
    }
}

/// Those with the same rules share a filter.
fn wanted(known: &mut HashMap<Selection, Wanted>, policies: &PolicySet, rules: &Selection) -> Wanted {
    if let Some(wanted) = known.get(rules) {
        return wanted.clone();
    }
    let filter = policies.filter(rules);
    let recorded = if filter.is_everything() { Recorded::Everything } else { Recorded::Filtered(Arc::new(filter)) };
    let files: BTreeSet<&[u8]> = policies.files(rules).take(FILES_MAX).collect();
    let wanted = Wanted { recorded, files: files.into_iter().map(Into::into).collect() };
    known.insert(rules.clone(), wanted.clone());
    wanted
}

fn select<'a>(policies: &PolicySet, it: &'a Container, labels_of: impl Fn(&str) -> Option<&'a Labels>) -> Selection {
    static NONE: Labels = Labels::new();
    let Origin::Container { name, .. } = &it.origin else { return policies.select(&Subject::Host) };
    if it.is_excluded() {
        return Selection::default();
    }
    let image = it.image.as_ref().map(with_tag).unwrap_or_default();
    let pod = it.pod.as_ref().map(|pod| PodLabels {
        namespace: &pod.namespace,
        namespace_labels: labels_of(&pod.namespace).unwrap_or(&NONE),
        labels: pod.details.as_ref().map_or(&NONE, |details| &details.labels),
    });
    policies.select(&Subject::Container { name, image: &image, pod })
}

fn with_tag(image: &Image) -> String {
    match image.tags.first() {
        Some(tag) => format!("{}:{tag}", image.name),
        None => image.name.clone(),
    }
}
