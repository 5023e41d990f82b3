//! A receiver of OTLP logs: tonic's server, reached through pipes inside the process, so that time can be paused.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tonic::codec::CompressionEncoding;
use tonic::codegen::tokio_stream::{Stream, StreamExt};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

/// What to do with a call.
pub(crate) enum Answer {
    Ok,
    /// Taken, but for so many records.
    Partial(i64),
    Refuse(Status),
    /// Nothing, ever.
    Hang,
    /// The connection breaks.
    Reset,
}

type Script = Box<dyn Fn(usize, &ExportLogsServiceRequest) -> Answer + Send + Sync>;

/// One call that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) at: Instant,
    /// `grpc-encoding`
    pub(crate) encoding: String,
    pub(crate) header: Option<String>,
    pub(crate) records: usize,
}

/// The receiver's state, shared by all connections.
#[derive(Clone)]
pub(crate) struct Collector(Arc<State>);

struct State {
    script: Script,
    /// False: nobody listens.
    up: AtomicBool,
    calls: Mutex<Vec<Call>>,
    /// How often each record was taken, by its sequence number.
    taken: Mutex<BTreeMap<i64, usize>>,
    connections: Mutex<Vec<AbortHandle>>,
}

impl Collector {
    /// Answers call number n (from 0) with `script(n, request)`.
    pub(crate) fn new(script: impl Fn(usize, &ExportLogsServiceRequest) -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(State {
            script: Box::new(script),
            up: AtomicBool::new(true),
            calls: Mutex::default(),
            taken: Mutex::default(),
            connections: Mutex::default(),
        }))
    }

    /// Serves over pipes. Methods of compression that are not listed are refused.
    pub(crate) fn listen(&self, encodings: &[CompressionEncoding]) -> Channel {
        let (accepted, mut incoming) = mpsc::channel::<DuplexStream>(16);
        let incoming = async_stream(move |cx| incoming.poll_recv(cx)).map(Ok::<_, io::Error>);
        tokio::spawn(Server::builder().add_service(self.service(encodings)).serve_with_incoming(incoming));
        let state = Arc::clone(&self.0);
        let connect = tower::service_fn(move |_| {
            let (state, accepted) = (Arc::clone(&state), accepted.clone());
            async move {
                if !state.up.load(Ordering::Relaxed) {
                    return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
                }
                let (client, mut near) = duplex(1 << 16);
                let (mut far, server) = duplex(1 << 16);
                // Ending this task is what breaks the connection.
                let wire = tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
                state.connections.lock().unwrap().push(wire.abort_handle());
                accepted.send(server).await.map_err(io::Error::other)?;
                Ok(TokioIo::new(client))
            }
        });
        Endpoint::from_static("http://collector:4317").connect_with_connector_lazy(connect)
    }

    /// The service, for a server of the test's own.
    pub(crate) fn service(&self, encodings: &[CompressionEncoding]) -> LogsServiceServer<Self> {
        let service = LogsServiceServer::new(self.clone());
        encodings.iter().fold(service, |service, encoding| service.accept_compressed(*encoding))
    }

    pub(crate) fn set_up(&self, up: bool) {
        self.0.up.store(up, Ordering::Relaxed);
        if !up {
            self.reset();
        }
    }

    pub(crate) fn reset(&self) {
        self.0.connections.lock().unwrap().drain(..).for_each(|wire| wire.abort());
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.0.calls.lock().unwrap().clone()
    }

    pub(crate) fn taken(&self) -> BTreeMap<i64, usize> {
        self.0.taken.lock().unwrap().clone()
    }
}

/// A stream out of a poll function.
fn async_stream<T>(
    poll: impl FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<T>> + Unpin,
) -> impl Stream<Item = T> {
    struct Polled<F>(F);
    impl<T, F: FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<T>> + Unpin> Stream for Polled<F> {
        type Item = T;
        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<T>> {
            (self.0)(cx)
        }
    }
    Polled(poll)
}

fn sequences(request: &ExportLogsServiceRequest) -> Vec<i64> {
    let logs = request.resource_logs.iter().flat_map(|logs| &logs.scope_logs).flat_map(|logs| &logs.log_records);
    let sequence = |record: &opentelemetry_proto::tonic::logs::v1::LogRecord| {
        let attribute = record.attributes.iter().find(|attribute| attribute.key == "inotrail.stream.sequence");
        match attribute.unwrap().value.as_ref().unwrap().value.as_ref().unwrap() {
            Value::IntValue(sequence) => *sequence,
            other => panic!("a sequence number is no integer: {other:?}"),
        }
    };
    logs.map(sequence).collect()
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let header = |name| request.metadata().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (encoding, header) = (header("grpc-encoding").unwrap_or_default(), header("authorization"));
        let sequences = sequences(request.get_ref());
        let number = {
            let mut calls = self.0.calls.lock().unwrap();
            calls.push(Call { at: Instant::now(), encoding, header, records: sequences.len() });
            calls.len() - 1
        };
        let rejected = match (self.0.script)(number, request.get_ref()) {
            Answer::Ok => 0,
            Answer::Partial(rejected) => rejected,
            Answer::Refuse(status) => return Err(status),
            Answer::Hang => std::future::pending().await,
            Answer::Reset => {
                self.reset();
                std::future::pending().await
            }
        };
        for sequence in sequences {
            *self.0.taken.lock().unwrap().entry(sequence).or_default() += 1;
        }
        // As the Collector does it: there also when all is well.
        let partial = ExportLogsPartialSuccess { rejected_log_records: rejected, error_message: String::new() };
        Ok(Response::new(ExportLogsServiceResponse { partial_success: Some(partial) }))
    }
}
