//! Nodes' exporters as a Collector sees them: requests that the exporter's own encoder has made, each by a connection of its own.

use std::mem;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use inotrail::app::export::{Export, Outbox};
use inotrail::batch::{Limits, Request};
use inotrail::event::{Access, Event};
use inotrail::lane::Lane;
use inotrail::pipeline::Output as _;
use inotrail::route::Route;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use prost::Message as _;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tonic::codec::CompressionEncoding;
use tonic::transport::Endpoint;

use super::super::counted::Counted;
use super::super::sample::{CONTAINERS, Sample, container, header};

/// How often each sends: the exporter's `--batch-age`.
const EVERY: Duration = Duration::from_secs(1);

/// What was sent, and acknowledged.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    pub(super) records: u64,
    pub(super) requests: u64,
    /// Bytes of the requests, compressed as the exporter does.
    pub(super) wire_bytes: u64,
}

/// Has so many exporters send `rate` records a second for `seconds`, all of them together.
///
/// # Errors
/// The Collector refuses a request.
pub(super) fn send(endpoint: &str, exporters: usize, rate: usize, seconds: u32) -> Result<Sent> {
    ensure!(rate.is_multiple_of(exporters), "{exporters} exporters cannot share {rate} records a second");
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let start = Instant::now() + EVERY;
        let mut running = JoinSet::new();
        for number in 0..exporters {
            let sender = Sender::new(number, endpoint)?;
            // Exporters do not send at the same moment.
            let start = start + EVERY * number as u32 / exporters as u32;
            running.spawn(sender.send(start, rate / exporters, seconds));
        }
        let mut all = Sent::default();
        while let Some(sent) = running.join_next().await {
            let sent = sent.context("an exporter")??;
            all.records += sent.records;
            all.requests += sent.requests;
            all.wire_bytes += sent.wire_bytes;
        }
        Ok(all)
    })
}

/// Requests that wait to be sent.
#[derive(Clone, Debug, Default)]
struct Waiting(Arc<Mutex<Vec<Request>>>);

impl Outbox for Waiting {
    fn offer(&self, _: Lane, _: usize, _: &str, request: Request) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }

    fn is_pressed(&self) -> bool {
        false
    }

    fn is_behind(&self, _: usize) -> bool {
        false
    }
}

impl Waiting {
    fn take(&self) -> Vec<Request> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A node of 50 pods, each of whose records is of another file: what repeats would take less room.
struct Sender {
    sample: Sample,
    export: Export<Waiting>,
    waiting: Waiting,
    endpoint: Endpoint,
    /// Events so far.
    made: usize,
    /// Another one for each node.
    seed: u64,
}

impl Sender {
    fn new(number: usize, endpoint: &str) -> Result<Self> {
        let mut sample = Sample::default();
        sample.node.name = format!("worker-{number}.example.org");
        sample.node.host = format!("worker-{number}");
        sample.node.stream_id = format!("0193a6b8-5c1e-7d10-9f4c-{number:012x}");
        sample.containers = (0..CONTAINERS).map(|index| Arc::new(container(number * CONTAINERS + index))).collect();
        let waiting = Waiting::default();
        // What has come until a request is due goes with it.
        let limits = Limits { age: Duration::ZERO, ..Limits::default() };
        let export = Export::new(vec![Route::default()], limits, &sample.node, waiting.clone());
        let endpoint = Endpoint::from_shared(endpoint.to_owned())?.user_agent("inotrail")?;
        Ok(Self { sample, export, waiting, endpoint, made: 0, seed: (number as u64) << 32 })
    }

    async fn send(mut self, start: Instant, records: usize, seconds: u32) -> Result<Sent> {
        let channel = self.endpoint.connect().await.context("connect to the Collector")?;
        let zstd = CompressionEncoding::Zstd;
        let mut client = LogsServiceClient::new(channel).send_compressed(zstd).accept_compressed(zstd);
        let mut sent = Sent::default();
        let mut wire = Counted::new("zstd")?;
        for second in 0..seconds {
            sleep_until(start + EVERY * second).await;
            for request in self.requests(records)? {
                sent.requests += 1;
                sent.records += request.records;
                wire.add(&request.body);
                let body = ExportLogsServiceRequest::decode(request.body)?;
                let answer = client.export(body).await.context("the Collector refuses a request")?.into_inner();
                ensure!(answer.partial_success.is_none_or(|part| part.rejected_log_records == 0), "records refused");
            }
        }
        sent.wire_bytes = wire.bytes as u64;
        Ok(sent)
    }

    /// Requests of so many new events.
    fn requests(&mut self, records: usize) -> Result<Vec<Request>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
        for number in 0..records as u64 {
            let random = (self.seed ^ self.made as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let path = format!("/var/lib/app/data/shard-{:02}/part-{random:011x}.parquet", random % 32);
            let (time_ns, header) = (now + number * 12_345, header(random));
            let event = self.sample.event(self.made);
            let access = Access { header: &header, path: path.as_bytes(), ..event.access };
            let event = Event { time_ns, observed_ns: now, access, ..event };
            ensure!(self.export.event(&event) == ControlFlow::Continue(()), "the output has ended");
            self.made += 1;
        }
        ensure!(self.export.drained(now) == ControlFlow::Continue(()), "the output has ended");
        Ok(self.waiting.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_pods_of_its_own_and_sends_all_that_it_made() {
        let mut nodes = [0, 1].map(|number| Sender::new(number, "http://127.0.0.1:1").unwrap());
        let uids = nodes.each_mut().map(|node| {
            let requests = node.requests(200).unwrap();
            assert_eq!(requests.iter().map(|request| request.records).sum::<u64>(), 200);
            let bodies = requests.into_iter().map(|request| ExportLogsServiceRequest::decode(request.body).unwrap());
            let resources = bodies.flat_map(|body| body.resource_logs).filter_map(|logs| logs.resource);
            let attributes = resources.flat_map(|resource| resource.attributes);
            let uids = attributes.filter(|attribute| attribute.key == "k8s.pod.uid").map(|uid| format!("{uid:?}"));
            uids.collect::<std::collections::BTreeSet<_>>()
        });
        assert_eq!(uids.each_ref().map(std::collections::BTreeSet::len), [CONTAINERS; 2]);
        assert!(uids[0].is_disjoint(&uids[1]));
    }
}
