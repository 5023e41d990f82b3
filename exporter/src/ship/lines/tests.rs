use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::rc::Rc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use rustix::io::Errno;
use tempfile::TempDir;

use super::calls::Calls;
use super::*;

const BIG: u64 = 1 << 20;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("records.jsonl");
    (folder, path)
}

fn log(path: &Path, size: u64, keep: u32) -> LogFile<Os> {
    LogFile::new(path.to_owned(), size, keep, Os)
}

/// Every file of the folder, by its name.
fn files(folder: &TempDir) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
    let text = |path: PathBuf| {
        let name = path.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
        (name, fs::read_to_string(path).expect("a file"))
    };
    let mut files: Vec<_> = entries.map(text).collect();
    files.sort();
    files
}

#[track_caller]
fn check(folder: &TempDir, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(files(folder), expected);
}

#[test]
fn rotates_whole_requests() {
    let (folder, path) = folder();
    let mut file = log(&path, 10, 2);
    file.append(b"1\n2\n3\n").expect("append");
    assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    file.append(b"4\n5\n").expect("append: as long as it may be");
    check(&folder, &[("records.jsonl", "1\n2\n3\n4\n5\n")]);
    file.append(b"6\n").expect("append");
    check(&folder, &[("records.jsonl", "6\n"), ("records.jsonl.1", "1\n2\n3\n4\n5\n")]);
    // After a restart its length counts. Too long alone.
    drop(file);
    let mut file = log(&path, 10, 2);
    file.append(b"7777777777777\n").expect("append");
    file.append(b"8\n").expect("append");
    let expected = [("records.jsonl", "8\n"), ("records.jsonl.1", "7777777777777\n"), ("records.jsonl.2", "6\n")];
    check(&folder, &expected);
    // The oldest makes room; what is behind a gap, which a kill may leave, stays.
    fs::remove_file(folder.path().join("records.jsonl.1")).expect("remove");
    file.append(b"9999999999\n").expect("append");
    let expected = [("records.jsonl", "9999999999\n"), ("records.jsonl.1", "8\n"), ("records.jsonl.2", "6\n")];
    check(&folder, &expected);
}

#[test]
fn follows_the_path() {
    let (folder, path) = folder();
    let mut file = log(&path, BIG, 2);
    file.append(b"1\n").expect("append");
    fs::rename(&path, folder.path().join("moved")).expect("rename");
    file.append(b"2\n").expect("append");
    check(&folder, &[("moved", "1\n"), ("records.jsonl", "2\n")]);
    fs::remove_file(&path).expect("remove");
    file.append(b"3\n").expect("append");
    check(&folder, &[("moved", "1\n"), ("records.jsonl", "3\n")]);
    // The folder goes, and comes back.
    let away = folder.path().with_extension("away");
    fs::rename(folder.path(), &away).expect("rename");
    let error = file.append(b"4\n").expect_err("no folder");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    fs::rename(&away, folder.path()).expect("rename");
    file.append(b"4\n").expect("append");
    // Emptied by somebody: nothing is written where its end was.
    File::options().write(true).truncate(true).open(&path).expect("truncate");
    file.append(b"5\n").expect("append");
    check(&folder, &[("moved", "1\n"), ("records.jsonl", "5\n")]);
}

#[test]
fn torn_lines_are_mended() {
    let check = |before: &[u8], after: &str| {
        let (_folder, path) = folder();
        fs::write(&path, before).expect("write");
        log(&path, BIG, 1).append(b"{}\n").expect("append");
        assert_eq!(fs::read_to_string(&path).expect("UTF-8"), format!("{after}{{}}\n"), "{before:?}");
    };
    check(b"", "");
    check(b"{\"a\":1}\n", "{\"a\":1}\n");
    // The start of a line of ours.
    check(b"{\"a\":1}\n{\"b", "{\"a\":1}\n");
    check(b"{\"b", "");
    check(b"{\"a\":1}\n\0\0\0", "{\"a\":1}\n");
    // Only its end is missing; or it is none of ours.
    check(b"{\"a\":1}\n{\"b\":2}", "{\"a\":1}\n{\"b\":2}\n");
    check(b"precious", "precious\n");
    check(b"{\n  \"pretty\": 1\n}", "{\n  \"pretty\": 1\n}\n");
}

#[test]
fn refuses_what_is_no_file() {
    let (folder, path) = folder();
    let at = |name: &str| folder.path().join(name);
    let refused = |path: &Path, expected: &str| {
        let said = super::check(path).expect_err("refused").to_string();
        assert!(said.starts_with(&format!("cannot write to file://{}: {expected}", path.display())), "{said}");
        assert!(said.contains("name a file, no link, in a folder that is there"), "{said}");
    };
    fs::write(at("precious"), "x").expect("write");
    symlink(at("precious"), at("link")).expect("link");
    refused(&at("link"), "Too many levels of symbolic links");
    refused(folder.path(), "Is a directory");
    refused(&at("absent/file"), "No such file or directory");
    refused(&at("precious/file"), "Not a directory");
    refused(Path::new("/dev/full"), "it is no regular file");
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    refused(&at("pipe"), "it is no regular file");
    // Whoever writes there now may end.
    let mut other = log(&path, BIG, 1);
    other.append(b"1\n").expect("append");
    super::check(&path).expect("a file");
    let used = log(&path, BIG, 1).append(b"2\n").expect_err("used");
    assert_eq!(used.kind(), io::ErrorKind::WouldBlock);
    drop(other);
    log(&path, BIG, 1).append(b"2\n").expect("append");
    assert_eq!(fs::read_to_string(&path).expect("a file"), "1\n2\n");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Append,
    Sync,
    SetLen,
    Rename,
}

/// Fails these calls, each after it was half done.
#[derive(Clone, Debug, Default)]
struct Faults {
    plan: Rc<RefCell<Vec<Call>>>,
    errno: Rc<Cell<Option<Errno>>>,
}

impl Faults {
    fn result(&self, call: Call) -> io::Result<()> {
        let fails = self.plan.borrow().contains(&call);
        self.errno.get().filter(|_| fails).map_or(Ok(()), |errno| Err(errno.into()))
    }
}

impl Calls for Faults {
    fn append(&self, file: &File, bytes: &[u8]) -> io::Result<()> {
        let failed = self.result(Call::Append);
        Os.append(file, &bytes[..if failed.is_err() { bytes.len() / 2 } else { bytes.len() }])?;
        failed
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.result(Call::Sync).and_then(|()| Os.sync(file))
    }

    fn set_len(&self, file: &File, len: u64) -> io::Result<()> {
        self.result(Call::SetLen).and_then(|()| Os.set_len(file, len))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.result(Call::Rename).and_then(|()| Os.rename(from, to))
    }
}

#[test]
fn no_fault_doubles_or_tears_a_line() {
    for errno in [Errno::NOSPC, Errno::DQUOT, Errno::IO, Errno::ROFS] {
        for (plan, is_seen) in [
            (&[Call::Append][..], false),
            (&[Call::Sync], false),
            (&[Call::Append, Call::SetLen], true),
            (&[Call::Sync, Call::SetLen], true),
            (&[Call::Rename], false),
        ] {
            let (folder, path) = folder();
            let faults = Faults::default();
            let mut file = LogFile::new(path, 8, 3, faults.clone());
            file.append(b"1111\n").expect("append");
            faults.errno.set(Some(errno));
            *faults.plan.borrow_mut() = plan.to_vec();
            // Longer than the room that is left where it is renamed.
            let text: &[u8] = if plan == [Call::Rename] { b"22\n33\n" } else { b"2\n" };
            for _attempt in 0..3 {
                let error = file.append(text).expect_err("a fault");
                assert_eq!(Errno::from_io_error(&error), Some(errno));
                // Only where nothing helps is there anything to see of it.
                assert_eq!(files(&folder)[0].1 != "1111\n", is_seen, "{plan:?}");
            }
            faults.errno.set(None);
            file.append(text).expect("append");
            let all: String = files(&folder).into_iter().rev().map(|(_, text)| text).collect();
            assert_eq!(all.as_bytes(), [b"1111\n", text].concat(), "{plan:?} {errno}");
        }
    }
}

#[test]
fn a_reader_that_is_slow_or_gone() {
    let (reader, writer) = io::pipe().expect("a pipe");
    let mut out = Stdout::new(writer.into());
    let stop = AtomicBool::new(false);
    let long = format!("{}\n", "x".repeat(1 << 20));
    // Nobody reads: as much as fits the pipe is written, and not waited for where that is not wanted.
    let torn = std::thread::scope(|scope| {
        let writing = scope.spawn(|| out.append(long.as_bytes(), &stop));
        rustix::event::poll(
            &mut [rustix::event::PollFd::new(&reader, rustix::event::PollFlags::IN)],
            Some(&rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 }),
        )
        .expect("poll");
        stop.store(true, Ordering::Relaxed);
        writing.join().expect("a thread")
    });
    assert_eq!(torn.expect_err("stopped").to_string(), "the reader does not read");
    stop.store(false, Ordering::Relaxed);
    // The line that was left is ended.
    let mut reader = BufReader::new(reader);
    let lines = std::thread::scope(|scope| {
        let writing = scope.spawn(|| out.append(b"whole\n", &stop));
        let mut lines = [String::new(), String::new()];
        for line in &mut lines {
            reader.read_line(line).expect("a line");
            // Else nothing would follow it.
            assert!(!line.contains("xwhole"), "the line that was left is not ended");
        }
        writing.join().expect("a thread").expect("append");
        lines
    });
    assert!(lines[0].len() >= CHUNK_MIN && lines[0].len() < long.len() && lines[1] == "whole\n", "{}", lines[0].len());
    drop(reader);
    assert_eq!(out.append(b"x\n", &stop).expect_err("nobody").kind(), io::ErrorKind::BrokenPipe);
}

/// A pipe holds a page at least.
const CHUNK_MIN: usize = 4096;

fn packed(text: &[u8]) -> Bytes {
    zstd::bulk::compress(text, 1).expect("compress").into()
}

/// A request of one record with this text.
fn body(text: &str) -> Bytes {
    // ExportLogsServiceRequest > ResourceLogs > ScopeLogs > LogRecord > body: AnyValue > string_value.
    let wrap = |tag: u8, inner: Vec<u8>| [vec![tag, inner.len() as u8], inner].concat();
    let value = wrap(0x0a, text.as_bytes().to_vec());
    packed(&[0x2a, 0x12, 0x12, 0x0a].iter().fold(value, |inner, tag| wrap(*tag, inner)))
}

/// Three attempts of which none waits, while somebody has the lock: as if the disk hung. Then it is written once.
async fn given_up<T>(lines: &mut Lines, lock: impl FnOnce(&End) -> MutexGuard<'_, T>) {
    let end = Arc::clone(&lines.end);
    let first = body("first");
    {
        let _held = lock(&end);
        for _attempt in 0..3 {
            let given_up = std::future::poll_fn(|context| {
                let attempt = std::pin::pin!(lines.export(&first));
                std::task::Poll::Ready(attempt.poll(context).is_pending())
            });
            assert!(futures_util::FutureExt::now_or_never(given_up).expect("ready"));
        }
    }
    assert!(lines.export(&first).await.1.is_ok());
    let mut others = lines.clone();
    assert!(others.export(&body("second")).await.1.is_ok());
    assert!(matches!(others.export(&packed(b"\xff")).await, (0, Err(Failure::Damaged))));
    assert!(matches!(others.export(&Bytes::from_static(b"x")).await, (0, Err(Failure::Damaged))));
}

#[track_caller]
fn check_lines(text: &str) {
    let bodies: Vec<_> = text.lines().map(|line| line.contains("\"body\":\"first\"")).collect();
    assert_eq!(bodies, [true, false], "{text}");
}

const JSON: config::Lines = config::Lines { form: Form::Json, rotate_size: BIG, rotate_keep: 1 };

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_was_given_up_goes_on() {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let end = Arc::new(End::Stdout(Mutex::new(Stdout::new(writer.into()))));
    let mut lines = Lines { endpoint: Endpoint::Stdout, config: JSON, end, turn: Arc::default(), job: Job::default() };
    given_up(&mut lines, |end| match end {
        End::Stdout(out) => out.lock().expect("a lock"),
        End::File(_) => panic!("a pipe"),
    })
    .await;
    drop(lines);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("UTF-8");
    check_lines(&text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_not_written_twice_by_attempts_that_were_given_up() {
    let (_folder, path) = folder();
    let mut lines = Lines::to_file(&path, JSON);
    given_up(&mut lines, |end| match end {
        End::File(file) => file.lock().expect("a lock"),
        End::Stdout(_) => panic!("a file"),
    })
    .await;
    check_lines(&fs::read_to_string(&path).expect("lines"));
}

#[test]
fn large_requests_are_decoded_in_parts() {
    const RECORDS: usize = 300;
    let record = |number: usize| LogRecord { event_name: format!("{number:01024}"), ..LogRecord::default() };
    let scope_logs = |records: std::ops::Range<usize>| {
        vec![ScopeLogs { scope: Some(scope()), log_records: records.map(record).collect(), ..ScopeLogs::default() }]
    };
    let logs = |records| ResourceLogs {
        resource: Some(Resource::default()),
        scope_logs: scope_logs(records),
        ..ResourceLogs::default()
    };
    let request = ExportLogsServiceRequest { resource_logs: vec![logs(0..100), logs(100..RECORDS)] };
    let text = text(Form::OtlpJson, request.encode_to_vec()).expect("lines");
    let lines: Vec<_> = std::str::from_utf8(&text).expect("UTF-8").lines().collect();
    assert!(lines.len() > 3 && lines.iter().all(|line| line.len() < 2 * AT_ONCE), "{} lines", lines.len());
    let read = |line: &&str| serde_json::from_str::<ExportLogsServiceRequest>(line).expect("a request").resource_logs;
    let records = lines.iter().flat_map(read).flat_map(|logs| logs.scope_logs).flat_map(|logs| logs.log_records);
    assert!(records.eq((0..RECORDS).map(record)), "all records, in order");
}

fn scope() -> InstrumentationScope {
    InstrumentationScope { name: "inotrail".to_owned(), ..InstrumentationScope::default() }
}
