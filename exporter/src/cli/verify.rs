//! `inotrail verify`: reads an audit trail, and says whether it is complete.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use reqwest::Url;

use serde::Serialize as _;
use serde_json::Serializer;

use super::{Error, print};
use crate::clock::unix_now;
use crate::config::args::VerifyArgs;
use crate::config::choice::VerifyOutput;
use crate::sink::Escape;
use crate::verify::{self, Books, Full, Loki, LokiError, Report, Start, Stop, Verdict, Window};

mod text;

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_millis(500);

/// Why a trail cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file cannot be read.
    #[error("cannot read {}: {cause}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The books are full.
    #[error(transparent)]
    Full(#[from] Full),
    /// Loki's records cannot be had.
    #[error(transparent)]
    Loki(#[from] LokiError),
    /// No thread can be made.
    #[error("cannot start: {0}")]
    Start(io::Error),
}

pub(super) fn verify(args: VerifyArgs) -> Result<ExitCode, Error> {
    let output = args.output;
    let books = match args.loki.clone() {
        Some(url) => from_loki(url, args)?,
        None => from_files(&args.files, if args.cut { Start::Cut } else { Start::Whole })?,
    };
    let report = books.report();
    let text = match output {
        VerifyOutput::Table => text::of(&report, super::columns()),
        VerifyOutput::Json => json(&report).map_err(io::Error::other).map_err(Error::Output)?,
    };
    print(text.as_bytes())?;
    Ok(if report.verdict == Verdict::Incomplete { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One line in which nothing steers a terminal: names are whatever a record says.
fn json(report: &Report) -> serde_json::Result<String> {
    let mut line = Vec::new();
    report.serialize(&mut Serializer::with_formatter(&mut line, Escape))?;
    line.push(b'\n');
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn from_files(files: &[PathBuf], start: Start) -> Result<Books, VerifyError> {
    let mut books = Books::new(start);
    let mut progress = Progress::new();
    for path in files {
        let failed = |cause| VerifyError::File { path: path.clone(), cause };
        let source: Box<dyn BufRead> = match path.to_str() {
            Some("-") => Box::new(io::stdin().lock()),
            _ => Box::new(BufReader::with_capacity(BUFFER, File::open(path).map_err(failed)?)),
        };
        let mut each = |line, malformed: Option<_>, books: &Books| match malformed {
            Some(malformed) => progress.complain(&format!("{}:{line}: {malformed}", path.display())),
            None => progress.tell(books, || format!("{}:{line}", shown(path))),
        };
        verify::read(source, &mut books, &mut each).map_err(|stop| match stop {
            Stop::Read(cause) => failed(cause),
            Stop::Full(full) => full.into(),
        })?;
    }
    progress.end();
    Ok(books)
}

fn from_loki(url: Url, args: VerifyArgs) -> Result<Books, VerifyError> {
    let to_ns = args.to.unwrap_or_else(unix_now);
    let since = u64::try_from(args.since.as_nanos()).unwrap_or(u64::MAX);
    let window = Window { from_ns: args.from.unwrap_or_else(|| to_ns.saturating_sub(since)), to_ns };
    let loki = Loki {
        url,
        selector: args.query_selector,
        tenant: args.tenant,
        token: args.bearer_token_file,
        limit: args.page.get() as usize,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(VerifyError::Start)?;
    let mut books = Books::new(Start::Whole);
    let mut progress = Progress::new();
    let mut each = |time_ns, faulty: Option<_>, books: &Books| match faulty {
        Some(faulty) => progress.complain(&format!("{}: {faulty}", text::time(time_ns))),
        None => progress.tell(books, || format!("until {}", text::time(time_ns))),
    };
    runtime.block_on(async {
        loki.read(window, &mut books, &mut each).await?;
        // What is before a run's first number is missing, unless the run was there before the window.
        for run in books.doubtful() {
            if let Some(time_ns) = loki.seen_before(&run, window).await? {
                books.seen_before(&run, time_ns);
            }
        }
        Ok::<_, LokiError>(())
    })?;
    progress.end();
    Ok(books)
}

fn shown(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().map_or_else(|| "stdin".into(), |name| name.to_string_lossy())
}

/// What a person sees while it works: one line of a terminal, written over and over.
struct Progress {
    terminal: bool,
    last: Instant,
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), last: Instant::now(), shown: false }
    }

    fn tell(&mut self, books: &Books, place: impl FnOnce() -> String) {
        if !self.terminal || self.last.elapsed() < PROGRESS {
            return;
        }
        let (records, runs) = books.entered();
        let _closed = write!(io::stderr(), "\r\x1b[K{}: {records} records of {runs} runs", place());
        (self.last, self.shown) = (Instant::now(), true);
    }

    fn complain(&mut self, text: &str) {
        self.end();
        let _closed = writeln!(io::stderr(), "inotrail: {text}");
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _closed = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
