//! Names of containers by the Node Resource Interface of containerd and CRI-O: as a plugin we are told of each container, and
//! the runtime waits for an answer, before it starts.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::announcement::{Announced, Announcer};

mod frame;
mod message;
mod plugin;

use frame::{Connection, Decoder, Frame, Kind};
use message::{RUNTIME_SERVICE, RegisterPlugin, Request, Response};
use plugin::{Plugin, RUNNING_MAX};

const NAME: &str = "inotrail";
/// Plugins are called in the order of their numbers. We are the last: what another one refuses never comes to be.
const INDEX: &str = "99";
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// A runtime takes in one plugin after another, and gives each 5 s to register and 2 s to be told what runs.
const SYNCHRONIZED_WITHIN: Duration = Duration::from_secs(30);
/// A call is some KiB.
const CHUNK: usize = 16 << 10;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot connect: enable NRI in the container runtime's configuration, and run as root")]
    Connect(#[source] io::Error),
    #[error("the connection broke")]
    Broken(#[from] io::Error),
    #[error("the container runtime refuses this plugin ({0}): see its log, and allow plugins to connect")]
    Refused(String),
    #[error("the container runtime closed the connection: its log says why")]
    Closed,
    #[error("the container runtime did not say within {} s what runs: see its log", SYNCHRONIZED_WITHIN.as_secs())]
    Silent,
    #[error("the container runtime sends what is not NRI: {0}")]
    NotNri(#[from] frame::TooLong),
    #[error("the container runtime sends a call that cannot be read")]
    NotTtrpc(#[from] prost::DecodeError),
}

/// Connects for ever, and announces the containers of the runtime at `socket`.
pub(super) async fn connect_for_ever(socket: &Path, announcer: Announcer) {
    let (later, announced) = mpsc::channel(2 * RUNNING_MAX);
    tokio::select! {
        () = announce(announced, &announcer) => {}
        () = connect_again_and_again(socket, &announcer, &later) => {}
    }
}

/// One at a time: a full queue would cost a container that is about to start its name.
async fn announce(mut later: mpsc::Receiver<Announced>, announcer: &Announcer) {
    while let Some(announced) = later.recv().await {
        if !announcer.here(announced.clone()).await {
            announcer.found(announced).await;
        }
    }
}

async fn connect_again_and_again(socket: &Path, announcer: &Announcer, later: &mpsc::Sender<Announced>) {
    let mut backoff = BACKOFF.0;
    let mut complained = false;
    loop {
        let connect = Session::open(socket, Plugin::new(announcer.clone(), later.clone()));
        match timeout(SYNCHRONIZED_WITHIN, connect).await.unwrap_or(Err(Error::Silent)) {
            Ok((session, runtime)) => {
                tracing::info!(socket = %socket.display(), runtime, "told of containers before they start (NRI)");
                complained = true;
                let since = Instant::now();
                let error: &dyn std::error::Error = &session.serve().await;
                tracing::warn!(error, "not told of new containers any more (NRI): names come late, or not at all");
                if since.elapsed() > BACKOFF.1 {
                    backoff = BACKOFF.0;
                }
            }
            Err(error) if !complained => {
                complained = true;
                let error: &dyn std::error::Error = &error;
                tracing::warn!(socket = %socket.display(), error, "not told of containers before they start (NRI)");
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "cannot connect (NRI)");
            }
        }
        sleep(backoff).await;
        backoff = BACKOFF.1.min(backoff * 2);
    }
}

/// One connection, whose runtime has told of what runs.
#[derive(Debug)]
struct Session {
    trunk: UnixStream,
    decoder: Decoder,
    chunk: Box<[u8]>,
    plugin: Plugin,
}

impl Session {
    /// Registers, and serves until the runtime has told of everything that runs. Registering comes first whatever happens:
    /// until then no other plugin is let in.
    async fn open(socket: &Path, plugin: Plugin) -> Result<(Self, &'static str), Error> {
        let mut trunk = UnixStream::connect(socket).await.map_err(Error::Connect)?;
        let register = RegisterPlugin { name: NAME.to_owned(), index: INDEX.to_owned() };
        let request = Request {
            service: RUNTIME_SERVICE.to_owned(),
            method: "RegisterPlugin".to_owned(),
            payload: register.encode_to_vec(),
        };
        let request = frame::encode(Connection::Runtime, 1, Kind::Request, &request.encode_to_vec());
        trunk.write_all(&request).await?;
        let mut this = Self { trunk, decoder: Decoder::default(), chunk: vec![0; CHUNK].into(), plugin };
        loop {
            this.serve_one().await?;
            if let Some(runtime) = this.plugin.synchronized() {
                return Ok((this, runtime));
            }
        }
    }

    /// Answers calls until the connection breaks; returns why.
    async fn serve(mut self) -> Error {
        loop {
            if let Err(error) = self.serve_one().await {
                return error;
            }
        }
    }

    async fn serve_one(&mut self) -> Result<(), Error> {
        let Frame { connection, stream, kind, body } = self.receive().await?;
        match (connection, kind) {
            (Connection::Plugin, Some(Kind::Request)) => {
                let response = self.plugin.answer(&Request::decode(body)?).await;
                let response = frame::encode(connection, stream, Kind::Response, &response.encode_to_vec());
                Ok(self.trunk.write_all(&response).await?)
            }
            (Connection::Runtime, Some(Kind::Response)) => match Response::decode(body)?.status {
                Some(status) if status.code != 0 => Err(Error::Refused(status.message)),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    async fn receive(&mut self) -> Result<Frame, Error> {
        loop {
            if let Some(frame) = self.decoder.next()? {
                return Ok(frame);
            }
            match self.trunk.read(&mut self.chunk).await? {
                0 => return Err(Error::Closed),
                count => self.decoder.push(&self.chunk[..count])?,
            }
        }
    }
}

#[cfg(test)]
mod tests;
