use super::super::announcement::NamespaceNews;
use super::super::mounts::MountsRead;
use super::super::{Image, PodDetails};
use super::*;
use crate::policy::PolicySet;

mod decoys;

const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const B: &str = "b123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn table() -> (Table, Containers, Instant) {
    let containers = Containers::default();
    (Table::new(containers.clone(), false), containers, Instant::now())
}

fn key(id: &str) -> Key {
    Key::Container(Candidate::Id(id.to_owned()))
}

fn named(id: &str, name: &str) -> Metadata {
    let (id, name) = (id.to_owned(), name.to_owned());
    Metadata { origin: Origin::Container { id, name, runtime: "containerd", resolved: true }, pod: None, image: None }
}

/// The container of a cgroup as readers see it: `unit:NAME`, `host`, `ID` without a name, `ID=NAME`, `-`: not known.
fn shown(table: &mut Table, containers: &Containers, id: u64) -> String {
    table.publish();
    let snapshot = containers.snapshot();
    let Some(container) = snapshot.get(id) else { return "-".to_owned() };
    match &container.origin {
        Origin::Unit(unit) => format!("unit:{unit}"),
        Origin::Host | Origin::Exporter => "host".to_owned(),
        Origin::Container { id, resolved: false, .. } => format!("{id}?"),
        Origin::Container { id, name, .. } => format!("{id}={name}"),
    }
}

#[test]
fn parts_of_the_host_are_known_at_once() {
    let (mut table, containers, now) = table();
    assert!(!table.made(1, b"/", now));
    assert!(!table.made(2, b"/system.slice", now));
    assert!(!table.made(3, b"/system.slice/ssh.service", now));
    assert!(!table.made(4, b"/system.slice/ssh.service/worker", now));
    for (id, expected) in [(1, "host"), (2, "host"), (3, "unit:ssh.service"), (4, "unit:ssh.service"), (5, "-")] {
        assert_eq!(shown(&mut table, &containers, id), expected, "{id}");
    }
    // One stream of events for all of the host, and one for a unit.
    let snapshot = containers.snapshot();
    assert!(Arc::ptr_eq(snapshot.get(1).unwrap(), snapshot.get(2).unwrap()));
    assert!(Arc::ptr_eq(snapshot.get(3).unwrap(), snapshot.get(4).unwrap()));
}

#[test]
fn a_container_waits_for_its_name() {
    let (mut table, containers, now) = table();
    assert!(table.made(7, format!("/k/{A}").as_bytes(), now));
    assert!(!table.made(7, format!("/k/{A}").as_bytes(), now), "asked twice");
    assert_eq!(shown(&mut table, &containers, 7), "-");
    // Who cannot wait has its id.
    let snapshot = containers.snapshot();
    assert_eq!(snapshot.by_now(7).origin, Origin::unresolved(A));
    assert!(Arc::ptr_eq(snapshot.by_now(8), Container::unknown()));
    assert_eq!(table.pending().collect::<Vec<_>>(), [(7, now)]);
    table.assign(7, key(A), Some(named(A, "web")));
    assert_eq!(shown(&mut table, &containers, 7), format!("{A}=web"));
    assert_eq!(table.pending().count(), 0);
    // Its children are it, even those called like somebody else.
    assert!(!table.made(8, format!("/k/{A}/{B}").as_bytes(), now));
    assert!(!table.made(9, format!("/k/{A}/x").as_bytes(), now));
    assert!(!table.made(10, format!("/k/{A}/x/y.service").as_bytes(), now));
    assert_eq!(shown(&mut table, &containers, 10), format!("{A}=web"));
    assert_eq!(shown(&mut table, &containers, 8), format!("{A}=web"));
    assert_eq!(table.cgroup_of(&key(B)), None);
}

#[test]
fn a_late_name_goes_on_with_the_stream() {
    let (mut table, containers, now) = table();
    assert!(table.made(7, format!("/k/{A}").as_bytes(), now));
    table.give_up(7);
    assert_eq!(shown(&mut table, &containers, 7), format!("{A}?"));
    assert_eq!(containers.snapshot().get(7).unwrap().next_sequence(), 1);
    assert_eq!(table.unresolved().collect::<Vec<_>>(), [(7, now)]);
    table.assign(7, key(A), Some(named(A, "web")));
    assert_eq!(shown(&mut table, &containers, 7), format!("{A}=web"));
    assert_eq!(containers.snapshot().get(7).unwrap().next_sequence(), 2);
    assert_eq!(table.unresolved().count(), 0);
    // Silence after an answer takes nothing back.
    table.give_up(7);
    assert_eq!(shown(&mut table, &containers, 7), format!("{A}=web"));
}

#[test]
fn a_name_without_an_id_is_host_until_the_runtime_says_otherwise() {
    let (mut table, containers, now) = table();
    assert!(table.made(7, b"/default/web", now));
    table.give_up(7);
    assert_eq!(shown(&mut table, &containers, 7), "host");
    assert_eq!(table.unresolved().count(), 1);
    let candidate = Candidate::Named { namespace: "default".to_owned(), id: "web".to_owned() };
    table.assign(7, Key::Container(candidate.clone()), Some(named("web", "web")));
    assert_eq!(shown(&mut table, &containers, 7), "web=web");
    assert_eq!(table.cgroup_of(&Key::Container(candidate)), Some(7));
}

#[test]
fn the_dead_stay_for_30_seconds() {
    let (mut table, containers, now) = table();
    table.made(7, b"/a.service", now);
    table.released(7, now);
    table.released(7, now + DEAD_FOR / 2);
    table.purge(now + DEAD_FOR.saturating_sub(Duration::from_millis(1)));
    assert_eq!(shown(&mut table, &containers, 7), "unit:a.service");
    table.purge(now + DEAD_FOR);
    assert_eq!(shown(&mut table, &containers, 7), "-");
    table.released(7, now);
    table.purge(now + DEAD_FOR * 2);
}

#[test]
fn a_scan_finds_who_died_unseen() {
    let (mut table, containers, now) = table();
    let scan = now + Duration::from_secs(1);
    table.made(1, b"/a.service", now);
    table.made(2, b"/b.service", now);
    // Made while the tree was being read, and an id that never was in a tree.
    table.made(3, b"/c.service", scan);
    table.made(4, b"", now);
    table.retain(scan, scan, |id| id == 1);
    table.purge(scan + DEAD_FOR);
    for (id, expected) in [(1, "unit:a.service"), (2, "-"), (3, "unit:c.service"), (4, "?")] {
        assert_eq!(shown(&mut table, &containers, id), expected, "{id}");
    }
}

#[test]
fn an_unknown_id_is_not_called_host() {
    let (mut table, containers, now) = table();
    assert!(!table.made(9, b"", now));
    assert!(!table.made(9, b"", now));
    assert_eq!(shown(&mut table, &containers, 9), "?");
    assert_eq!(table.unresolved().count(), 0);
    // Its path came after all.
    assert!(!table.made(9, b"/a.service", now));
    assert_eq!(shown(&mut table, &containers, 9), "unit:a.service");
}

#[test]
fn a_unit_that_comes_back_goes_on_counting() {
    let (mut table, containers, now) = table();
    let mut sequence = |id, at| {
        table.made(id, b"/a.service", at);
        table.publish();
        let number = containers.snapshot().get(id).unwrap().next_sequence();
        table.released(id, at);
        table.purge(at + DEAD_FOR);
        number
    };
    assert_eq!(sequence(1, now), 1);
    assert_eq!(sequence(2, now + DEAD_FOR * 2), 2);
}

#[test]
fn a_full_table_forgets_the_oldest_dead_first() {
    let (mut table, containers, now) = table();
    for id in 0..CGROUPS_MAX as u64 {
        table.made(id, format!("/{id}").as_bytes(), now);
    }
    table.released(5, now);
    table.released(3, now);
    assert_eq!(table.take_evicted(), 0);
    for (id, gone) in [(1_000_000, 5), (1_000_001, 3)] {
        table.made(id, b"/new.service", now);
        assert_eq!(shown(&mut table, &containers, gone), "-");
    }
    assert_eq!(table.cgroups.len(), CGROUPS_MAX);
    table.made(1_000_002, b"/newer.service", now);
    assert_eq!(table.cgroups.len(), CGROUPS_MAX);
    assert_eq!(shown(&mut table, &containers, 1_000_002), "unit:newer.service");
    assert_eq!(table.take_evicted(), 3);
    assert_eq!(table.take_evicted(), 0);
}

#[test]
fn streams_of_the_gone_are_bounded() {
    let (mut table, _, now) = table();
    for id in 0..2 * IDLE_MAX as u64 {
        table.made(id, format!("/run-{id}.service").as_bytes(), now);
        table.released(id, now);
    }
    table.purge(now + DEAD_FOR);
    assert!(table.cgroups.is_empty() && table.ids.is_empty() && table.dead.is_empty());
    assert_eq!(table.inhabitants.len(), IDLE_MAX);
}

/// Who `table` says has the device, by the container's name; `-`: nobody.
fn owner(table: &mut Table, containers: &Containers, device: u32) -> String {
    table.publish();
    let header = inotrail_ebpf::Header { device, inode: 7, ..zerocopy::FromZeros::new_zeroed() };
    let host = Container::new(Origin::Host);
    let snapshot = containers.snapshot();
    let owner = snapshot.file(&header, b"/x", &host).0.owner;
    match owner {
        Some(crate::container::FileOwner::Container(Container { origin: Origin::Container { name, .. }, .. })) => {
            name.clone()
        }
        _ => "-".to_owned(),
    }
}

fn mounted(id: u64, device: u32) -> MountsRead {
    let content = crate::container::mounts::Content::Image(Box::default());
    let mount = crate::container::mounts::Mount { device, point: Box::default(), root: Box::default(), content };
    let mounts = crate::container::mounts::Mounts::new([mount]);
    MountsRead { host: Arc::default(), containers: vec![(id, Some(mounts))] }
}

#[test]
fn containers_wait_for_their_mounts() {
    let containers = Containers::default();
    let (mut table, now) = (Table::new(containers.clone(), true), Instant::now());
    table.made(7, format!("/k/{A}").as_bytes(), now);
    table.assign(7, key(A), Some(named(A, "web")));
    assert_eq!(table.take_unread(), [7]);
    assert_eq!(shown(&mut table, &containers, 7), "-");
    assert_eq!(containers.snapshot().by_now(7).origin, named(A, "web").origin);
    table.mounts(mounted(7, 80));
    assert_eq!(shown(&mut table, &containers, 7), format!("{A}=web"));
    // Another name is a reason to look again, and not to wait.
    table.assign(7, key(A), Some(named(A, "other")));
    assert_eq!(table.take_unread(), [7]);
    assert_eq!(shown(&mut table, &containers, 7), format!("{A}=other"));
    table.assign(7, key(A), Some(named(A, "other")));
    assert!(table.take_unread().is_empty());
    // One whose mounts nobody knows is shown without.
    table.made(8, format!("/k/{B}").as_bytes(), now);
    table.assign(8, key(B), Some(named(B, "db")));
    table.not_mounted(8);
    assert_eq!(shown(&mut table, &containers, 8), format!("{B}=db"));
}

#[test]
fn a_device_is_the_living_ones() {
    let containers = Containers::default();
    let (mut table, now) = (Table::new(containers.clone(), true), Instant::now());
    for (id, name, container) in [(7, "old", A), (8, "new", B)] {
        table.made(id, format!("/k/{container}").as_bytes(), now);
        table.assign(id, key(container), Some(named(container, name)));
    }
    table.mounts(mounted(7, 80));
    assert_eq!(owner(&mut table, &containers, 80), "old");
    table.released(7, now);
    assert_eq!(owner(&mut table, &containers, 80), "-");
    // The number is given out again.
    table.mounts(mounted(8, 80));
    assert_eq!(owner(&mut table, &containers, 80), "new");
}

#[test]
fn a_container_waits_for_what_the_api_tells_of_its_pod() {
    let containers = Containers::default();
    let (mut table, now) = (Table::new(containers.clone(), false).expecting_pods(true), Instant::now());
    let pod =
        |uid: &str, details: bool| Pod { uid: uid.to_owned(), details: details.then(Arc::default), ..Pod::default() };
    let in_pod = |id: &str, pod| Metadata { pod: Some(pod), ..named(id, "web") };
    for (cgroup, id) in [(7, A), (8, B)] {
        assert!(table.made(cgroup, format!("/k/{id}").as_bytes(), now));
        table.assign(cgroup, key(id), Some(in_pod(id, pod(id, false))));
        assert_eq!(shown(&mut table, &containers, cgroup), "-", "{id}");
        assert!(
            matches!(&containers.snapshot().by_now(cgroup).origin, Origin::Container { name, .. } if name == "web")
        );
    }
    table.describe(A, &pod(A, true));
    assert_eq!(shown(&mut table, &containers, 7), format!("{A}=web"));
    assert!(table.end_waits(|_| false), "one still waits");
    // Its time is over. It does not wait again, whatever is told of it.
    assert!(!table.end_waits(|made| made == now));
    assert_eq!(shown(&mut table, &containers, 8), format!("{B}=web"));
    table.assign(8, key(B), Some(in_pod(B, pod(B, false))));
    assert_eq!(shown(&mut table, &containers, 8), format!("{B}=web"));
    // One that is no pod's does not wait, nor one whose pod is known.
    assert!(table.made(9, format!("/k/{A}").replace("012", "999").as_bytes(), now));
    table.assign(9, key("c"), Some(named("c", "alone")));
    assert_eq!(shown(&mut table, &containers, 9), "c=alone");
    assert!(table.made(10, format!("/k/{A}").replace("012", "998").as_bytes(), now));
    table.assign(10, key("d"), Some(in_pod("d", pod("d", true))));
    assert_eq!(shown(&mut table, &containers, 10), "d=web");
}

fn policies(text: &str) -> Arc<PolicySet> {
    let rule = "rules: [{name: r, paths: [/a]}]";
    let kind = |(name, spec): (&str, &str)| match name.split_once('/') {
        Some((namespace, name)) => {
            format!(
                "kind: FileAccessPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}{rule}}}"
            )
        }
        None => format!("kind: ClusterFileAccessPolicy\nmetadata: {{name: {name}}}\nspec: {{{spec}{rule}}}"),
    };
    let each = text.lines().map(str::trim).map(|line| line.split_once(' ').unwrap_or((line, ""))).map(kind);
    let text =
        each.fold(String::new(), |text, policy| text + "---\napiVersion: inotrail.dev/v1alpha1\n" + &policy + "\n");
    let (policies, problems) = crate::policy::document::read(&text);
    assert_eq!(problems, []);
    Arc::new(PolicySet::new(policies.into_iter().map(Arc::new)))
}

/// Names of policies with rules that are about who lives in a cgroup.
fn about(table: &mut Table, containers: &Containers, id: u64) -> String {
    table.publish();
    let snapshot = containers.snapshot();
    let Some((set, rules)) = snapshot.policies(snapshot.by_now(id)) else { return "everything".to_owned() };
    rules.indexes().filter_map(|index| Some(&*set.get(index)?.0.name)).collect::<Vec<_>>().join(" ")
}

#[test]
fn rules_are_chosen_by_what_is_known() {
    let (mut table, containers, now) = table();
    assert!(table.made(7, format!("/k/{A}").as_bytes(), now));
    table.made(8, b"/system.slice/ssh.service", now);
    assert_eq!(about(&mut table, &containers, 7), "everything");
    table.judge_by(policies(
        "all
         host hostProcesses: true,
         image images: ['*/web:1'],
         name containers: [web],
         shop/own
         shop/web podSelector: {matchLabels: {app: web}},
         team namespaceSelector: {matchLabels: {team: a}},",
    ));
    let check = |table: &mut Table, cgroup, expected| assert_eq!(about(table, &containers, cgroup), expected);
    // Of whom nothing is known.
    check(&mut table, 7, "all host");
    check(&mut table, 8, "host");
    let details =
        |app: &str| Some(Arc::new(PodDetails { labels: [("app".into(), app.into())].into(), ..PodDetails::default() }));
    let pod = |details| Pod { namespace: "shop".into(), name: "p".into(), uid: "u".into(), details };
    let image = Image { name: "docker.io/web".into(), tags: vec!["1".into()], ..Image::default() };
    table.assign(7, key(A), Some(Metadata { pod: Some(pod(None)), image: Some(image), ..named(A, "web") }));
    check(&mut table, 7, "all host image name shop/own");
    table.describe("u", &pod(details("web")));
    check(&mut table, 7, "all host image name shop/own shop/web");
    table.describe("u", &pod(details("db")));
    check(&mut table, 7, "all host image name shop/own");
    let labels = |team: &str| Some([("team".to_owned(), team.to_owned())].into());
    let news = |labels, is_answer| NamespaceNews { name: "shop".into(), labels, is_answer };
    table.namespace(news(labels("a"), true));
    check(&mut table, 7, "all host image name shop/own team");
    // An answer that comes late.
    table.namespace(news(labels("b"), true));
    check(&mut table, 7, "all host image name shop/own team");
    table.namespace(news(labels("b"), false));
    check(&mut table, 7, "all host image name shop/own");
    table.judge_by(policies("bank/other"));
    check(&mut table, 7, "");
    check(&mut table, 8, "");
}
