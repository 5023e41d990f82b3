//! A receiver of OTLP over gRPC that remembers every record: what came, what came again, and whether it was the same.

mod books;

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use prost::Message as _;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket, sockopt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use books::Books;
pub(crate) use books::text;
pub use books::{Alarm, Received};

/// Bytes of a request that are decoded; larger ones than [`Receiver::limit`] are answered as a Collector does.
const DECODED_MAX: usize = 64 << 20;

/// A running receiver; dropping this closes all of its connections.
pub struct Receiver {
    /// Where it listens, the same after each start.
    pub address: SocketAddr,
    /// What proves at the next start who it is; nothing: without TLS.
    pub identity: Option<Identity>,
    /// Bound, and never listening: without it, the kernel may give the port to whoever connects to somewhere while the
    /// receiver is away, even to the exporter that looks for the receiver.
    _port: OwnedFd,
    trail: Option<PathBuf>,
    state: Arc<State>,
    runtime: Option<Runtime>,
}

struct State {
    books: Mutex<Books>,
    /// All that was taken, each request a line.
    trail: Mutex<Option<BufWriter<File>>>,
    /// Answers to the next requests.
    script: Mutex<VecDeque<Answer>>,
    /// What is answered when the script is over.
    refusal: Mutex<Option<tonic::Code>>,
    /// Bytes of a request that are taken.
    limit: Mutex<usize>,
}

/// An answer to one request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Taken.
    Take,
    /// Taken, and answered after this time: for whoever waits less, it was not.
    Late(Duration),
    /// Taken but for so many of its last records.
    Partial(usize),
    /// Refused.
    Refuse(Status),
}

impl Receiver {
    /// Starts one at a free port, with a file of all that it takes in a folder. Accesses are those of files below `base`.
    ///
    /// # Errors
    /// It cannot listen, or write.
    pub fn start(folder: &Path, base: &Path) -> Result<Self> {
        let trail = folder.join("trail.jsonl");
        let file = BufWriter::new(File::create(&trail).with_context(|| format!("create {}", trail.display()))?);
        Self::new(base, Some((trail, file)))
    }

    /// Starts one that keeps its books only.
    ///
    /// # Errors
    /// It cannot listen.
    pub fn start_without_trail(base: &Path) -> Result<Self> {
        Self::new(base, None)
    }

    fn new(base: &Path, trail: Option<(PathBuf, BufWriter<File>)>) -> Result<Self> {
        let (trail, file) = trail.unzip();
        let port = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        sockopt::set_socket_reuseaddr(&port, true)?;
        bind(&port, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = getsockname(&port)?.try_into()?;
        let state = Arc::new(State {
            books: Mutex::new(Books::new(base)),
            trail: Mutex::new(file),
            script: Mutex::default(),
            refusal: Mutex::default(),
            limit: Mutex::new(DECODED_MAX),
        });
        let mut this = Self { address, identity: None, _port: port, trail, state, runtime: None };
        this.up()?;
        Ok(this)
    }

    /// As `--endpoint` takes it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Listens again after [`Self::down`]; what came before stays.
    ///
    /// # Errors
    /// It cannot listen.
    pub fn up(&mut self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let address = self.address;
        let listener = runtime.block_on(async move { TcpListener::bind(address).await });
        let listener = listener.with_context(|| format!("listen on {}", self.address))?;
        let service = LogsServiceServer::from_arc(Arc::new(Service(Arc::clone(&self.state))))
            .accept_compressed(CompressionEncoding::Zstd)
            .accept_compressed(CompressionEncoding::Gzip)
            .max_decoding_message_size(DECODED_MAX);
        let mut server = Server::builder();
        if let Some(identity) = &self.identity {
            let _in_runtime = runtime.enter();
            server = server.tls_config(ServerTlsConfig::new().identity(identity.clone()))?;
        }
        runtime.spawn(server.add_service(service).serve_with_incoming(TcpIncoming::from(listener)));
        self.runtime = Some(runtime);
        Ok(())
    }

    /// Closes all connections and listens no more.
    pub fn down(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Refuses whatever comes from now on, or takes it again.
    pub fn refuse(&self, with: Option<tonic::Code>) {
        *lock(&self.state.refusal) = with;
    }

    /// Answers the next requests so.
    pub fn answer(&self, script: impl IntoIterator<Item = Answer>) {
        lock(&self.state.script).extend(script);
    }

    /// How many of these answers were not given yet.
    #[must_use]
    pub fn answers_left(&self) -> usize {
        lock(&self.state.script).len()
    }

    /// Takes requests of so many bytes at most.
    pub fn limit(&self, bytes: usize) {
        *lock(&self.state.limit) = bytes;
    }

    /// What it has.
    #[must_use]
    pub fn received(&self) -> Received {
        lock(&self.state.books).received.clone()
    }

    /// The file of all that it took, as OTLP/JSON, to the last request.
    ///
    /// # Errors
    /// It cannot be written, or none is.
    pub fn trail(&self) -> Result<&Path> {
        lock(&self.state.trail).as_mut().map(BufWriter::flush).transpose()?;
        self.trail.as_deref().context("this receiver writes no trail")
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.down();
    }
}

struct Service(Arc<State>);

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let answer = lock(&self.0.script).pop_front().unwrap_or(Answer::Take);
        let partial_success = self.0.answer(request.into_inner(), &answer)?;
        if let Answer::Late(delay) = answer {
            tokio::time::sleep(delay).await;
        }
        Ok(Response::new(ExportLogsServiceResponse { partial_success }))
    }
}

impl State {
    fn answer(
        &self,
        mut request: ExportLogsServiceRequest,
        answer: &Answer,
    ) -> Result<Option<ExportLogsPartialSuccess>, Status> {
        // Until all is taken: what comes after a refusal was asked for is refused.
        let refusal = lock(&self.refusal);
        if let Some(code) = *refusal {
            return Err(Status::new(code, "refused on purpose"));
        }
        if request.encoded_len() > *lock(&self.limit) {
            return Err(Status::resource_exhausted("grpc: received message larger than max"));
        }
        let mut partial_success = None;
        match answer {
            Answer::Take | Answer::Late(_) => {}
            Answer::Partial(without) => {
                let rejected_log_records = books::take_off(&mut request, *without);
                let error_message = "refused on purpose".to_owned();
                partial_success = Some(ExportLogsPartialSuccess { rejected_log_records, error_message });
            }
            Answer::Refuse(status) => return Err(status.clone()),
        }
        self.take(request).map_err(|error| Status::internal(format!("{error:#}")))?;
        Ok(partial_success)
    }

    fn take(&self, request: ExportLogsServiceRequest) -> Result<()> {
        if let Some(trail) = &mut *lock(&self.trail) {
            serde_json::to_writer(&mut *trail, &request)?;
            trail.write_all(b"\n")?;
        }
        lock(&self.books).take(request);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
