//! Containers that their runtime's OCI hook ([`inotrail_oci_hook`]) tells of, before their first instruction. The runtime
//! waits meanwhile.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inotrail_oci_hook::{DEADLINE, MESSAGE_MAX, parts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Source;
use super::announcement::{Announced, Announcer};
use super::path;
use state::State;

mod state;

/// Hooks that are listened to at once.
const CONNECTIONS_MAX: usize = 64;

/// The socket that hooks write to. It goes when this is dropped, unless another exporter listens there by then.
#[derive(Debug)]
pub(super) struct Hooks {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the socket.
    own: (u64, u64),
}

/// Why a hook was not heard.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("it runs as user {0}, and only root's are heard")]
    Foreign(u32),
    #[error("its message of {0} bytes is longer than {MESSAGE_MAX}")]
    Long(usize),
    #[error("its message has no state")]
    Stateless,
    #[error("its message is no container's state: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("its container's id is not one: {0:?}")]
    Id(String),
    #[error("it did not say all within {} ms", DEADLINE.as_millis())]
    Slow,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Hooks {
    /// Listens at `path`, in place of an exporter that may have listened there before; only root may write.
    ///
    /// # Errors
    ///
    /// The folder cannot be made or written to. Must be called inside a tokio runtime.
    pub(super) fn listen(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // A name of its own first: whoever connects meanwhile reaches either the old one or the new one.
        let mut new = path.as_os_str().to_owned();
        new.push(format!(".{}", std::process::id()));
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        let own = identity(new.as_ref())?;
        fs::rename(&new, path)?;
        Ok(Self { listener, path: path.to_owned(), own })
    }

    /// Hears hooks until the future is dropped.
    pub(super) async fn serve(self, announcer: Announcer) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
            let connection = match self.listener.accept().await {
                Ok((connection, _)) => connection,
                Err(error) => {
                    tracing::warn!(%error, "cannot take an OCI hook's connection");
                    // Out of descriptors: not again at once.
                    tokio::time::sleep(DEADLINE).await;
                    continue;
                }
            };
            let announcer = announcer.clone();
            tokio::spawn(async move {
                if let Err(error) = hear(connection, &announcer).await {
                    tracing::warn!(%error, "an OCI hook was not heard");
                }
                drop(permit);
            });
        }
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|there| there == self.own)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "the OCI hook's socket stays");
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

async fn hear(mut connection: UnixStream, announcer: &Announcer) -> Result<(), Error> {
    let message = timeout(DEADLINE, read(&mut connection)).await.unwrap_or(Err(Error::Slow))?;
    let (monitor, state) = parts(&message).ok_or(Error::Stateless)?;
    let state: State = serde_json::from_slice(state)?;
    if !path::is_container_id(&state.id) {
        return Err(Error::Id(state.id));
    }
    // Whoever has ended by now needs no look-up by cgroup; and the kernel tells of the cgroup in any case.
    let cgroup = announcer.cgroup_of(state.pid, &state.id).ok().flatten();
    let id = state.id.clone();
    let metadata = state.metadata(monitor);
    let seen = announcer.here(Announced { source: Source::Hook, id, metadata, cgroup }).await;
    // A hook that waited long enough has gone.
    let _gone = connection.write_u8(u8::from(seen)).await;
    Ok(())
}

async fn read(connection: &mut UnixStream) -> Result<Vec<u8>, Error> {
    let peer = connection.peer_cred()?;
    if peer.uid() != 0 {
        return Err(Error::Foreign(peer.uid()));
    }
    let length = connection.read_u32().await? as usize;
    if length > MESSAGE_MAX {
        return Err(Error::Long(length));
    }
    let mut message = vec![0; length];
    connection.read_exact(&mut message).await?;
    Ok(message)
}

#[cfg(test)]
mod tests;
