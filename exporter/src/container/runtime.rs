//! The container runtime's API: one connection, made again for ever.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::announcement::Announcer;
use super::channel::{ANSWER_WITHIN, Error};
use super::containerd::Containerd;
use super::cri::Cri;
use super::path::Candidate;
use super::table::{Key, Metadata};
use super::{Api, RuntimeConfig, Source};

const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A connection.
#[derive(Clone, Debug)]
pub(super) enum Runtime {
    Containerd(Containerd),
    Cri(Cri),
}

/// Whether the runtime can be asked.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Not known yet.
    Connecting,
    /// It answers.
    Up(Runtime),
    /// It does not.
    Down,
}

/// The current connection, and the way to say that it is of no use.
#[derive(Debug)]
pub(super) struct Link {
    /// Who is asked.
    pub(super) source: Source,
    pub(super) state: watch::Receiver<State>,
    /// An answer did not come.
    pub(super) suspect: mpsc::Sender<()>,
}

impl Link {
    /// Connects for ever, in a task that ends with the link. What the runtime tells by itself goes to `announcer`.
    pub(super) fn open(config: RuntimeConfig, announcer: Announcer) -> Self {
        let source = config.api.source();
        let (tell, state) = watch::channel(State::Connecting);
        let (suspect, suspicions) = mpsc::channel(1);
        tokio::spawn(async move {
            let ended = tell.clone();
            tokio::select! {
                () = connect_for_ever(config.api, &config.socket, &tell, &announcer, suspicions) => {}
                () = ended.closed() => {}
            }
        });
        Self { source, state, suspect }
    }
}

async fn connect_for_ever(
    api: Api,
    socket: &Path,
    state: &watch::Sender<State>,
    announcer: &Announcer,
    mut suspicions: mpsc::Receiver<()>,
) {
    let mut backoff = BACKOFF.0;
    let mut complained = false;
    loop {
        match Runtime::connect(api, socket).await {
            Ok(runtime) => {
                tracing::info!(socket = %socket.display(), "connected to {}", api.as_str());
                complained = false;
                while suspicions.try_recv().is_ok() {}
                state.send_replace(State::Up(runtime.clone()));
                let since = Instant::now();
                let reason = tokio::select! {
                    reason = runtime.follow(announcer) => reason,
                    Some(()) = suspicions.recv() => Error::Silent.to_string(),
                };
                tracing::warn!(reason, "lost {}: new containers stay without names until it is back", api.as_str());
                if since.elapsed() > BACKOFF.1 {
                    backoff = BACKOFF.0;
                }
            }
            Err(error) if !complained => {
                complained = true;
                let error: &dyn std::error::Error = &error;
                let (socket, api) = (socket.display(), api.as_str());
                tracing::warn!(%socket, error, "containers stay without names until {api} answers");
            }
            Err(_) => {}
        }
        state.send_replace(State::Down);
        sleep(backoff).await;
        backoff = BACKOFF.1.min(backoff * 2);
    }
}

impl Runtime {
    pub(super) async fn connect(api: Api, socket: &Path) -> Result<Self, Error> {
        let connect = async {
            Ok(match api {
                Api::Containerd => Self::Containerd(Containerd::connect(socket).await?),
                Api::Cri => Self::Cri(Cri::connect(socket).await?),
            })
        };
        timeout(ANSWER_WITHIN, connect).await.unwrap_or(Err(Error::Silent))
    }

    async fn follow(&self, announcer: &Announcer) -> String {
        match self {
            Self::Containerd(containerd) => containerd.follow(announcer).await,
            Self::Cri(cri) => cri.follow(announcer).await,
        }
    }

    /// The first of the candidates that is a container here; `None`: none of them is.
    pub(super) async fn find(&self, candidates: &[Candidate]) -> Result<Option<(Key, Metadata)>, Error> {
        let find = async {
            match self {
                Self::Containerd(containerd) => containerd.find(candidates).await,
                Self::Cri(cri) => cri.find(candidates).await,
            }
        };
        timeout(ANSWER_WITHIN, find).await.unwrap_or(Err(Error::Silent))
    }
}
