//! A destination that is a file or stdout: requests as lines of JSON.
//!
//! A request is acknowledged when its lines are written, and in a file durable. One that was not acknowledged is written
//! again: by a crash between the two, lines come twice.

mod calls;
mod file;
mod stdout;
mod tail;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess;
use rustix::io::Errno;
use tokio::task::{JoinHandle, spawn_blocking};

use super::Error;
use super::grpc::Failure;
use super::outcome::unpacked;
use crate::config::choice::Form;
use crate::config::{self, Endpoint, Export};
use crate::{otlp, sink};
use calls::Os;
use file::LogFile;
use stdout::Stdout;

/// Lines of one end. Clones share it: their requests are written one after the other.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    endpoint: Endpoint,
    config: config::Lines,
    end: Arc<End>,
    /// Who unpacks and writes: a request takes many times its packed size meanwhile.
    turn: Arc<Mutex<()>>,
    job: Job,
}

#[derive(Debug)]
enum End {
    File(Mutex<LogFile<Os>>),
    Stdout(Mutex<Stdout>),
}

/// A request that is being written. An attempt that was given up goes on, for no thread can be taken from a disk: the next one
/// waits for it, instead of writing twice.
#[derive(Debug, Default)]
struct Job(Option<Running>);

#[derive(Debug)]
struct Running {
    body: Bytes,
    written: JoinHandle<Result<usize, Failure>>,
    stop: Arc<AtomicBool>,
}

impl Lines {
    /// Opens nothing yet.
    pub(super) fn to_file(path: &Path, config: config::Lines) -> Self {
        let file = LogFile::new(path.to_owned(), config.rotate_size, config.rotate_keep, Os);
        Self {
            endpoint: Endpoint::File(path.to_owned()),
            config,
            end: Arc::new(End::File(Mutex::new(file))),
            turn: Arc::default(),
            job: Job::default(),
        }
    }

    /// stdout is this one's alone.
    pub(super) fn to_stdout(config: config::Lines) -> Result<Self, Error> {
        let out = Stdout::open().map_err(|cause| Error::Lines { endpoint: Endpoint::Stdout, cause })?;
        Ok(Self {
            endpoint: Endpoint::Stdout,
            config,
            end: Arc::new(End::Stdout(Mutex::new(out))),
            turn: Arc::default(),
            job: Job::default(),
        })
    }

    /// Whether they would be written so by a configuration.
    pub(super) fn is_of(&self, config: &Export) -> bool {
        self.endpoint == config.endpoint && self.config == config.lines
    }

    /// Writes a body that is compressed by zstd. Returns how many bytes that was. Where it is not waited for any longer, the
    /// next call with the same body goes on.
    pub(super) async fn export(&mut self, packed: &Bytes) -> (usize, Result<ExportLogsPartialSuccess, Failure>) {
        if !self.job.is_of(packed) {
            self.job = Job::start(self, packed);
        }
        let Some(running) = &mut self.job.0 else { return (0, Err(Failure::Damaged)) };
        let written = match (&mut running.written).await {
            Ok(written) => written,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        self.job = Job::default();
        match written {
            Ok(bytes) => (bytes, Ok(ExportLogsPartialSuccess::default())),
            Err(failure) => (0, Err(failure)),
        }
    }

    /// Whether lines can be written, as far as that is known without writing any.
    pub(super) async fn find(&self) -> Result<(), String> {
        let end = Arc::clone(&self.end);
        match spawn_blocking(move || end.find()).await {
            Ok(found) => found,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
}

/// Whether lines can be written to a file as it is configured: not where somebody has to mend something first. A disk that is
/// full or fails, or another one who still writes there, is waited for.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    match LogFile::new(path.to_owned(), u64::MAX, 1, Os).open() {
        Err(cause) if !is_passing(&cause) => Err(Error::Lines { endpoint: Endpoint::File(path.to_owned()), cause }),
        _ => Ok(()),
    }
}

fn is_passing(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOSPC | Errno::DQUOT | Errno::IO | Errno::WOULDBLOCK | Errno::MFILE | Errno::NFILE))
}

impl End {
    fn append(&self, text: &[u8], stop: &AtomicBool) -> Result<(), String> {
        match self {
            Self::File(file) => {
                let mut file = lock(file);
                file.append(text).map_err(|error| said(&file, &error))
            }
            Self::Stdout(out) => lock(out).append(text, stop).map_err(|error| format!("stdout: {error}")),
        }
    }

    fn find(&self) -> Result<(), String> {
        match self {
            Self::File(file) => {
                let mut file = lock(file);
                file.open().map_err(|error| said(&file, &error))
            }
            Self::Stdout(_) => Ok(()),
        }
    }
}

/// Bytes of a request that are decoded at once, where it has more than one record: decoded, they take ten times as many.
const AT_ONCE: usize = 64 << 10;

/// A request as lines; nothing where it is damaged.
fn text(form: Form, request: Vec<u8>) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(request.len() * 3);
    let mut parts = vec![request];
    while let Some(part) = parts.pop() {
        let halves = if part.len() > AT_ONCE { otlp::split(&part) } else { None };
        match halves {
            Some([first, second]) => parts.extend([second.body, first.body]),
            None => sink::lines::write(form, &part, &mut text).ok()?,
        }
    }
    Some(text)
}

fn said(file: &LogFile<Os>, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::WouldBlock {
        return format!("{}: another exporter writes there", file.path().display());
    }
    format!("{}: {error}", file.path().display())
}

impl Job {
    fn start(lines: &Lines, packed: &Bytes) -> Self {
        let (end, turn, form) = (Arc::clone(&lines.end), Arc::clone(&lines.turn), lines.config.form);
        let (body, stop) = (packed.clone(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let written = spawn_blocking(move || {
            let _turn = lock(&turn);
            let request = unpacked(&body).ok_or(Failure::Damaged)?;
            let text = text(form, request).ok_or(Failure::Damaged)?;
            end.append(&text, &stopped).map_err(Failure::Connection)?;
            Ok(text.len())
        });
        Self(Some(Running { body: packed.clone(), written, stop }))
    }

    /// As long as it runs, its body is at no other's place.
    fn is_of(&self, packed: &Bytes) -> bool {
        let place = |body: &Bytes| (body.as_ptr(), body.len());
        self.0.as_ref().is_some_and(|running| place(&running.body) == place(packed))
    }
}

impl Clone for Job {
    /// Whoever has a clone begins with requests of its own.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(running) = &self.0 {
            running.stop.store(true, Ordering::Relaxed);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
