use super::*;
use crate::container::Containers;

const TEN_S: u64 = 10_000_000_000;

fn container(id: &str) -> Arc<Container> {
    let origin = Origin::Container { id: id.to_owned(), name: id.to_owned(), runtime: "containerd", resolved: true };
    Arc::new(Container::new(origin))
}

fn told(
    book: &mut LossBook,
    now_ns: u64,
    metrics: &Metrics,
    snapshot: &Snapshot,
) -> Vec<(Dropped, String, u64, u64, u64)> {
    let mut told = Vec::new();
    book.tell(now_ns, metrics, snapshot, |loss| {
        let name = match &loss.container.origin {
            Origin::Container { name, .. } => name.clone(),
            other => format!("{other:?}"),
        };
        let counts = loss.counts.expect("countable");
        assert_eq!(loss.end_ns, now_ns);
        told.push((loss.reason, name, counts.count, counts.total, loss.sequence));
    });
    told.sort();
    told
}

#[test]
fn one_event_per_reason_and_container() {
    let metrics = Metrics::default();
    let (a, b) = (container("a"), container("b"));
    // Two cgroups of one container.
    let snapshot = Containers::fixed([(1, Arc::clone(&a)), (2, a), (3, b)].into()).snapshot();
    let mut book = LossBook::new(0);
    for (cgroup, count) in [(Some(1), 3), (Some(2), 4), (Some(3), 1), (None, 5), (Some(99), 6)] {
        book.add(Dropped::RingFull, cgroup, count);
    }
    metrics.dropped(Dropped::HookMissed).inc_by(7);
    assert!(!book.is_due(TEN_S - 1) && book.is_due(TEN_S));
    let own = || "Exporter".to_owned();
    let expected = [
        (Dropped::RingFull, own(), 11, 11, 1),
        (Dropped::RingFull, "a".into(), 7, 7, 1),
        (Dropped::RingFull, "b".into(), 1, 1, 1),
        (Dropped::HookMissed, own(), 7, 7, 2),
    ];
    let mut found = told(&mut book, TEN_S, &metrics, &snapshot);
    // The two of the exporter are numbered in any order.
    found
        .iter_mut()
        .filter(|loss| loss.1 == "Exporter")
        .for_each(|loss| loss.4 = 1 + u64::from(loss.0 == Dropped::HookMissed));
    assert_eq!(found, expected);
    assert_eq!(told(&mut book, 2 * TEN_S, &metrics, &snapshot), []);
    book.add(Dropped::RingFull, Some(2), 2);
    assert_eq!(told(&mut book, 3 * TEN_S, &metrics, &snapshot), [(Dropped::RingFull, "a".into(), 2, 9, 2)]);
}

/// What earlier runs had recorded is theirs, also where both lose for the same reason.
#[test]
fn each_run_is_told_its_own_losses() {
    let metrics = Metrics::default();
    let books = metrics.open_books("default");
    let snapshot = Containers::fixed(HashMap::new()).snapshot();
    let mut book = LossBook::new(0);
    let mut tell = |now_ns| {
        let mut told = Vec::new();
        book.tell(now_ns, &metrics, &snapshot, |loss| {
            let counts = loss.counts.expect("countable");
            told.push((loss.reason, loss.run.map(|run| run.0), counts.count, counts.records, loss.owed));
        });
        told.sort();
        told
    };
    books.lose(Dropped::Expired, 3, 2);
    books.lose_of(None, Dropped::QueueFull, 5, 5);
    books.lose_of(Some(Uuid(7)), Dropped::Expired, 20, 10);
    books.lose_of(Some(Uuid(8)), Dropped::QueueFull, 1, 1);
    let expected = [
        (Dropped::QueueFull, None, 5, 5, 5),
        (Dropped::QueueFull, Some(8), 1, 1, 0),
        (Dropped::Expired, None, 3, 2, 0),
        (Dropped::Expired, Some(7), 20, 10, 0),
    ];
    let sorted = |mut losses: Vec<_>| {
        losses.sort();
        losses
    };
    assert_eq!(tell(TEN_S), sorted(expected.to_vec()));
    books.lose_of(Some(Uuid(7)), Dropped::Expired, 2, 1);
    assert_eq!(tell(2 * TEN_S), [(Dropped::Expired, Some(7), 2, 1, 0)]);
    assert_eq!(metrics.dropped(Dropped::Expired).get(), 25);
}

#[test]
fn an_outage_is_told_without_a_count() {
    let book = LossBook::new(0);
    let mut seen = 0;
    book.outage(Outage { start_ns: 5, end_ns: None }, 9, |loss| {
        assert_eq!(
            (loss.reason, loss.counts, loss.start_ns, loss.end_ns, loss.sequence),
            (Dropped::Detached, None, 5, 0, 1)
        );
        seen += 1;
    });
    assert_eq!(seen, 1);
}

#[test]
fn no_loss_ends_before_it_starts() {
    let mut book = LossBook::new(9 * TEN_S);
    let snapshot = Containers::fixed(HashMap::new()).snapshot();
    book.add(Dropped::RingFull, None, 1);
    assert!(book.is_due(5), "the calendar went back");
    let mut times = Vec::new();
    let mut note = |loss: &Loss<'_>| times.push((loss.start_ns, loss.end_ns));
    book.tell(5, &Metrics::default(), &snapshot, &mut note);
    book.outage(Outage { start_ns: 8, end_ns: Some(6) }, 6, &mut note);
    let unkept = Unkept { stream: 1, count: 1, since_ns: 0 };
    book.unkept(&unkept, 8, 7, &mut note);
    assert_eq!(times, [(5, 5), (6, 6), (7, 7)]);
}

#[test]
fn cgroups_without_end_are_not_told_apart_for_ever() {
    let mut book = LossBook::new(0);
    let snapshot = Containers::fixed(HashMap::new()).snapshot();
    (0..100_000).for_each(|cgroup| book.add(Dropped::RingFull, Some(cgroup), 1));
    assert!(book.accounts.len() <= CGROUPS_MAX + 1);
    let told = told(&mut book, TEN_S, &Metrics::default(), &snapshot);
    assert_eq!(told, [(Dropped::RingFull, "Exporter".into(), 100_000, 100_000, 1)]);
}
