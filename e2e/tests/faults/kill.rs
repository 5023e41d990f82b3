//! The exporter is killed.

use std::time::Duration;

use e2e::exporter::Exporter;
use e2e::load::Opens;
use rustix::process::{Pid, Signal, kill_process};

use super::{Bench, random};

const KILLS: usize = 100;

fn kill(mut exporter: Exporter) {
    kill_process(Pid::from_raw(exporter.daemon.pid().cast_signed()).unwrap(), Signal::KILL).unwrap();
    exporter.daemon.stop();
}

#[test]
fn killed_at_random() {
    let mut bench = Bench::new("kill");
    let opens = Opens { pause_ms: 1, ..Opens::new(4, 5_000) };
    let mut exporter = bench.exporter(&[]);
    let mut load = bench.load(opens);
    let mut state = u64::from(std::process::id());
    let mut kills = 0;
    while kills < KILLS {
        std::thread::sleep(Duration::from_millis(random(&mut state, 500)));
        // The last one ended a moment ago: what it made is still on its way.
        if load.try_wait().unwrap().is_some_and(|status| status.success()) {
            load = bench.load(opens);
        }
        kill(exporter);
        kills += 1;
        exporter = bench.exporter(&[]);
    }
    assert!(load.wait().unwrap().success());
    eprintln!("killed {kills} times under load");
    // What it has in memory is to be seen, too.
    exporter.daemon.stop();
    let exporter = bench.exporter(&[]);
    // Whoever was killed could not say how much it had made.
    bench.close(exporter, "so_far");
}
