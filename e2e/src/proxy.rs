//! A wire that can be broken, between an exporter and its receiver.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use rustix::net::sockopt;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// They arrive.
    Whole,
    /// Requests arrive, and answers wait until the wire is whole again.
    Silent,
    /// A connection breaks (RST) when so many bytes of requests have gone through.
    Breaks(usize),
    /// Connections that are open, or are opened meanwhile, are dead for ever, and nobody is told: a host that is off.
    Dead,
}

/// A running proxy; dropping this breaks all of its connections.
pub struct Proxy {
    address: SocketAddr,
    wire: watch::Sender<Wire>,
    runtime: Option<Runtime>,
}

impl Proxy {
    /// Starts one before a receiver, with a wire that is whole.
    ///
    /// # Errors
    /// It cannot listen.
    pub fn start(to: SocketAddr) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).context("listen on loopback")?;
        let (wire, state) = watch::channel(Wire::Whole);
        let address = listener.local_addr()?;
        runtime.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connection(near, to, state.clone()));
            }
        });
        Ok(Self { address, wire, runtime: Some(runtime) })
    }

    /// As `--endpoint` takes it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on.
    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Both directions of one connection, until one of them ends.
async fn connection(near: TcpStream, to: SocketAddr, wire: watch::Receiver<Wire>) {
    // Nobody there: closed at once.
    let Ok(far) = TcpStream::connect(to).await else { return };
    // Closing such a socket sends RST, with whatever is not sent yet thrown away.
    let _best_effort = sockopt::set_socket_linger(&near, Some(std::time::Duration::ZERO));
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = requests(near_in, far_out, wire.clone()) => {}
        () = answers(far_in, near_out, wire) => {}
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut wire: watch::Receiver<Wire>) {
    let mut buffer = vec![0; 16 << 10];
    let mut through = 0;
    loop {
        let now = *wire.borrow_and_update();
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = wire.changed() => continue,
        };
        let Ok(length @ 1..) = read else { return };
        match now {
            Wire::Dead => std::future::pending().await,
            Wire::Breaks(after) if through + length > after => return,
            _ => {}
        }
        through += length;
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut wire: watch::Receiver<Wire>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if *wire.borrow() == Wire::Dead {
            std::future::pending::<()>().await;
        }
        if wire.wait_for(|wire| *wire != Wire::Silent).await.is_err() || to.write_all(&buffer[..length]).await.is_err()
        {
            return;
        }
    }
}
