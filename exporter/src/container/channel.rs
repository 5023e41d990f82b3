//! gRPC to a container runtime.

use std::path::Path;
use std::time::Duration;

use tonic::Status;
use tonic::transport::{Channel, Error as Connect};

/// Longest time one question may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Why the runtime gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the container runtime does not answer within {} s", ANSWER_WITHIN.as_secs())]
    Silent,
    #[error("cannot connect to the container runtime: check that it runs and that this user may open its socket")]
    Connect(#[from] Connect),
    #[error("the container runtime answers with an error: {0}")]
    Answer(#[from] Status),
}

/// Connects to a runtime's socket.
pub(super) async fn channel(socket: &Path) -> Result<Channel, Connect> {
    containerd_client::connect(socket).await
}
