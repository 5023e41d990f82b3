//! What is between the exporter and the receiver breaks.

use std::fs;
use std::time::Duration;

use e2e::exporter::Exporter;
use e2e::interrupt;
use e2e::load::Opens;
use e2e::proxy::{Proxy, Wire};
use tonic::transport::Identity;

use super::{Bench, LIMIT, after};

const SOME: Opens = Opens { pause_ms: 1, ..Opens::new(4, 500) };

/// Waits until its destination is not well any more, and says why.
fn degraded(exporter: &Exporter) -> String {
    let mut why = String::new();
    interrupt::wait_for("a reason", LIMIT, || {
        why = exporter.ask("/readyz")?;
        Ok(why.contains("degraded").then_some(()))
    })
    .unwrap();
    why
}

#[test]
fn answers_do_not_come() {
    let mut bench = Bench::new("silent");
    let proxy = Proxy::start(bench.receiver.address).unwrap();
    let exporter = bench.exporter_to(&proxy.endpoint(), &["--timeout", "1s"]);
    bench.make(SOME);
    proxy.set(Wire::Silent);
    bench.make(SOME);
    let why = degraded(&exporter);
    proxy.set(Wire::Whole);
    bench.make(SOME);
    let received = bench.close(exporter, "complete");
    // Whose clock is first: ours, or the library's.
    assert!(why.contains("no answer in time") || why.contains("Timeout expired"), "{why}");
    assert!(received.again > 0 && received.lost() == 0, "{received:?}");
}

#[test]
fn connections_break_in_the_middle() {
    let mut bench = Bench::new("reset");
    let proxy = Proxy::start(bench.receiver.address).unwrap();
    let exporter = bench.exporter_to(&proxy.endpoint(), &[]);
    let mut load = bench.load(Opens { pause_ms: 1, ..Opens::new(4, 4_000) });
    for bytes in [0, 9, 100, 1_000, 5_000, 10_000, 20_000, 40_000].into_iter().cycle() {
        proxy.set(Wire::Breaks(bytes));
        std::thread::sleep(Duration::from_millis(300));
        proxy.set(Wire::Whole);
        if load.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let received = bench.close(exporter, "complete");
    assert_eq!(received.lost(), 0, "{received:?}");
}

#[test]
fn the_other_host_is_off() {
    let mut bench = Bench::new("dead");
    let proxy = Proxy::start(bench.receiver.address).unwrap();
    let exporter = bench.exporter_to(&proxy.endpoint(), &["--timeout", "2s"]);
    bench.make(SOME);
    bench.acknowledged(&exporter);
    proxy.set(Wire::Dead);
    bench.make(SOME);
    degraded(&exporter);
    proxy.set(Wire::Whole);
    // The connection says nothing, and never will: it is to be given up for another one.
    let received = bench.close(exporter, "complete");
    assert_eq!((received.lost(), received.again), (0, 0), "{received:?}");
}

#[test]
fn nobody_trusts_the_receiver() {
    let mut bench = Bench::new("certificate");
    let of = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let identity =
        |of: &rcgen::CertifiedKey<rcgen::KeyPair>| Identity::from_pem(of.cert.pem(), of.signing_key.serialize_pem());
    let (right, wrong) = (of("localhost"), of("localhost"));
    let ca = bench.folder.path().join("ca.pem");
    fs::write(&ca, right.cert.pem()).unwrap();
    bench.receiver.down();
    bench.receiver.identity = Some(identity(&wrong));
    bench.receiver.up().unwrap();
    let endpoint = format!("https://localhost:{}", bench.receiver.address.port());
    let exporter = bench.exporter_to(&endpoint, &["--ca-file", ca.to_str().unwrap()]);
    bench.make(SOME);
    let why = degraded(&exporter);
    assert_eq!(bench.receiver.received().accesses, 0);
    bench.receiver.down();
    bench.receiver.identity = Some(identity(&right));
    bench.receiver.up().unwrap();
    let received = bench.close(exporter, "complete");
    assert!(why.to_lowercase().contains("certificate"), "{why}");
    assert_eq!((received.lost(), received.again), (0, 0), "{received:?}");
}

/// The exporter in a mount namespace with a file of hosts of its own.
#[test]
fn its_name_is_gone() {
    let mut bench = Bench::new("dns");
    let hosts = bench.folder.path().join("hosts");
    let name = "receiver.invalid";
    let known = format!("127.0.0.1 {name}\n");
    fs::write(&hosts, &known).unwrap();
    let endpoint = format!("http://{name}:{}", bench.receiver.address.port());
    // Nobody outside is asked.
    fs::write(bench.folder.path().join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    let run = bench.command(&endpoint, &["--timeout", "2s"]);
    let inside = r#"mount --bind "$0/hosts" /etc/hosts && mount --bind "$0/resolv.conf" /etc/resolv.conf && exec "$@""#;
    let line = format!(r#"exec unshare --mount sh -c '{inside}' "$0" "$@""#);
    let command = after(&line, bench.folder.path(), &run);
    let exporter = Exporter::start(command, bench.folder.path(), "/livez").unwrap();
    bench.make(SOME);
    bench.acknowledged(&exporter);
    fs::write(&hosts, "").unwrap();
    bench.receiver.down();
    bench.make(SOME);
    let why = degraded(&exporter);
    bench.receiver.up().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    assert!(bench.receiver.received().accesses < bench.made, "nobody knows where it is");
    fs::write(&hosts, &known).unwrap();
    let received = bench.close(exporter, "complete");
    assert_eq!((received.lost(), received.again), (0, 0), "{received:?} {why}");
}
