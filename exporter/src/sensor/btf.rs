//! A reader of the kernel's type information (BTF): where a member lies, what a function takes.
//!
//! Format: Documentation/bpf/btf.rst of the kernel. Only what a layout needs is read; every offset is checked and every
//! search ends, because the file may be one that the user named.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::Path;

mod outline;

/// Parsed type information.
pub struct Btf {
    bytes: Vec<u8>,
    /// Byte offset of each type; type 0 is `void` and lies nowhere.
    types: Vec<usize>,
    /// Numbers of the structures: most of what is looked for, and one type in fifteen.
    structures: Vec<usize>,
    strings: Range<usize>,
}

/// Why there is no type information.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error(
        "cannot read type information from {path}: {source}; the kernel needs CONFIG_DEBUG_INFO_BTF, or name a file with --btf"
    )]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The file is no BTF.
    #[error("{path} is not valid BTF: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Why something cannot be told of the kernel's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No type of this name.
    #[error("there is no such type")]
    NoType,
    /// The type has nothing of this name.
    #[error("the type has no such member")]
    NoMember,
    /// The type contradicts itself.
    #[error("its type is damaged: {0}")]
    Damaged(&'static str),
}

const MAGIC: u16 = 0xeb9f;
/// A kernel's is below 10 MiB; `--btf` may name anything.
const BYTES_MAX: u64 = 256 << 20;
/// Types of types, and nameless members of nameless members: real ones are below 8.
const DEPTH_MAX: u32 = 16;
/// Members looked at for one answer: the largest structure of a kernel has a few hundred.
const MEMBERS_MAX: u32 = 16_384;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const TYPEDEF: u32 = 8;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;

impl Btf {
    /// Reads a file in this machine's byte order: `/sys/kernel/btf/vmlinux`, or one that stands in for it.
    ///
    /// # Errors
    /// The file cannot be read or is no BTF.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes))
            .map_err(|source| Error::Read { path: path.display().to_string(), source })?;
        Self::parse(bytes).map_err(|reason| Error::Malformed { path: path.display().to_string(), reason })
    }

    /// Finds all types once; their contents are read when they are asked for.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, &'static str> {
        if bytes.len() as u64 > BYTES_MAX {
            return Err("it is larger than 256 MiB");
        }
        match bytes.get(..2) {
            Some(magic) if magic == MAGIC.to_ne_bytes() => {}
            Some(magic) if magic == MAGIC.swap_bytes().to_ne_bytes() => {
                return Err("its magic number says that it is in the other byte order");
            }
            _ => return Err("it does not start with BTF's magic number"),
        }
        let word = |offset| u32_at(&bytes, offset).map(|value| value as usize).ok_or("the header is cut short");
        let (header, start, length) = (word(4)?, word(8)?, word(12)?);
        let (strings_start, strings_length) = (word(16)?, word(20)?);
        let section = |start: usize, length: usize| {
            let start = header.checked_add(start)?;
            let end = start.checked_add(length)?;
            (end <= bytes.len()).then_some(start..end)
        };
        let section_of_types = section(start, length).ok_or("the type section lies behind the end of the file")?;
        let strings =
            section(strings_start, strings_length).ok_or("the string section lies behind the end of the file")?;
        let types = types(&bytes, section_of_types)?;
        let mut btf = Self { bytes, types, structures: Vec::new(), strings };
        btf.structures = (1..btf.types.len()).filter(|index| btf.kind(*index) == Ok(STRUCT)).collect();
        Ok(btf)
    }

    /// Byte offset of `member` (a path of names with dots) in `struct name`, through anonymous structs and unions.
    ///
    /// # Errors
    /// There is none, or the file contradicts itself.
    pub fn offset(&self, name: &str, member: &str) -> Result<u32, Fault> {
        let mut current = self.find(name, STRUCT, self.structures.iter().copied())?;
        let mut offset = 0;
        let mut budget = MEMBERS_MAX;
        for part in member.split('.') {
            let (inner, next) = self.member(current, part, 0, &mut budget)?.ok_or(Fault::NoMember)?;
            offset = sum(offset, inner)?;
            current = next;
        }
        Ok(offset)
    }

    /// Bytes of `struct name`.
    ///
    /// # Errors
    /// There is none, or the file contradicts itself.
    pub fn size(&self, name: &str) -> Result<u32, Fault> {
        let found = self.find(name, STRUCT, self.structures.iter().copied())?;
        self.word(self.start(found)? + 8)
    }

    /// Names of a function's parameters. A tracepoint's are those of `__traceiter_<name>`, behind `__data`.
    ///
    /// # Errors
    /// There is no such function, or the file contradicts itself.
    pub fn parameters(&self, function: &str) -> Result<Vec<&str>, Fault> {
        let prototype = self.target(self.find(function, FUNC, 1..self.types.len())?)?;
        if self.kind(prototype)? != FUNC_PROTO {
            return Err(Fault::Damaged("a function without a prototype"));
        }
        let start = self.start(prototype)?;
        let name = |index| self.string(self.word(start + 12 + 8 * index)?);
        (0..self.length(prototype)?).map(name).collect()
    }

    /// The value of one name of an enumeration.
    ///
    /// # Errors
    /// There is none, or the file contradicts itself.
    pub fn enum_value(&self, name: &str, value: &str) -> Result<u32, Fault> {
        let found = self.find(name, ENUM, 1..self.types.len())?;
        let start = self.start(found)? + 12;
        for entry in (0..self.length(found)?).map(|index| start + 8 * index) {
            if self.is_named(self.word(entry)?, value) {
                return self.word(entry + 4);
            }
        }
        Err(Fault::NoMember)
    }

    /// The first type of this kind and name among these.
    fn find(&self, name: &str, kind: u32, mut among: impl Iterator<Item = usize>) -> Result<usize, Fault> {
        let is_named = |index| self.start(index).and_then(|at| self.word(at)).is_ok_and(|at| self.is_named(at, name));
        among.find(|index| self.kind(*index) == Ok(kind) && is_named(*index)).ok_or(Fault::NoType)
    }

    /// Offset and type of a member, also of one inside nameless members.
    fn member(&self, of: usize, name: &str, depth: u32, budget: &mut u32) -> Result<Option<(u32, usize)>, Fault> {
        if !matches!(self.kind(of)?, STRUCT | UNION) {
            return Ok(None);
        }
        if depth > DEPTH_MAX {
            return Err(Fault::Damaged("nameless members are nested too deeply"));
        }
        let start = self.start(of)?;
        let packed = self.word(start + 4)? >> 31 == 1;
        let size = self.word(start + 8)?;
        for entry in (0..self.length(of)?).map(|index| start + 12 + 12 * index) {
            *budget = budget.checked_sub(1).ok_or(Fault::Damaged("it has too many members"))?;
            let at = self.word(entry)?;
            let named = self.is_named(at, name);
            if !named && !self.is_named(at, "") {
                continue;
            }
            let target = self.resolve(self.word(entry + 4)? as usize)?;
            let bits = self.word(entry + 8)?;
            let offset = if packed { bits & 0x00ff_ffff } else { bits } / 8;
            if offset > size {
                return Err(Fault::Damaged("a member lies behind the end"));
            }
            if named {
                return Ok(Some((offset, target)));
            }
            if let Some((inner, found)) = self.member(target, name, depth + 1, budget)? {
                return Ok(Some((sum(offset, inner)?, found)));
            }
        }
        Ok(None)
    }

    /// The type behind typedefs, `const`, `volatile`, `restrict` and tags.
    fn resolve(&self, mut index: usize) -> Result<usize, Fault> {
        for _ in 0..DEPTH_MAX {
            match self.kind(index)? {
                8..=11 | 18 => index = self.target(index)?,
                _ => return Ok(index),
            }
        }
        Err(Fault::Damaged("typedefs refer to one another without end"))
    }

    /// 0 for `void`.
    fn kind(&self, index: usize) -> Result<u32, Fault> {
        if index == 0 { Ok(0) } else { Ok(self.word(self.start(index)? + 4)? >> 24 & 0x1f) }
    }

    fn length(&self, index: usize) -> Result<usize, Fault> {
        Ok(self.word(self.start(index)? + 4)? as usize & 0xffff)
    }

    fn target(&self, index: usize) -> Result<usize, Fault> {
        Ok(self.word(self.start(index)? + 8)? as usize)
    }

    fn start(&self, index: usize) -> Result<usize, Fault> {
        self.types.get(index).copied().ok_or(Fault::Damaged("it refers to a type that does not exist"))
    }

    fn word(&self, offset: usize) -> Result<u32, Fault> {
        u32_at(&self.bytes, offset).ok_or(Fault::Damaged("it is cut short"))
    }

    fn is_named(&self, at: u32, name: &str) -> bool {
        let text = self.text(at).and_then(|text| text.strip_prefix(name.as_bytes()));
        text.is_some_and(|rest| rest.first() == Some(&0))
    }

    fn string(&self, at: u32) -> Result<&str, Fault> {
        let text = self.text(at).and_then(|text| text.split_at_checked(text.iter().position(|byte| *byte == 0)?));
        text.and_then(|(text, _)| std::str::from_utf8(text).ok()).ok_or(Fault::Damaged("a name is no string"))
    }

    /// From a string's start to the end of all strings.
    fn text(&self, at: u32) -> Option<&[u8]> {
        self.bytes.get(self.strings.clone())?.get(at as usize..)
    }
}

/// Byte offset of each type.
fn types(bytes: &[u8], section: Range<usize>) -> Result<Vec<usize>, &'static str> {
    let mut types = vec![0];
    let mut offset = section.start;
    while offset < section.end {
        types.push(offset);
        let meta = u32_at(bytes, offset + 4).ok_or("a type is cut short")?;
        offset += 12 + trailing(meta >> 24 & 0x1f, (meta & 0xffff) as usize).ok_or("a type is of unknown kind")?;
    }
    if offset == section.end { Ok(types) } else { Err("a type is cut short") }
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?))
}

fn sum(offset: u32, more: u32) -> Result<u32, Fault> {
    offset.checked_add(more).ok_or(Fault::Damaged("an offset is too large"))
}

/// Bytes behind a type's common part, by kind.
const fn trailing(kind: u32, length: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,
        3 => 12,
        4 | 5 | 15 | 19 => 12 * length,
        6 | 13 => 8 * length,
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
