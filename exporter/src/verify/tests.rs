use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::otlp::{EVENT_NAME, LOSS_EVENT_NAME, STOPPED_EVENT_NAME};

const CONTAINERS: [&str; 3] = ["aaaaaaaaaaaaaaaa", "b", "c"];

/// Event number `sequence` of a container; what it says is its number.
fn event(run: &'static str, container: &'static str, sequence: u64) -> Record<'static> {
    Record {
        run,
        node: "node-1",
        origin: Origin::Container(container),
        names: ["shop", "web-1", "web"],
        event: EVENT_NAME,
        sequence,
        accesses: 2,
        loss: None,
        stopped: None,
        time_ns: 1000 + sequence,
        digest: sequence << 32,
    }
}

fn loss(run: &'static str, sequence: u64, accesses: Option<u64>, events: u64) -> Record<'static> {
    let loss = Some(Loss { reason: "queue_full", accesses, events, run: None });
    let record = event(run, "", sequence);
    Record { origin: Origin::Exporter, names: [""; 3], event: LOSS_EVENT_NAME, accesses: 0, loss, ..record }
}

fn stopped(run: &'static str, events: u64, losses: u64) -> Record<'static> {
    let stopped = Some(Stopped { events, losses });
    let record = event(run, "", 1);
    Record { origin: Origin::Exporter, names: [""; 3], event: STOPPED_EVENT_NAME, accesses: 0, stopped, ..record }
}

fn books<'a>(start: Start, records: impl IntoIterator<Item = &'a Record<'a>>) -> Books {
    let mut books = Books::new(start);
    for record in records {
        books.take(record).expect("room");
    }
    books
}

/// Verdict, gaps as `container from-to`, and the beginnings of problems.
#[track_caller]
fn check(start: Start, records: &[Record<'_>], verdict: Verdict, gaps: &[&str], problems: &[&str]) {
    let report = books(start, records).report();
    let text = |gap: &Gap| format!("{} {} {}-{}", gap.who, gap.event, gap.first, gap.last);
    let found: Vec<String> = report.gaps.iter().map(text).collect();
    assert_eq!((report.verdict, found), (verdict, gaps.iter().map(|gap| (*gap).to_owned()).collect()), "{report:#?}");
    let found: Vec<&String> = report.runs.iter().flat_map(|run| &run.problems).collect();
    assert_eq!(found.len(), problems.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(problems) {
        assert!(found.starts_with(expected), "{found}, not {expected}");
    }
}

#[test]
fn verdicts() {
    use Start::{Cut, Whole};
    use Verdict::{Complete, Incomplete, SoFar};
    let [one, two, three, four] = [1, 2, 3, 4].map(|number| event("r", "b", number));
    let gap = |from, to| format!("shop/web-1/web (container b) inotrail.file.access {from}-{to}");
    let losing = |sequence, events| loss("r", sequence, Some(5), events);
    check(Whole, &[], Incomplete, &[], &[]);
    // Without the last record the end is open.
    check(Whole, &[one, two], SoFar, &[], &[]);
    check(Whole, &[two, one, stopped("r", 2, 0)], Complete, &[], &[]);
    check(Whole, &[one, two, losing(1, 0), stopped("r", 2, 1)], Complete, &[], &[]);
    // In the middle, at the beginning, at the end, and a whole series.
    check(Whole, &[one, three], Incomplete, &[&gap(2, 2)], &["1 record is missing, and losses tell of 0"]);
    check(Whole, &[three, four], Incomplete, &[&gap(1, 2)], &["2 records are missing"]);
    let at_the_end = "up to 1 of the missing records are after";
    check(Whole, &[one, two, stopped("r", 3, 0)], Incomplete, &[], &["1 record is missing", at_the_end]);
    check(Whole, &[stopped("r", 1, 0)], Incomplete, &[], &["1 record is missing", at_the_end]);
    // What was told to be lost is to be missing, and all that is missing is to be told.
    check(Whole, &[one, three, losing(1, 1)], SoFar, &[], &[]);
    check(Whole, &[one, three, losing(1, 1), stopped("r", 3, 1)], Complete, &[], &[]);
    check(Whole, &[one, two, losing(1, 1), stopped("r", 3, 1)], Complete, &[], &[]);
    check(
        Whole,
        &[one, four, losing(1, 1)],
        Incomplete,
        &[&gap(2, 3)],
        &["2 records are missing, and losses tell of 1"],
    );
    check(Whole, &[one, two, losing(1, 1)], SoFar, &[], &[]);
    check(
        Whole,
        &[one, two, losing(1, 1), stopped("r", 2, 1)],
        Incomplete,
        &[],
        &["losses tell of 1 missing records, and 0"],
    );
    // A missing loss is explained by nothing.
    let gap_of_loss = "exporter inotrail.exporter.loss 1-1";
    let unknown = "1 record of a loss is missing";
    check(Whole, &[one, losing(2, 0)], Incomplete, &[gap_of_loss], &[unknown]);
    check(Whole, &[one, losing(2, 3)], Incomplete, &[gap_of_loss], &[unknown]);
    let end = "up to 1 of the missing records of losses are after";
    check(Whole, &[one, stopped("r", 1, 1)], Incomplete, &[], &[unknown, end]);
    // More than there can be.
    check(Whole, &[one, two, stopped("r", 1, 0)], Incomplete, &[], &["1 records more than the exporter says"]);
    check(Whole, &[one, losing(1, 0), stopped("r", 1, 0)], Incomplete, &[], &["1 records of losses more"]);
    // A part of a run.
    check(Cut, &[three, four], SoFar, &[], &[]);
    check(Cut, &[two, four], Incomplete, &[&gap(3, 3)], &["1 record is missing"]);
    check(Cut, &[three, four, stopped("r", 4, 0)], SoFar, &[], &[]);
    check(Cut, &[one, two, stopped("r", 2, 0)], Complete, &[], &[]);
    check(Cut, &[three, losing(4, 9)], SoFar, &[], &[]);
    check(
        Cut,
        &[one, four, stopped("r", 3, 0)],
        Incomplete,
        &[&gap(2, 3)],
        &["2 records are missing", "1 records more"],
    );
    // Runs do not make up for each other.
    let other = event("s", "b", 2);
    check(Whole, &[one, losing(1, 1), other], Incomplete, &[&gap(1, 1)], &["1 record is missing"]);
}

#[test]
fn a_later_run_tells_what_an_earlier_one_had_not_kept() {
    use Start::Whole;
    use Verdict::{Complete, Incomplete, SoFar};
    let [one, two, three] = [1, 2, 3].map(|number| event("r", "b", number));
    let of = |run, events| {
        let loss = Some(Loss { reason: "shutdown", accesses: Some(2), events, run: Some(run) });
        Record { loss, ..self::loss("s", 1, None, 0) }
    };
    let next = [event("s", "b", 1), stopped("s", 1, 1)];
    let check = |records: &[Record<'_>], told, verdict, problems: &[&str]| {
        let all = [records, &next, &[of("r", told)]].concat();
        check(Whole, &all, verdict, &[], problems);
    };
    // It was killed: its end is open.
    check(&[one, two], 1, SoFar, &[]);
    // It had ended, and the rest was given up where it waited.
    check(&[one, two, stopped("r", 3, 0)], 1, Complete, &[]);
    check(&[one, two, three, stopped("r", 3, 0)], 1, Incomplete, &["losses tell of 1 missing records, and 0 are"]);
    let report = books(Whole, &[one, three, of("r", 1), next[0], next[1]]).report();
    let told: Vec<_> = report.runs.iter().map(|run| (&*run.run, run.missing, run.told_lost)).collect();
    assert_eq!((report.verdict, told), (SoFar, vec![("s", 0, 0), ("r", 1, 1)]));
    assert_eq!((report.totals.received, report.totals.made), (6, 8));
    // Nothing of it is left.
    let report = books(Whole, &[of("r", 1), next[0], next[1]]).report();
    assert_eq!((report.verdict, report.runs.len(), &*report.runs[0].node), (SoFar, 2, "node-1"), "{report:#?}");
    // What the next run tells is of the one that it names.
    let report = books(Whole, &[one, three, of("q", 1), next[0], next[1]]).report();
    assert_eq!((report.verdict, report.gaps.len()), (Incomplete, 1), "{report:#?}");
}

#[test]
fn records_that_come_again() {
    let [one, two] = [1, 2].map(|number| event("r", "b", number));
    let report = books(Start::Whole, &[one, two, one, stopped("r", 2, 0), stopped("r", 2, 0)]).report();
    assert_eq!((report.verdict, report.runs[0].records, report.runs[0].resent), (Verdict::Complete, 3, 2));
    assert_eq!(report.runs[0].accesses, 4);
    let other = Record { digest: 7 << 32, ..one };
    let problems = ["1 record came under a number that another one has", "two records: shop/web-1/web (container b), "];
    check(Start::Whole, &[one, other, two, stopped("r", 2, 0)], Verdict::Incomplete, &[], &problems);
    // The same number of another container, event, or run is another record.
    let others = [event("r", "c", 1), Record { event: "inotrail.file.other", ..other }, event("s", "b", 1)];
    let all = [&[one, stopped("r", 3, 0), stopped("s", 1, 0)][..], &others].concat();
    check(Start::Whole, &all, Verdict::Complete, &[], &[]);
}

#[test]
fn a_run_seen_before_the_window_is_not_missing_its_start() {
    let mut books = books(Start::Whole, &[event("r", "b", 7), event("s", "b", 1)]);
    assert_eq!(books.doubtful(), ["r"]);
    assert_eq!(books.report().verdict, Verdict::Incomplete);
    books.seen_before("r", 1);
    let report = books.report();
    assert_eq!((report.verdict, report.runs[0].from_its_start), (Verdict::SoFar, true));
    assert_eq!((report.runs[1].from_its_start, report.runs[1].missing), (false, 0));
    assert!(report.runs[1].unproven[0].contains("of 1 series the first numbers"), "{report:#?}");
}

#[test]
fn accesses_made_are_received_and_lost() {
    let records = [event("r", "b", 1), loss("r", 1, Some(5), 0), loss("r", 2, None, 0), loss("r", 3, Some(1), 0)];
    let totals = books(Start::Whole, &records).report().totals;
    assert_eq!((totals.received, totals.made), (2, 8));
    assert_eq!(totals.lost["queue_full"], super::report::LostAccesses { accesses: 6, records: 0, uncounted: 1 });
}

#[test]
fn too_many_holes_are_an_error() {
    let mut books = Books::of_at_most(2);
    for number in [1, 5, 2] {
        assert_eq!(books.take(&event("r", "b", number)), Ok(()));
    }
    assert_eq!(books.take(&event("r", "b", 9)), Err(Full));
}

/// Records of several runs, each with series of several containers, losses that explain their holes, and its end.
fn trail() -> impl Strategy<Value = Vec<Record<'static>>> {
    let lengths = prop::collection::vec((1_u64..40, prop::collection::vec(any::<Index>(), 0..3)), 1..=3);
    let run = (lengths, 0_u64..4);
    prop::collection::vec(run, 1..=2).prop_map(|runs| {
        let mut records = Vec::new();
        for (run, (lengths, losses)) in ["r", "s"].into_iter().zip(runs) {
            let (mut numbered, mut gone) = (0, 0);
            for (container, (length, lost)) in CONTAINERS.into_iter().zip(lengths) {
                let lost: Vec<u64> = lost.iter().map(|index| 1 + index.index(length as usize) as u64).collect();
                let there = (1..=length).filter(|number| !lost.contains(number));
                records.extend(there.clone().map(|number| event(run, container, number)));
                numbered += length;
                gone += length - there.count() as u64;
            }
            records.extend((1..=losses).map(|number| loss(run, number, Some(1), 0)));
            records.push(loss(run, losses + 1, Some(gone), gone));
            records.push(stopped(run, numbered, losses + 1));
        }
        records
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// In any order, with records that come again; and without any single one of them it is not complete.
    #[test]
    fn removing_any_record_is_found(
        trail in trail(),
        order in prop::collection::vec(any::<Index>(), 200),
        resent in prop::collection::vec(any::<Index>(), 0..10),
    ) {
        let mut shuffled = trail.clone();
        for (at, index) in order.iter().enumerate().take(trail.len()) {
            shuffled.swap(at, index.index(trail.len()));
        }
        shuffled.extend(resent.iter().map(|index| trail[index.index(trail.len())]));
        let report = books(Start::Whole, &shuffled).report();
        prop_assert_eq!(report.verdict, Verdict::Complete, "{:#?}", report);
        for gone in &trail {
            let rest = shuffled.iter().filter(|record| *record != gone);
            let report = books(Start::Whole, rest).report();
            // Without its last record, a run's end is open: that is said, and the rest is complete so far.
            let expected = if gone.stopped.is_some() { Verdict::SoFar } else { Verdict::Incomplete };
            prop_assert_eq!(report.verdict, expected, "without {:?}: {:#?}", gone, report);
        }
    }
}
