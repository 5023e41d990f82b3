//! From the journal to a receiver of OTLP over gRPC or HTTP, or to lines in a file or on stdout, with retries, and books that
//! close.
//!
//! ```text
//! journal -> workers: Export call -> acknowledged | retried | halved | dropped -> journal: settled
//! ```
//!
//! Every record that is taken from the journal ends as `delivered` or as one reason of [`crate::metrics::Dropped`], or stays
//! there. Requests are in flight side by side: their order is not kept.

mod channel;
mod frame;
mod grpc;
mod http;
mod lines;
mod outcome;
mod retry;
mod state;
mod status;
mod token;
mod wire;
mod worker;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::http::Uri;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tonic::transport::Channel;

use crate::config::choice::Protocol;
use crate::config::{Endpoint, Export};
use crate::journal::Journal;
use crate::lane::Lane;
use crate::metrics::Books;
use http::Http;
use state::State;
use wire::Wire;
use worker::Worker;

/// Lanes of the worker that violations have for themselves, and of all others.
const LANES: [&[Lane]; 2] = [&[Lane::Violation], &[Lane::Denied, Lane::Access]];

/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection on which requests wait and nothing came for this long is asked whether it lives. Not while idle: grpc-go
/// closes connections that ping without need.
const PING_AFTER: Duration = Duration::from_secs(20);
/// Longest time until the answer.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
const USER_AGENT: &str = concat!("inotrail/", env!("CARGO_PKG_VERSION"));

/// Why nothing can be shipped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Certificates or keys are not usable, or the system has none to trust.
    #[error("cannot set up TLS for the OTLP endpoint: check the certificates given, and those of the system")]
    Tls(#[source] tonic::transport::Error),
    /// The same for OTLP over HTTP, or a proxy of the environment that is none.
    #[error(
        "cannot set up HTTP for the OTLP endpoint: check the certificates given, those of the system, and HTTPS_PROXY"
    )]
    Http(#[source] reqwest::Error),
    /// Nobody would be trusted.
    #[error("there is no certificate to trust in the file of --ca-file: name a file of PEM certificates")]
    Authorities,
    /// Lines where only a receiver will do.
    #[error("{0} is no receiver of OTLP: name http://host:port")]
    Receiver(Endpoint),
    /// An address that is none.
    #[error("cannot send to {0}: give --endpoint as http://host:port/path")]
    Url(Uri),
    /// A file, or stdout, that cannot be written to.
    #[error(
        "cannot write to {endpoint}: {cause}; name a file, no link, in a folder that is there and that the exporter may write to"
    )]
    Lines {
        /// Which one.
        endpoint: Endpoint,
        /// Why.
        cause: io::Error,
    },
}

/// A destination that is being shipped to; dropping this stops it.
#[derive(Debug)]
pub struct Destination {
    workers: JoinSet<()>,
    /// Looks for the receiver, until something is sent.
    probe: JoinSet<()>,
    setup: watch::Sender<Setup>,
    journal: Journal,
    number: usize,
    /// Workers but for that of violations. There are never less of them again: who is one too many waits.
    started: usize,
}

/// By what a destination is reached now.
#[derive(Clone, Debug)]
struct Setup {
    wire: Wire,
    state: Arc<State>,
    in_flight: usize,
}

/// Settings of a destination that can be used, and are not in force yet.
#[derive(Debug)]
pub struct Change(Setup);

/// Whether the endpoint can be used as it is configured, without connecting: for those who start other things first.
///
/// # Errors
///
/// [`Error`]
pub fn check(config: &Export) -> Result<(), Error> {
    check_authorities(config)?;
    match (&config.endpoint, config.protocol) {
        (Endpoint::Receiver(uri), Protocol::Grpc) => channel::endpoint(uri, config).map(drop),
        (Endpoint::Receiver(uri), Protocol::HttpProtobuf) => Http::new(uri, config).map(drop),
        (Endpoint::File(path), _) => lines::check(path),
        (Endpoint::Stdout, _) => Ok(()),
    }
}

/// A channel to the endpoint of OTLP over gRPC, not connected yet. Must be called inside a tokio runtime.
///
/// # Errors
///
/// [`Error`]
pub fn channel(config: &Export) -> Result<Channel, Error> {
    let Endpoint::Receiver(uri) = &config.endpoint else { return Err(Error::Receiver(config.endpoint.clone())) };
    Ok(channel::endpoint(uri, config)?.timeout(config.timeout).connect_lazy())
}

/// Starts shipping what the journal has for destination `number`. Must be called inside a tokio runtime.
///
/// A receiver that is not there, now or later, is waited for: `books` tell.
///
/// # Errors
///
/// [`Error`]
pub fn spawn(config: &Export, number: usize, journal: &Journal, books: &Arc<Books>) -> Result<Destination, Error> {
    let setup = Setup::new(Wire::new(config)?, config, books);
    let probe = setup.probe();
    Ok(Destination { probe, ..start(setup, number, journal) })
}

/// [`spawn`] over a channel that was made elsewhere; endpoint and TLS of the configuration are not used.
pub fn spawn_on(
    channel: &Channel,
    config: &Export,
    number: usize,
    journal: &Journal,
    books: &Arc<Books>,
) -> Destination {
    start(Setup::new(Wire::over(channel, config), config, books), number, journal)
}

fn start(setup: Setup, number: usize, journal: &Journal) -> Destination {
    let in_flight = setup.in_flight;
    let setup = watch::Sender::new(setup);
    let mut workers = JoinSet::new();
    workers.spawn(Worker::new(setup.subscribe(), journal.clone(), 0, number).run(LANES[0]));
    let mut destination =
        Destination { workers, probe: JoinSet::new(), setup, journal: journal.clone(), number, started: 0 };
    destination.start_up_to(in_flight);
    destination
}

/// Whether what is trusted instead of the system's certificates has one that is any: with none, nobody would be.
fn check_authorities(config: &Export) -> Result<(), Error> {
    let Some(pem) = &config.tls.ca else { return Ok(()) };
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().unwrap_or_default();
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(certificates);
    if usable == 0 { Err(Error::Authorities) } else { Ok(()) }
}

impl Setup {
    fn new(wire: Wire, config: &Export, books: &Arc<Books>) -> Self {
        Self { wire, state: Arc::new(State::new(config, Arc::clone(books))), in_flight: config.in_flight }
    }

    fn probe(&self) -> JoinSet<()> {
        let mut probe = JoinSet::new();
        probe.spawn(channel::probe(self.wire.clone(), Arc::downgrade(&self.state)));
        probe
    }
}

impl Destination {
    /// Other settings for what waits and what comes: a change that [`Self::apply`] puts in force. Must be called inside a
    /// tokio runtime.
    ///
    /// # Errors
    ///
    /// [`Error`]
    pub fn prepare(&self, config: &Export) -> Result<Change, Error> {
        let now = self.setup.borrow();
        Ok(Change(Setup::new(now.wire.renewed(config)?, config, &now.state.books)))
    }

    /// Puts settings in force. Attempts that are on their way end by the old ones, within their timeout; each next one, of the
    /// same requests too, has the new ones. Must be called inside a tokio runtime.
    pub fn apply(&mut self, Change(setup): Change) {
        self.probe = setup.probe();
        let in_flight = setup.in_flight;
        self.setup.send_replace(setup);
        self.start_up_to(in_flight);
    }

    fn start_up_to(&mut self, in_flight: usize) {
        for place in self.started..in_flight {
            let worker = Worker::new(self.setup.subscribe(), self.journal.clone(), place, self.number);
            self.workers.spawn(worker.run(LANES[1]));
        }
        self.started = self.started.max(in_flight);
    }

    /// Returns when all that a closed journal has is settled, or left to the next start, or at the deadline, which may be
    /// changed meanwhile.
    pub async fn drain(mut self, mut deadline: watch::Receiver<Instant>) {
        loop {
            let until = *deadline.borrow_and_update();
            tokio::select! {
                ended = self.workers.join_next() => if ended.is_none() { return },
                () = sleep_until(until) => break,
                Ok(()) = deadline.changed() => {}
            }
        }
        self.workers.shutdown().await;
    }
}
