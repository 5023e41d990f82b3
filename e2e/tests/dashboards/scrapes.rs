//! A real Prometheus with an hour of what two exporters' `/metrics` would have shown.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use e2e::daemon::Daemon;
use e2e::tools;
use inotrail::event::Backend;
use inotrail::metrics::{Books, Dropped, KernelState, Metrics, Source, Waiting, registry};
use inotrail::sensor::RingFill;
use inotrail::sensor::backend::Misses;
use inotrail::version::VERSION;

const INTERVAL_S: u64 = 15;
const READY: Duration = Duration::from_secs(60);

/// A running Prometheus that scrapes nothing.
pub(crate) struct Prometheus {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    _daemon: Daemon,
}

/// Starts one that has the scrapes from `start_s` to `end_s`.
pub(crate) fn serve(folder: &Path, start_s: u64, end_s: u64) -> Prometheus {
    let programs = tools::prometheus().unwrap();
    let (text, data, config) = (folder.join("scrapes"), folder.join("prometheus"), folder.join("prometheus.yml"));
    fs::write(&text, scrapes(start_s, end_s)).unwrap();
    fs::write(&config, "{}").unwrap();
    let mut backfill = Command::new(programs.join("promtool"));
    let output = backfill.args(["tsdb", "create-blocks-from", "openmetrics"]).args([&text, &data]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let mut command = Command::new(programs.join("prometheus"));
    command.arg(format!("--config.file={}", config.display())).arg(format!("--storage.tsdb.path={}", data.display()));
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let mut daemon = Daemon::start("prometheus", &mut command, folder, None).unwrap();
    daemon.wait_ready(READY, || ureq::get(format!("{url}/-/ready")).call().is_ok()).unwrap();
    Prometheus { url, _daemon: daemon }
}

/// An exporter's metrics as they are counted.
struct Exporter {
    instance: &'static str,
    metrics: Arc<Metrics>,
    books: Arc<Books>,
    backend: Backend,
    peak: u64,
}

impl Exporter {
    fn new(instance: &'static str, backend: Backend, peak: u64) -> Self {
        let metrics = Arc::new(Metrics::default());
        let books = metrics.open_books("siem");
        metrics.health.runtime.set(true);
        metrics.policies.set(3);
        metrics.containers.set(20);
        metrics.queue_limit.set(8 << 20);
        Self { instance, metrics, books, backend, peak }
    }

    /// As at a time: lines of a scrape with the labels and times that Prometheus would give them.
    fn scrape(&self, out: &mut String, time_s: u64) {
        let (backend, peak) = (self.backend, self.peak);
        let kernel = move || KernelState {
            backend,
            misses: if backend == Backend::Kprobe { Misses::Counted } else { Misses::Never },
            swaps: 0,
            counts: Vec::new(),
            ring: RingFill { size: 1 << 24, used: 0, peak },
        };
        let mut text = String::new();
        let registry = registry(&Source::new(&self.metrics, kernel));
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        // What is expected of the dashboards stays as it is when versions change.
        let text = text.replace(&format!("version=\"{VERSION}\""), "version=\"1.2.3\"");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, mut value) = line.rsplit_once(' ').unwrap();
            let busy_s = format!("{:.3}", self.metrics.emitted.get() as f64 / 1000.0);
            match series.split_once('{').map_or(series, |(name, _)| name) {
                // Those of this program itself are other ones each time.
                "process_resident_memory_bytes" => value = "33554432",
                "process_cpu_seconds_total" => value = &busy_s,
                _ => {}
            }
            let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
            let comma = if labels == "}" { "" } else { "," };
            writeln!(out, "{name}{{instance=\"{}\"{comma}{labels} {value} {time_s}", self.instance).unwrap();
        }
    }
}

/// Node 1 is well. Node 2 counts slower, drops from half of the hour on, and its destination is away since then.
fn scrapes(start_s: u64, end_s: u64) -> String {
    let one = Exporter::new("node-1:9464", Backend::Fexit, 1 << 22);
    let two = Exporter::new("node-2:9464", Backend::Kprobe, 1 << 23);
    let (half_s, mut text) = (start_s + (end_s - start_s) / 2, String::new());
    one.metrics.health.sensor.set(true);
    for time_s in (start_s..=end_s).step_by(INTERVAL_S as usize) {
        let late = time_s >= half_s;
        for (exporter, events) in [(&one, 150), (&two, 30)] {
            exporter.metrics.emitted.inc_by(events);
            exporter.metrics.queued.set(2 << 20);
            let mut health = Ok(());
            let is_away = late && exporter.instance.starts_with("node-2");
            if is_away {
                exporter.books.lose(Dropped::Expired, 15, 1);
                exporter.metrics.dropped(Dropped::HookMissed).inc_by(45);
                exporter.books.retry();
                health = Err("connection refused".to_owned());
                let waiting = Waiting { requests: 2, bytes: 3 << 20, accesses: 9, oldest_ns: half_s * 1_000_000_000 };
                exporter.books.set_waiting(waiting);
            } else {
                exporter.books.deliver(events, 1);
                exporter.books.sent(4096);
                exporter.books.durations.enter("siem", None, Duration::from_millis(30));
            }
            exporter.books.set_health(health);
            exporter.scrape(&mut text, time_s);
        }
    }
    text + "# EOF\n"
}
