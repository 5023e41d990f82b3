//! The power is cut, or the disk goes away for good: what is not on the disk is gone, or nothing gets there any more.

use std::time::{Duration, Instant};

use e2e::exporter::Exporter;
use e2e::interrupt;
use e2e::load::Opens;

use super::{Bench, LIMIT, ROOM, random};

const CUTS: usize = 20;

/// The machine stays up, and with it what is pinned: the next start knows what had been taken, and looks what of it is
/// there.
#[test]
fn cut_at_random() {
    let mut bench = Bench::on_disk("power");
    let opens = Opens { pause_ms: 2, ..Opens::new(4, 2_500) };
    let mut exporter = bench.exporter(&[]);
    let mut load = bench.load(opens);
    let mut state = u64::from(std::process::id());
    let (start, mut taken) = (Instant::now(), 0);
    for cut in 0..CUTS {
        // Every other time with a backlog, which has to be read from the disk again.
        quiet(&bench, &exporter, taken);
        if cut % 4 == 0 {
            bench.receiver.down();
        } else if cut % 4 == 2 {
            bench.receiver.up().unwrap();
        }
        bench.receiver.refuse(None);
        std::thread::sleep(Duration::from_millis(random(&mut state, 1_500)));
        if load.try_wait().unwrap().is_some_and(|status| status.success()) {
            load = bench.load(opens);
        }
        quiet(&bench, &exporter, taken);
        bench.disk().shut_down();
        exporter.daemon.kill().unwrap();
        bench.disk().mount_again();
        taken = bench.receiver.received().taken;
        exporter = bench.exporter(&[]);
    }
    bench.receiver.refuse(None);
    eprintln!("power: {CUTS} cuts in {:.1?}", start.elapsed());
    assert!(load.wait().unwrap().success());
    exporter.daemon.stop();
    let exporter = bench.exporter(&[]);
    // Whoever was cut off could not say how much it had made.
    let received = bench.close(exporter, "so_far");
    assert!(received.lost() > 0 && received.lost.len() == 1, "{received:?}");
}

/// From here on the receiver refuses, and whatever it took of this exporter, before whose start it had `taken` so many
/// records, is acknowledged there: a request that has arrived without anybody knowing, and was not durable, counts as lost.
fn quiet(bench: &Bench, exporter: &Exporter, taken: u64) {
    bench.receiver.refuse(Some(tonic::Code::Unavailable));
    interrupt::wait_for("acknowledgements", LIMIT, || {
        let acknowledged = exporter.metric("inotrail_destination_records_total")?;
        Ok((acknowledged == bench.receiver.received().taken - taken).then_some(()))
    })
    .unwrap();
}

/// Waits until `/readyz` says this of the spool.
pub(super) fn wait_for_spool(exporter: &Exporter, says: &str) {
    let line = format!("spool {says}");
    interrupt::wait_for(&line, LIMIT, || Ok(exporter.ask("/readyz")?.lines().any(|said| said == line).then_some(())))
        .unwrap();
}

/// Waits until the exporter has seen so many accesses, and each waits for the receiver, is delivered or is dropped; and as many
/// wait as are wanted. Returns how many do.
pub(super) fn wait_for_all(exporter: &Exporter, made: u64, is_wanted: impl Fn(u64) -> bool) -> u64 {
    let (mut last, mut counts) = (0, (0, 0, 0));
    let all = interrupt::wait_for("all that was made", LIMIT, || {
        let metric = |name| exporter.metric(name);
        let seen = metric("inotrail_events_total")?;
        // There are a few of others: those of the load are all seen when no more come.
        let is_over = std::mem::replace(&mut last, seen) == seen && seen >= made;
        let waiting = metric("inotrail_waiting_accesses")?;
        counts = (waiting, metric("inotrail_events_delivered_total")?, metric("inotrail_dropped_total")?);
        Ok((is_over && waiting + counts.1 + counts.2 >= seen && is_wanted(waiting)).then_some(()))
    });
    eprintln!("{made} made so far, {last} seen: {counts:?} waiting, delivered, dropped");
    all.unwrap();
    counts.0
}

/// Each write, sync and read fails from one moment on. What only the disk has waits for the next start, on a disk that works;
/// all else goes its way from memory, as far as that goes.
#[test]
fn the_disk_fails_for_good() {
    let mut bench = Bench::on_disk("eio");
    let much = Opens { pause_ms: 1, ..Opens::new(8, 3_000) };
    bench.receiver.down();
    // More than memory has room for.
    let mut exporter = bench.exporter(&["--queue-size", "4MiB", "--batch-records", "20"]);
    bench.make(much);
    wait_for_all(&exporter, bench.made, |waiting| waiting > 0);
    bench.disk().shut_down();
    bench.make(Opens::new(4, 1_000));
    wait_for_spool(&exporter, "degraded: \"Input/output error (os error 5)\"");
    bench.receiver.up().unwrap();
    bench.make(Opens::new(4, 1_000));
    let on_disk = bench.made - 8_000;
    let left = wait_for_all(&exporter, bench.made, |waiting| waiting <= on_disk);
    assert!(left > 0, "the disk has nothing alone");
    bench.receiver.down();
    bench.make(much);
    bench.receiver.up().unwrap();
    assert!(wait_for_all(&exporter, bench.made, |waiting| waiting <= left) > 0);
    wait_for_spool(&exporter, "degraded: \"Input/output error (os error 5)\"");
    exporter.daemon.stop();
    bench.disk().mount_again();
    let exporter = bench.exporter(&[]);
    wait_for_spool(&exporter, "ok");
    let received = bench.close(exporter, "complete");
    let is_room = |reason: &String| ROOM.contains(&&**reason);
    assert!(received.lost["spool_full"] > 0 && received.lost.keys().all(is_room), "{received:?}");
}

/// As ext4 becomes after an error.
#[test]
fn the_disk_becomes_read_only() {
    let mut bench = Bench::on_disk("read-only");
    bench.receiver.down();
    let mut exporter = bench.exporter(&[]);
    let mut load = bench.load(Opens { pause_ms: 1, ..Opens::new(4, 3_000) });
    interrupt::wait_for("something on the disk", LIMIT, || {
        Ok((exporter.metric("inotrail_waiting_accesses")? > 0).then_some(()))
    })
    .unwrap();
    bench.disk().make_read_only();
    wait_for_spool(&exporter, "degraded: \"Read-only file system (os error 30)\"");
    assert!(load.wait().unwrap().success());
    bench.receiver.up().unwrap();
    wait_for_all(&exporter, bench.made, |waiting| waiting == 0);
    exporter.daemon.stop();
    bench.disk().mount_again();
    let exporter = bench.exporter(&[]);
    bench.make(Opens::new(4, 1_000));
    wait_for_spool(&exporter, "ok");
    let received = bench.close(exporter, "complete");
    assert_eq!(received.lost(), 0, "{received:?}");
}
