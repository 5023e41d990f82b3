//! An API server whose answers come late, as one does that is busy, or far away.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::ApiServer;

/// Pieces of an answer that wait in one connection.
const PIECES: usize = 1024;

/// A proxy in front of an API server. It takes no new connections when this is dropped.
pub struct Lag {
    /// How a user reaches the API server through it who may do everything.
    pub kubeconfig: PathBuf,
    address: SocketAddr,
    ends: Arc<AtomicBool>,
    milliseconds: Arc<AtomicU64>,
}

impl Lag {
    /// One that holds nothing back yet.
    ///
    /// # Errors
    /// It cannot listen on loopback.
    pub fn before(api: &ApiServer) -> Result<Self> {
        let server = api.url.trim_start_matches("https://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").context("listen on loopback")?;
        let address = listener.local_addr()?;
        let kubeconfig =
            api.authority.kubeconfig(&format!("https://{address}"), "late", "admin", Some("system:masters"))?;
        let (ends, milliseconds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let lag = Self { kubeconfig, address, ends: Arc::clone(&ends), milliseconds: Arc::clone(&milliseconds) };
        thread::spawn(move || {
            for client in listener.incoming().take_while(|_| !ends.load(Ordering::Relaxed)).flatten() {
                // Where the server is away, the client finds its connection closed, and tries again.
                let _away = connect(client, &server, &milliseconds);
            }
        });
        Ok(lag)
    }

    /// From now on, everything that the server says comes so much later.
    pub fn set(&self, by: Duration) {
        self.milliseconds.store(by.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        // It waits for one more.
        let _gone = TcpStream::connect(self.address);
    }
}

fn connect(client: TcpStream, server: &str, milliseconds: &Arc<AtomicU64>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    let (mut asks, mut asked) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ended = io::copy(&mut asks, &mut asked);
        asked.shutdown(Shutdown::Write)
    });
    let (sender, receiver) = sync_channel(PIECES);
    let milliseconds = Arc::clone(milliseconds);
    thread::spawn(move || take(server, &sender, &milliseconds));
    thread::spawn(move || give(client, &receiver));
    Ok(())
}

/// Notes for each piece when it is due.
fn take(mut server: TcpStream, sender: &SyncSender<(Instant, Vec<u8>)>, milliseconds: &AtomicU64) {
    let mut piece = vec![0; 1 << 16];
    while let Ok(length @ 1..) = server.read(&mut piece) {
        let due = Instant::now() + Duration::from_millis(milliseconds.load(Ordering::Relaxed));
        if sender.send((due, piece[..length].to_vec())).is_err() {
            return;
        }
    }
}

fn give(mut client: TcpStream, receiver: &Receiver<(Instant, Vec<u8>)>) {
    while let Ok((due, piece)) = receiver.recv() {
        // To be late is what this is for.
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if client.write_all(&piece).is_err() {
            return;
        }
    }
    let _gone = client.shutdown(Shutdown::Both);
}
