//! The configuration changes while records are on their way: files, links, certificates, SIGHUP; real servers on loopback.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use inotrail::app::reload::{Reloading, ignore_hangups};
use inotrail::app::shipping::Shipping;
use inotrail::config::given::Given;
use inotrail::journal::Journal;
use inotrail::lane::Lane;
use inotrail::loss::Uuid;
use inotrail::metrics::Metrics;
use rustix::process::{Signal, getpid, kill_process};
use tokio::runtime::Runtime;
use tonic::Status;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use super::export_tcp::{certificates, free, serve, wait};
use super::fakes::collector::{Answer, Collector};
use super::requests::{request, settled};

/// What runs by a file that changes as a mounted `ConfigMap` does.
struct Bench {
    folder: tempfile::TempDir,
    journal: Journal,
    reloading: Reloading,
    metrics: Arc<Metrics>,
    offered: u64,
}

impl Bench {
    fn new(text: &str) -> Self {
        Self::within(tempfile::tempdir().unwrap(), text)
    }

    fn within(folder: tempfile::TempDir, text: &str) -> Self {
        let mount = folder.path().join("mount");
        fs::create_dir_all(&mount).unwrap();
        swap(&mount, &[("config.yaml", text)]);
        let state = folder.path().join("state");
        let words = ["inotrail", "run", "--config"].map(OsString::from);
        let paths = [mount.join("config.yaml").into(), "--state".into(), OsString::from(state)];
        let arguments: Vec<OsString> = words.into_iter().chain(paths).collect();
        let (given, config) = Given::read(&arguments).outcome.unwrap();
        let metrics = Arc::new(Metrics::default());
        let (shipping, _) = Shipping::start(&config, Uuid(1), &metrics, None).unwrap();
        let journal = shipping.journal.clone();
        let reloading = Reloading::spawn(shipping, arguments, given, Arc::clone(&metrics)).unwrap();
        Self { folder, journal, reloading, metrics, offered: 0 }
    }

    fn configure(&self, text: &str) {
        swap(&self.folder.path().join("mount"), &[("config.yaml", text)]);
    }

    /// Offers ten records in a request of their own.
    fn offer(&mut self) {
        self.journal.offer(Lane::Access, 0, "", request(self.offered + 1, 10, 20));
        self.offered += 10;
    }

    async fn delivered(&self) {
        wait("all are delivered", || self.metrics.delivered.get() == self.offered).await;
    }

    async fn reloaded(&self, taken_up: bool, times: u64) {
        let is_so = || self.metrics.reloads(taken_up).get() >= times;
        wait(if taken_up { "taken up" } else { "refused" }, is_so).await;
    }

    async fn problem(&self, expected: &str) {
        let said = || self.metrics.health.config.get().unwrap_or_default();
        wait(expected, || said().contains(expected)).await;
    }

    /// Everything offered was delivered once, to one of these receivers, and the books close.
    async fn end(self, collectors: &[&Collector]) {
        self.reloading.stop().await.unwrap().drain().await.unwrap();
        assert_eq!((self.metrics.delivered.get(), settled(&self.metrics)), (self.offered, self.offered));
        let taken: Vec<_> = collectors.iter().flat_map(|collector| collector.taken()).collect();
        let mut sequences: Vec<_> = taken.iter().map(|(sequence, _)| *sequence).collect();
        sequences.sort_unstable();
        assert!((1..=self.offered as i64).eq(sequences), "each, and none at two receivers");
        assert!(taken.iter().all(|(_, times)| *times == 1), "none twice");
    }
}

/// Puts a new version of a folder in the old one's place, as the kubelet does.
fn swap(mount: &Path, files: &[(&str, &str)]) {
    let version = (0..1000).map(|number| mount.join(format!("..{number}"))).find(|path| !path.exists()).unwrap();
    fs::create_dir(&version).unwrap();
    let old = fs::read_link(mount.join("..data")).ok();
    for (name, text) in files {
        fs::write(version.join(name), text).unwrap();
        if old.is_none() {
            symlink(Path::new("..data").join(name), mount.join(name)).unwrap();
        }
    }
    symlink(version.file_name().unwrap(), mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    if let Some(old) = old.filter(|old| Some(old.as_os_str()) != version.file_name()) {
        // Its name is not used again: two versions are always there.
        for entry in fs::read_dir(mount.join(old)).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn to(at: SocketAddr) -> String {
    format!("endpoint: http://{at}\n")
}

fn end(servers: impl IntoIterator<Item = Runtime>) {
    tokio::task::block_in_place(|| servers.into_iter().for_each(drop));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_receiver_loses_nothing_and_gets_nothing_twice() {
    let (first, second) = (Collector::new(|_, _| Answer::Ok), Collector::new(|_, _| Answer::Ok));
    let (at, one) = serve(&first, anywhere(), None);
    let (there, two) = serve(&second, anywhere(), None);
    let mut bench = Bench::new(&to(at));
    for round in 0..20 {
        bench.offer();
        bench.delivered().await;
        let (next, compression) = if round % 2 == 0 { (there, "gzip") } else { (at, "zstd") };
        // The server of these tests knows zstd only: what is sent by gzip is refused, and sent again without.
        bench.configure(&format!("{}compression: {compression}\nin-flight: {}\n", to(next), round % 5 + 1));
        for _ in 0..50 {
            bench.offer();
            tokio::task::yield_now().await;
        }
        bench.reloaded(true, round + 1).await;
        bench.offer();
        bench.delivered().await;
    }
    assert!(!first.taken().is_empty() && !second.taken().is_empty());
    bench.end(&[&first, &second]).await;
    end([one, two]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_receiver_does_not_take_goes_to_the_next_one() {
    // The first is not there, the second refuses for good measure, and asks to be left alone for long; the third takes all.
    let refusing = Collector::new(|_, _| Answer::Refuse(Status::permission_denied("no")));
    let taking = Collector::new(|_, _| Answer::Ok);
    let (refuses, one) = serve(&refusing, anywhere(), None);
    let (takes, two) = serve(&taking, anywhere(), None);
    let mut bench = Bench::new(&to(free()));
    for _ in 0..20 {
        bench.offer();
    }
    wait("a first attempt", || bench.metrics.export_retries.get() > 0).await;
    bench.configure(&to(refuses));
    wait("a refusal", || !refusing.calls().is_empty()).await;
    bench.offer();
    bench.configure(&to(takes));
    // Far less than the 30 s that a refusal is waited for.
    let delivered = tokio::time::timeout(Duration::from_secs(10), bench.delivered()).await;
    assert!(delivered.is_ok(), "a pause ends with the settings that it is due to");
    bench.end(&[&taking]).await;
    end([one, two]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_or_needs_a_restart_changes_nothing() {
    let (collector, other) = (Collector::new(|_, _| Answer::Ok), Collector::new(|_, _| Answer::Ok));
    let (at, server) = serve(&collector, anywhere(), None);
    let (elsewhere, unused) = serve(&other, anywhere(), None);
    let mut bench = Bench::new(&format!("destinations: {{a: {{endpoint: 'http://{at}'}}}}"));
    let moved = format!("destinations: {{a: {{endpoint: 'http://{elsewhere}'}}}}\n");
    let wrong = [
        ("destinations: [\n".to_owned(), "config.yaml: "),
        (format!("{moved}timeuot: 3s"), "config.yaml: timeuot: there is no such flag"),
        (format!("{moved}ring-size: 1MiB\nlisten: '127.0.0.1:1'"), "listen, ring-size: cannot change while it runs"),
        (moved.replace("a:", "b:"), "destinations.a, destinations.b: cannot change while it runs"),
        (moved.replace("{endpoint", "{export-kind: loss, endpoint"), "destinations.a.export-kind: cannot change"),
        (moved.replace("http:", "https:").replace("{endpoint", "{ca-file: /absent, endpoint"), "cannot read /absent"),
        (
            moved.replace("http:", "https:").replace("{endpoint", "{ca-file: /proc/version, endpoint"),
            "destinations.a: there is no certificate to trust",
        ),
    ];
    for (number, (text, said)) in (1..).zip(&wrong) {
        bench.configure(text);
        bench.problem(said).await;
        bench.reloaded(false, number).await;
        bench.offer();
        bench.delivered().await;
    }
    assert!(bench.metrics.reloads(true).get() == 0 && other.taken().is_empty());
    bench.configure(&format!("destinations: {{a: {{endpoint: 'http://{at}', timeout: 3s}}}}"));
    wait("all is well again", || bench.metrics.health.config.get().is_none()).await;
    bench.reloaded(true, 1).await;
    bench.end(&[&collector]).await;
    end([server, unused]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_asks_and_ends_nothing() {
    tokio::task::block_in_place(ignore_hangups).unwrap();
    kill_process(getpid(), Signal::HUP).unwrap();
    let collector = Collector::new(|_, _| Answer::Ok);
    let (at, server) = serve(&collector, anywhere(), None);
    let mut bench = Bench::new(&to(at));
    bench.offer();
    bench.delivered().await;
    kill_process(getpid(), Signal::HUP).unwrap();
    bench.reloaded(true, 1).await;
    bench.offer();
    bench.delivered().await;
    bench.end(&[&collector]).await;
    kill_process(getpid(), Signal::HUP).unwrap();
    end([server]);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed() {
    let collector = Collector::new(|_, _| Answer::Ok);
    let tls = |(ca, certificate, key): &(String, String, String)| {
        let identity = Identity::from_pem(certificate, key);
        ServerTlsConfig::new().identity(identity).client_ca_root(Certificate::from_pem(ca))
    };
    let (old, new) = (certificates(), certificates());
    let (at, server) = serve(&collector, anywhere(), Some(tls(&old)));
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::create_dir(&secret).unwrap();
    let put = |(ca, certificate, key): &(String, String, String)| {
        swap(&secret, &[("ca.crt", ca), ("tls.crt", certificate), ("tls.key", key)]);
    };
    put(&old);
    let file = |name: &str| -> PathBuf { secret.join(name) };
    let line = |(key, name)| format!("{key}: {}\n", file(name).display());
    let files = [("ca-file", "ca.crt"), ("client-cert", "tls.crt"), ("client-key", "tls.key")].map(line).concat();
    let text = format!("endpoint: https://localhost:{}\n{files}", at.port());
    let mut bench = Bench::within(folder, &text);
    bench.offer();
    bench.delivered().await;

    // Wrong ones leave the old ones in force; that is said once.
    put(&(old.0.clone(), old.1.clone(), new.2.clone()));
    bench.problem("destinations.default: cannot set up TLS").await;
    put(&(String::new(), old.1.clone(), old.2.clone()));
    bench.problem("there is no certificate to trust").await;
    bench.offer();
    bench.delivered().await;

    // The receiver has new ones, by an authority that is trusted only later; what is offered meanwhile waits.
    tokio::task::block_in_place(|| drop(server));
    let (_, server) = serve(&collector, at, Some(tls(&new)));
    bench.offer();
    wait("distrust", || !bench.metrics.health.export.get()).await;
    put(&new);
    bench.delivered().await;
    assert_eq!((bench.metrics.reloads(false).get(), bench.metrics.health.config.get()), (2, None));
    bench.end(&[&collector]).await;
    end([server]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_token_goes_on() {
    let collector = Collector::new(|_, _| Answer::Ok);
    let (at, server) = serve(&collector, anywhere(), None);
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "one").unwrap();
    let text = format!("{}bearer-token-file: {}\n", to(at), token.display());
    let mut bench = Bench::within(folder, &text);
    bench.offer();
    bench.delivered().await;
    fs::write(&token, "").unwrap();
    // Other settings, which read it anew, have the last one too.
    bench.configure(&format!("{text}timeout: 5s\n"));
    bench.reloaded(true, 1).await;
    bench.offer();
    bench.delivered().await;
    assert!(collector.calls().iter().all(|call| call.header.as_deref() == Some("Bearer one")));
    bench.end(&[&collector]).await;
    end([server]);
}
