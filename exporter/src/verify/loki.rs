//! Records as Loki has them: attributes as structured metadata and labels, with `_` for `.`, all of them strings.

use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, StatusCode, Url};

use super::books::{Books, Full};
use super::loki_page::{self, Answer, Entry};
use super::record::{Faulty, RecordBuilder};

/// Loki refuses longer queries than 30 days; shorter ones tell how far it is.
const STEP_NS: u64 = 24 * 3600 * 1_000_000_000;
/// How many of these are looked at for the beginning of a run.
const STEPS_BACK: u64 = 7;
/// Most bytes of an answer: 5,000 records of some KiB.
const ANSWER_MAX: usize = 256 << 20;
/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// What grpc-go says of a message that is more than its limit.
const TOO_LARGE: &str = "received message larger than max";
/// How often a request is tried that Loki has no time for.
const TRIES: u32 = 6;
/// Pause before the second try; twice as long before each further one.
const PAUSE: Duration = Duration::from_millis(200);

/// Which records are asked for, nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From when on.
    pub from_ns: u64,
    /// Before when.
    pub to_ns: u64,
}

/// A Loki to read from.
#[derive(Debug)]
pub struct Loki {
    /// Its address: `http://loki:3100`, with what its API is below.
    pub url: Url,
    /// `LogQL` that selects records: `{service_name=~".+"}`.
    pub selector: String,
    /// `X-Scope-OrgID`, where it has tenants.
    pub tenant: Option<HeaderValue>,
    /// A file with a bearer token, read for each request.
    pub token: Option<PathBuf>,
    /// Most records of an answer; Loki allows 5,000 unless told otherwise.
    pub limit: usize,
}

/// Why Loki's records cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached.
    #[error("cannot ask Loki: {}", chain(.0))]
    Http(#[from] reqwest::Error),
    /// It does not want to.
    #[error("Loki refuses with {status}: {text}")]
    Refused {
        /// What it says.
        status: StatusCode,
        /// And in words.
        text: String,
    },
    /// It answers with something else.
    #[error("Loki's answer is not understood: {0}")]
    Answer(#[from] serde_json::Error),
    /// Its own parts cannot hand each other as much (`grpc_server_max_recv_msg_size`).
    #[error("Loki cannot hand out one record: raise grpc_server_max_recv_msg_size in its configuration")]
    Large,
    /// It answers with too much.
    #[error("Loki's answer has more than {} MiB: ask for fewer records by --page", ANSWER_MAX >> 20)]
    Long,
    /// The token cannot be used.
    #[error("cannot use the bearer token in {}: {cause}", path.display())]
    Token {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// No answer holds all records that nothing tells apart.
    #[error("Loki has {limit} records of one time and number, or more: allow more by --page")]
    Crowded {
        /// What an answer holds.
        limit: usize,
    },
    /// The books are full.
    #[error(transparent)]
    Full(#[from] Full),
}

/// One question.
struct Question<'a> {
    logql: &'a str,
    window: Window,
    limit: usize,
    direction: &'static str,
}

impl Loki {
    /// Enters all records of the window. `each` is called for each answer with the time up to which all is read, and for each
    /// record that cannot be entered with the reason.
    ///
    /// # Errors
    /// [`Error`]; what was read until then is entered.
    pub async fn read(
        &self,
        window: Window,
        books: &mut Books,
        each: &mut dyn FnMut(u64, Option<Faulty>, &Books),
    ) -> Result<(), Error> {
        let client = client()?;
        let logql = format!("{} | inotrail_stream_id!=\"\"", self.selector);
        let (mut from_ns, mut limit) = (window.from_ns, self.limit);
        while from_ns < window.to_ns {
            let to_ns = from_ns.saturating_add(STEP_NS).min(window.to_ns);
            let question = Question { logql: &logql, window: Window { from_ns, to_ns }, limit, direction: "forward" };
            let Some(answer) = fitting(self.ask(&client, &question).await, &mut limit)? else { continue };
            let entries = answer.entries()?;
            // A full answer may have cut records off that have its last one's time: they come with the next one.
            let last = entries.last().map(|entry| entry.time_ns).filter(|_| entries.len() >= limit);
            let whole = entries.iter().filter(|entry| last.is_none_or(|last| entry.time_ns < last));
            enter(whole, books, each)?;
            from_ns = match last {
                None => to_ns,
                Some(last) if last > from_ns => last,
                Some(last) => {
                    self.read_instant(&client, &logql, last, limit, books, each).await?;
                    last.saturating_add(1)
                }
            };
            each(from_ns, None, books);
        }
        Ok(())
    }

    /// Records of one time, of which there are more than an answer holds: by their numbers.
    async fn read_instant(
        &self,
        client: &Client,
        logql: &str,
        time_ns: u64,
        mut limit: usize,
        books: &mut Books,
        each: &mut dyn FnMut(u64, Option<Faulty>, &Books),
    ) -> Result<(), Error> {
        let window = Window { from_ns: time_ns, to_ns: time_ns.saturating_add(1) };
        // Loki counts in floating point: exact up to here, and no run makes more.
        let mut ranges = vec![(0, (1_u64 << 53) - 1)];
        while let Some((first, last)) = ranges.pop() {
            let logql = format!("{logql} | inotrail_stream_sequence>={first} | inotrail_stream_sequence<={last}");
            let question = Question { logql: &logql, window, limit, direction: "forward" };
            let Some(answer) = fitting(self.ask(client, &question).await, &mut limit)? else {
                ranges.push((first, last));
                continue;
            };
            let entries = answer.entries()?;
            if entries.len() < limit {
                enter(entries.iter(), books, each)?;
                continue;
            }
            let mut numbers: Vec<u64> = entries.iter().filter_map(Entry::sequence).collect();
            numbers.sort_unstable();
            let middle = numbers.get(numbers.len() / 2).copied().unwrap_or(first).clamp(first, last);
            if first == last {
                return Err(Error::Crowded { limit });
            }
            let middle = middle.min(last - 1);
            ranges.extend([(middle + 1, last), (first, middle)]);
        }
        Ok(())
    }

    /// The time of a record of this run before the window, of the last days; nothing where there is none.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn seen_before(&self, run: &str, window: Window) -> Result<Option<u64>, Error> {
        let client = client()?;
        let logql = format!("{} | inotrail_stream_id={}", self.selector, serde_json::to_string(run)?);
        for step in 0..STEPS_BACK {
            let to_ns = window.from_ns.saturating_sub(step * STEP_NS);
            let window = Window { from_ns: to_ns.saturating_sub(STEP_NS), to_ns };
            let question = Question { logql: &logql, window, limit: 1, direction: "backward" };
            if let Some(entry) = self.ask(&client, &question).await?.entries()?.first() {
                return Ok(Some(entry.time_ns));
            }
        }
        Ok(None)
    }

    async fn ask(&self, client: &Client, question: &Question<'_>) -> Result<Answer, Error> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.try_to_ask(client, question).await {
                Err(Error::Refused { text, .. }) if text.contains(TOO_LARGE) => return Err(Error::Large),
                Err(Error::Refused { status, .. })
                    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {}
                result => return result,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        self.try_to_ask(client, question).await
    }

    async fn try_to_ask(&self, client: &Client, question: &Question<'_>) -> Result<Answer, Error> {
        let mut request = client.get(self.url_of(question));
        // Without this Loki mixes structured metadata into the labels.
        request = request.header("X-Loki-Response-Encoding-Flags", "categorize-labels");
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Scope-OrgID", tenant);
        }
        if let Some(path) = &self.token {
            request = request.header(AUTHORIZATION, bearer(path)?);
        }
        let mut response = request.send().await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > ANSWER_MAX {
                return Err(Error::Long);
            }
            body.extend_from_slice(&chunk);
        }
        match response.status() {
            status if status.is_success() => Ok(Answer(body)),
            status => Err(Error::Refused { status, text: loki_page::words(&body) }),
        }
    }

    fn url_of(&self, question: &Question<'_>) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/loki/api/v1/query_range", self.url.path().trim_end_matches('/')));
        url.query_pairs_mut()
            .clear()
            .append_pair("query", question.logql)
            .append_pair("start", &question.window.from_ns.to_string())
            .append_pair("end", &question.window.to_ns.to_string())
            .append_pair("limit", &question.limit.to_string())
            .append_pair("direction", question.direction);
        url
    }
}

/// The answer; nothing where it was too large for Loki itself, and is to be asked for again with half the `limit`.
fn fitting(answer: Result<Answer, Error>, limit: &mut usize) -> Result<Option<Answer>, Error> {
    match answer {
        Err(Error::Large) if *limit > 1 => {
            *limit /= 2;
            Ok(None)
        }
        answer => answer.map(Some),
    }
}

fn enter<'a>(
    entries: impl Iterator<Item = &'a Entry<'a>>,
    books: &mut Books,
    each: &mut dyn FnMut(u64, Option<Faulty>, &Books),
) -> Result<(), Full> {
    let hasher = books.hasher();
    for entry in entries {
        match entry.record(RecordBuilder::new(&hasher)) {
            Ok(Some(record)) => books.take(&record)?,
            Ok(None) => books.other(),
            Err(faulty) => {
                books.fault();
                each(entry.time_ns, Some(faulty), books);
            }
        }
    }
    Ok(())
}

fn client() -> Result<Client, Error> {
    // Whoever was first has chosen the same.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    Ok(Client::builder().timeout(TIMEOUT).user_agent(concat!("inotrail/", env!("CARGO_PKG_VERSION"))).build()?)
}

fn bearer(path: &PathBuf) -> Result<HeaderValue, Error> {
    let failed = |cause| Error::Token { path: path.clone(), cause };
    let token = fs::read_to_string(path).map_err(failed)?;
    let value = HeaderValue::from_str(&format!("Bearer {}", token.trim()));
    let mut value = value.map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    value.set_sensitive(true);
    Ok(value)
}

/// reqwest's own words name the address only; the cause is behind them.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
