//! A writer of type information (Documentation/bpf/btf.rst), and a cutter that keeps a few types of a real kernel's.

use std::collections::HashMap;

use anyhow::{Context as _, Result, ensure};

pub(super) const INT: u32 = 1;
pub(super) const POINTER: u32 = 2;
const ARRAY: u32 = 3;
pub(super) const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
pub(super) const TYPEDEF: u32 = 8;
pub(super) const CONST: u32 = 10;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const HEADER: usize = 24;

/// Types being written; numbers of types count from 1.
#[derive(Default)]
pub(super) struct Writer {
    types: Vec<Vec<u32>>,
    strings: Vec<u8>,
}

impl Writer {
    /// Offset of a string among the strings.
    pub(super) fn string(&mut self, text: &[u8]) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        if text.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend_from_slice(text);
        self.strings.push(0);
        at
    }

    /// Adds a type: its name, kind, number of entries, size or type, and the words of its entries. Returns its number.
    pub(super) fn push(&mut self, name: &[u8], kind: u32, entries: u32, size: u32, body: &[u32]) -> u32 {
        let name = self.string(name);
        self.types.push([&[name, kind << 24 | entries, size], body].concat());
        self.types.len() as u32
    }

    /// Sets the entries of a type that was pushed before what they refer to.
    fn fill(&mut self, id: u32, body: &[u32]) {
        self.types[id as usize - 1].extend_from_slice(body);
    }

    /// A `struct` with members of (name, type, offset in bits).
    pub(super) fn structure(&mut self, name: &[u8], size: u32, members: &[(&[u8], u32, u32)]) -> u32 {
        let body: Vec<u32> = members.iter().flat_map(|(name, of, bits)| [self.string(name), *of, *bits]).collect();
        self.push(name, STRUCT, members.len() as u32, size, &body)
    }

    /// The file: header, types, strings.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.string(b"");
        let types: Vec<u32> = self.types.into_iter().flatten().collect();
        let length = 4 * types.len() as u32;
        let header = [0x0001_eb9f, HEADER as u32, 0, length, length, self.strings.len() as u32];
        let words = header.into_iter().chain(types).flat_map(u32::to_le_bytes);
        words.chain(self.strings).collect()
    }
}

/// A real kernel's types.
pub(super) struct Types<'a> {
    bytes: &'a [u8],
    /// Offset of each; that of type 0 means nothing.
    offsets: Vec<usize>,
    strings: usize,
    /// The first type of each kind and name.
    names: HashMap<(u32, &'a [u8]), u32>,
}

impl<'a> Types<'a> {
    /// Reads a well-formed file; anything else is an error or a panic.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self> {
        ensure!(bytes.starts_with(&[0x9f, 0xeb, 1]), "this is no little-endian type information");
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let header = word(4) as usize;
        let (mut at, end) = (header + word(8) as usize, header + (word(8) + word(12)) as usize);
        let mut types = Self { bytes, offsets: vec![0], strings: header + word(16) as usize, names: HashMap::new() };
        while at < end {
            let (name, kind, entries) = (word(at), word(at + 4) >> 24 & 0x1f, (word(at + 4) & 0xffff) as usize);
            types.names.entry((kind, types.string(name))).or_insert(types.offsets.len() as u32);
            types.offsets.push(at);
            at += 12 + size(kind, entries).with_context(|| format!("kind {kind} of types is not known"))?;
        }
        Ok(types)
    }

    /// The type information of these structures with what they hold by value one step deep, of the functions' parameters
    /// and of the enumerations; all else becomes an integer.
    pub(super) fn cut(&self, structures: &[&str], functions: &[&str], enumerations: &[&str]) -> Vec<u8> {
        let mut writer = Writer::default();
        let integer = writer.push(b"int", INT, 0, 4, &[32]);
        let mut cut = Cut { types: self, writer, integer, copied: HashMap::new() };
        let find = |kind, name: &str| self.names.get(&(kind, name.as_bytes())).copied();
        for id in structures.iter().filter_map(|name| find(STRUCT, name)) {
            cut.copy(id, 1);
        }
        for id in functions.iter().filter_map(|name| find(FUNC, name)) {
            cut.function(id);
        }
        for id in enumerations.iter().filter_map(|name| find(ENUM, name)) {
            cut.copy(id, 0);
        }
        cut.writer.finish()
    }

    /// The words of a type.
    fn words(&self, id: u32) -> Vec<u32> {
        let at = self.offsets[id as usize];
        let word = |at: usize| u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap_or_default());
        let (kind, entries) = (word(at + 4) >> 24 & 0x1f, (word(at + 4) & 0xffff) as usize);
        (at..at + 12 + size(kind, entries).unwrap_or(0)).step_by(4).map(word).collect()
    }

    fn string(&self, at: u32) -> &'a [u8] {
        let text = &self.bytes[self.strings + at as usize..];
        text.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

/// Types on their way from one file to another.
struct Cut<'a> {
    types: &'a Types<'a>,
    writer: Writer,
    integer: u32,
    /// Old number -> new number.
    copied: HashMap<u32, u32>,
}

impl Cut<'_> {
    /// The type's new number. `depth`: how many more named structures inside are kept.
    fn copy(&mut self, id: u32, depth: u32) -> u32 {
        if let Some(new) = self.copied.get(&id) {
            return *new;
        }
        if id == 0 {
            return 0;
        }
        let words = self.types.words(id);
        let (name, meta) = (self.types.string(words[0]), words[1]);
        match meta >> 24 & 0x1f {
            8..=11 | 18 => {
                let target = self.copy(words[2], depth);
                let new = self.writer.push(name, meta >> 24 & 0x1f, 0, target, &[]);
                self.copied.insert(id, new);
                new
            }
            POINTER => self.writer.push(b"", POINTER, 0, 0, &[]),
            ARRAY => self.writer.push(b"", ARRAY, 0, 0, &[self.integer, self.integer, words[5]]),
            STRUCT | UNION => self.structure(id, &words, depth),
            ENUM => {
                let entries = words[3..].as_chunks::<2>().0.iter();
                let body: Vec<u32> =
                    entries.flat_map(|entry| [self.writer.string(self.types.string(entry[0])), entry[1]]).collect();
                self.writer.push(name, ENUM, meta & 0xffff, words[2], &body)
            }
            _ => self.integer,
        }
    }

    fn structure(&mut self, id: u32, words: &[u32], depth: u32) -> u32 {
        let name = self.types.string(words[0]);
        // With its number first: the flag that says how offsets are packed stands in the same word as the kind.
        let new = self.writer.push(name, words[1] >> 24, words[1] & 0xffff, words[2], &[]);
        self.copied.insert(id, new);
        let mut body = Vec::new();
        for member in words[3..].as_chunks::<3>().0 {
            let inner = self.types.words(member[1].max(1));
            let nameless = self.types.string(inner[0]).is_empty();
            let holds = matches!(inner[1] >> 24 & 0x1f, STRUCT | UNION);
            let of = if holds && !nameless && depth == 0 {
                self.integer
            } else {
                self.copy(member[1], if nameless { depth } else { depth.saturating_sub(1) })
            };
            body.extend([self.writer.string(self.types.string(member[0])), of, member[2]]);
        }
        self.writer.fill(new, &body);
        new
    }

    /// A function with the names of its parameters.
    fn function(&mut self, id: u32) {
        let words = self.types.words(id);
        let prototype = self.types.words(words[2]);
        let parameters = prototype[3..].as_chunks::<2>().0.iter();
        let body: Vec<u32> = parameters
            .flat_map(|parameter| [self.writer.string(self.types.string(parameter[0])), self.integer])
            .collect();
        let new = self.writer.push(b"", FUNC_PROTO, prototype[1] & 0xffff, 0, &body);
        self.writer.push(self.types.string(words[0]), FUNC, 0, new, &[]);
    }
}

/// Bytes behind the three words that every type has.
pub(super) const fn size(kind: u32, entries: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,
        3 => 12,
        4 | 5 | 15 | 19 => 12 * entries,
        6 | 13 => 8 * entries,
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}
