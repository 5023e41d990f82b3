use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::container::{Origin, Pod, PodDetails};
use crate::policy::globs::Star;
use crate::sink::sample::{Judged, Sample};

fn of_namespaces(globs: &[&str]) -> Route {
    Route { namespaces: Globs::parse(globs.iter().copied(), Star::Text).expect("globs"), ..Route::default() }
}

#[test]
fn kinds_and_lanes() {
    let check = |kinds: [bool; 3], expected: [bool; 4]| {
        let [accesses, violations, losses] = kinds;
        let route = Route { kinds: Kinds { accesses, violations, losses }, ..Route::default() };
        Sample::default().with(|event| {
            let wanted = Lane::ALL.map(|lane| route.wants(event, lane));
            assert_eq!([wanted[0], wanted[1], wanted[2], route.wants_loss(event.container)], expected, "{kinds:?}");
        });
    };
    check([true, true, true], [true; 4]);
    check([true, false, false], [true, true, false, false]);
    check([false, true, false], [false, false, true, false]);
    check([false, false, true], [false, false, false, true]);
}

#[test]
fn namespaces() {
    let check = |globs: &[&str], sample: &Sample, access, loss| {
        let route = of_namespaces(globs);
        sample.with(|event| {
            let found = (route.wants(event, Lane::Access), route.wants_loss(event.container));
            assert_eq!(found, (access, loss), "{globs:?} {:?}", event.container.pod);
        });
    };
    check(&[], &Sample::host(), true, true);
    check(&["shop"], &Sample::default(), true, true);
    check(&["ba*"], &Sample::default(), false, false);
    check(&["!shop"], &Sample::default(), false, false);
    // Whoever is told nothing of the host is told what is missing of nobody knows whose.
    check(&["shop"], &Sample::host(), false, true);
}

#[test]
fn severity() {
    let judged = Judged::new();
    let check = |severity, expected: [bool; 2]| {
        let route = Route { severity, ..Route::default() };
        Sample::default().with(|event| {
            let by_rule = Event { judgement: Some(judged.judgement()), ..*event };
            assert_eq!([route.wants(event, Lane::Access), route.wants(&by_rule, Lane::Access)], expected);
        });
    };
    check(Severity::Low, [true, true]);
    check(Severity::High, [false, false]);
}

#[test]
fn tenants() {
    let pod = |labels: &[(&str, &str)]| {
        let labels: BTreeMap<_, _> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let details = Some(Arc::new(PodDetails { labels, ..PodDetails::default() }));
        Container::default().update(
            Origin::Host,
            Some(Pod { namespace: "shop".into(), details, ..Pod::default() }),
            None,
        )
    };
    let check = |tenant: Option<Tenant>, container: &Container, expected: &str| {
        let route = Route { tenant, ..Route::default() };
        assert_eq!(route.tenant(container), expected, "{:?}", route.tenant);
    };
    let others = || "others".to_owned();
    let label = || Some(Tenant::Label("team".into(), others()));
    check(None, &pod(&[]), "");
    check(Some(Tenant::Constant("audit".into())), &pod(&[]), "audit");
    check(Some(Tenant::Namespace(others())), &pod(&[]), "shop");
    check(Some(Tenant::Namespace(others())), &Container::default(), "others");
    check(label(), &pod(&[("team", "web")]), "web");
    check(label(), &pod(&[]), "others");
    check(label(), &Container::default(), "others");
}

#[test]
fn streams_are_the_same_in_each_run() {
    let stream = |words: &str| Route { words: words.into(), ..Route::default() }.stream();
    assert_eq!(stream(""), 0xcbf2_9ce4_8422_2325);
    // The published value of FNV-1a.
    assert_eq!(stream("foobar"), 0x8594_4171_f739_67e8);
}
