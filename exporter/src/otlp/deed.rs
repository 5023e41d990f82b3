//! What was done to a file, and how it ended: there are few different ones, each encoded once.

use inotrail_ebpf::{Header, flags};

use super::attribute;
use super::memo::Memo;
use super::phrase::Phrase;
use super::record::{INFO, INFO2};
use super::wire::attribute;
use crate::errno;
use crate::event::{Access, AccessMode, Operation, Outcome};

/// Deeds that are kept.
const KEPT: usize = 64;

/// The deeds seen lately.
#[derive(Debug)]
pub(super) struct Deeds {
    /// Attributes that every record starts with, encoded.
    run: Vec<u8>,
    kept: Memo<Key, Deed>,
}

/// What accesses of one kind have in common.
#[derive(Debug, Default)]
pub(super) struct Deed {
    /// `LogRecord.severity_number`, unless a rule says otherwise.
    pub(super) severity: u8,
    /// Attributes: those of every record first, the last of them how sure the path is.
    attributes: Vec<u8>,
    /// Bytes of those without the last.
    nameless: usize,
    /// What the body says before the file, `failed to open `; after it, ` for reading`; at its end, `: EACCES`; and the last two
    /// together.
    pub(super) words: [Phrase; 4],
}

/// All that a deed is made of: kind and mask, result and flags of the open, confidence and whether two files were exchanged.
type Key = [u64; 3];

impl Deeds {
    /// `run` is what attributes start with.
    pub(super) fn new(run: Vec<u8>) -> Self {
        Self { run, kept: Memo::new(KEPT) }
    }

    #[inline]
    pub(super) fn of(&mut self, access: &Access<'_>) -> &Deed {
        let Header { kind, mask, result, open_flags, confidence, flags, .. } = *access.header;
        let pair = |one: u32, other: u32| u64::from(one) << 32 | u64::from(other);
        let exchanged = flags & flags::EXCHANGED;
        let key = [pair(kind, mask), pair(result.cast_unsigned(), open_flags), pair(confidence, exchanged)];
        let hash = mask ^ mask >> 16 ^ open_flags ^ open_flags >> 6 ^ result.cast_unsigned() ^ kind << 3;
        self.kept.get(hash, key, |deed| deed.fill(&self.run, access, exchanged != 0))
    }
}

impl Deed {
    /// Attributes of an access to a file that has a name, or has none.
    pub(super) fn attributes(&self, is_named: bool) -> &[u8] {
        if is_named { &self.attributes } else { &self.attributes[..self.nameless] }
    }

    /// Bytes of all, at most.
    pub(super) fn len(&self) -> usize {
        self.attributes.len() + self.words.iter().map(Phrase::len).sum::<usize>()
    }

    fn fill(&mut self, run: &[u8], access: &Access<'_>, exchanged: bool) {
        let (operation, mode, outcome) = (access.operation(), access.access_mode(), access.outcome());
        let Self { severity, attributes: out, nameless, words: [before, after, end, both] } = self;
        *severity = if matches!(outcome, Outcome::Failure(_)) { INFO2 } else { INFO };
        run.clone_into(out);
        attribute!(string, out, attribute::FILE_OPERATION, operation.as_str().as_bytes());
        if let Some(mode) = mode {
            attribute!(string, out, attribute::FILE_ACCESS_MODE, mode.as_str().as_bytes());
        }
        let (ended, tried): (&[u8], &[u8]) = match outcome {
            Outcome::Success => (b"success", b""),
            Outcome::Failure(_) => (b"failure", b"failed to "),
            Outcome::Unknown => (b"unknown", b"asked to "),
        };
        attribute!(string, out, attribute::FILE_OUTCOME, ended);
        if let Outcome::Failure(errno) = outcome {
            let number = errno.unsigned_abs();
            let name = errno::symbol(errno).map_or_else(|| number.to_string(), str::to_owned);
            attribute!(string, out, attribute::ERROR_TYPE, name.as_bytes());
            end.set(&[b": ", name.as_bytes()]);
        } else {
            end.set(&[]);
        }
        if let Some(flags) = access.open_flags() {
            attribute!(int, out, attribute::FILE_OPEN_FLAGS, flags.into());
        }
        *nameless = out.len();
        attribute!(string, out, attribute::FILE_CONFIDENCE, access.confidence().as_bytes());
        let (done, to_do) = verb(operation, exchanged);
        before.set(&[tried, if outcome == Outcome::Success { done } else { to_do }.as_bytes(), b" "]);
        after.set(&[match mode {
            Some(AccessMode::Read) => b" for reading",
            Some(AccessMode::Write) => b" for writing",
            Some(AccessMode::ReadWrite) => b" for reading and writing",
            None if operation == Operation::MmapExecute => b" for execution",
            // "executed" says it all.
            Some(AccessMode::Execute) | None => b"",
        }]);
        both.set(&[after.text(), end.text()]);
    }
}

/// What was done, and the same to be done.
const fn verb(operation: Operation, exchanged: bool) -> (&'static str, &'static str) {
    match operation {
        Operation::Open => ("opened", "open"),
        Operation::Create => ("created", "create"),
        Operation::Execute => ("executed", "execute"),
        Operation::Delete => ("deleted", "delete"),
        Operation::Rename if exchanged => ("exchanged", "exchange"),
        Operation::Rename => ("renamed", "rename"),
        Operation::Link => ("linked", "link"),
        Operation::Symlink => ("made the symbolic link", "make the symbolic link"),
        Operation::Mkdir => ("made the directory", "make the directory"),
        Operation::Rmdir => ("removed the directory", "remove the directory"),
        Operation::Truncate => ("truncated", "truncate"),
        Operation::Chmod => ("changed the mode of", "change the mode of"),
        Operation::Chown => ("changed the owner of", "change the owner of"),
        Operation::Setxattr => ("set an attribute of", "set an attribute of"),
        Operation::MmapExecute => ("mapped", "map"),
    }
}
