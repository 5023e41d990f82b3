//! A reader of the kernel's type information (BTF): where a member lies, what a function takes.
//!
//! Format: Documentation/bpf/btf.rst of the kernel. Only what a layout needs is read; every offset is checked, because
//! the file may be one that the user named.

use std::fs;
use std::path::Path;

/// Parsed type information.
pub struct Btf {
    bytes: Vec<u8>,
    /// Byte offset of each type; type 0 is `void` and lies nowhere.
    types: Vec<usize>,
    strings: usize,
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
        source: std::io::Error,
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

const MAGIC: u16 = 0xeb9f;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FUNC: u32 = 12;

impl Btf {
    /// Reads a file in this machine's byte order: `/sys/kernel/btf/vmlinux`, or one that stands in for it.
    ///
    /// # Errors
    /// The file cannot be read or is no BTF.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(|source| Error::Read { path: path.display().to_string(), source })?;
        Self::parse(bytes).map_err(|reason| Error::Malformed { path: path.display().to_string(), reason })
    }

    /// Finds all types once; their contents are read when they are asked for.
    fn parse(bytes: Vec<u8>) -> Result<Self, &'static str> {
        let word = |offset| u32_at(&bytes, offset).map(|value| value as usize).ok_or("the header is cut short");
        if bytes.get(..2) != Some(&MAGIC.to_ne_bytes()) {
            return Err("it does not start with BTF's magic number in this machine's byte order");
        }
        let (header, start, length, strings) = (word(4)?, word(8)?, word(12)?, word(16)?);
        let mut offset = header.checked_add(start).ok_or("an offset overflows")?;
        let end = offset.checked_add(length).ok_or("an offset overflows")?;
        if end > bytes.len() || header.saturating_add(strings) > bytes.len() {
            return Err("a section lies behind the end of the file");
        }
        let mut types = vec![0];
        while offset < end {
            types.push(offset);
            let meta = u32_at(&bytes, offset + 4).ok_or("a type is cut short")?;
            offset += 12 + trailing(meta >> 24 & 0x1f, (meta & 0xffff) as usize).ok_or("a type of unknown kind")?;
        }
        Ok(Self { strings: header + strings, bytes, types })
    }

    /// Byte offset of `member` (a path of names with dots) in `struct name`, through anonymous structs and unions.
    #[must_use]
    pub fn offset(&self, name: &str, member: &str) -> Option<u32> {
        let mut current = self.find(name, STRUCT)?;
        let mut offset = 0;
        for part in member.split('.') {
            let (inner, next) = self.member(current, part, 0)?;
            offset += inner;
            current = next;
        }
        Some(offset)
    }

    /// Names of a function's parameters. A tracepoint's are those of `__traceiter_<name>`, behind `__data`.
    #[must_use]
    pub fn parameters(&self, function: &str) -> Option<Vec<&str>> {
        let prototype = self.target(self.find(function, FUNC)?)?;
        let offset = *self.types.get(prototype)?;
        (0..self.length(prototype)?).map(|index| self.string(u32_at(&self.bytes, offset + 12 + 8 * index)?)).collect()
    }

    /// The value of one name of an enumeration.
    #[must_use]
    pub fn enum_value(&self, name: &str, value: &str) -> Option<u32> {
        let found = self.find(name, ENUM)?;
        let offset = *self.types.get(found)? + 12;
        (0..self.length(found)?)
            .map(|index| offset + 8 * index)
            .find(|entry| u32_at(&self.bytes, *entry).is_some_and(|at| self.is_named(at, value)))
            .and_then(|entry| u32_at(&self.bytes, entry + 4))
    }

    fn find(&self, name: &str, kind: u32) -> Option<usize> {
        (1..self.types.len()).find(|index| {
            self.kind(*index) == Some(kind)
                && u32_at(&self.bytes, self.types[*index]).is_some_and(|at| self.is_named(at, name))
        })
    }

    /// Offset and type of a member, also of one inside nameless members.
    fn member(&self, of: usize, name: &str, depth: u32) -> Option<(u32, usize)> {
        // No real type nests deeper; a hostile file may refer to itself.
        if depth > 16 {
            return None;
        }
        let start = *self.types.get(of)?;
        let packed = u32_at(&self.bytes, start + 4)? >> 31 == 1;
        for index in 0..self.length(of)? {
            let entry = start + 12 + 12 * index;
            let (at, kind, bits) =
                (u32_at(&self.bytes, entry)?, u32_at(&self.bytes, entry + 4)?, u32_at(&self.bytes, entry + 8)?);
            let offset = if packed { bits & 0x00ff_ffff } else { bits } / 8;
            let target = self.resolve(kind as usize)?;
            if self.is_named(at, name) {
                return Some((offset, target));
            }
            if self.is_named(at, "")
                && matches!(self.kind(target), Some(STRUCT | UNION))
                && let Some((inner, found)) = self.member(target, name, depth + 1)
            {
                return Some((offset + inner, found));
            }
        }
        None
    }

    /// The type behind typedefs, `const`, `volatile`, `restrict` and tags.
    fn resolve(&self, mut index: usize) -> Option<usize> {
        for _ in 0..16 {
            match self.kind(index) {
                Some(8..=11 | 18) => index = self.target(index)?,
                _ => return Some(index),
            }
        }
        None
    }

    fn kind(&self, index: usize) -> Option<u32> {
        if index == 0 {
            return Some(0);
        }
        Some(u32_at(&self.bytes, self.types.get(index)? + 4)? >> 24 & 0x1f)
    }

    fn length(&self, index: usize) -> Option<usize> {
        Some(u32_at(&self.bytes, self.types.get(index)? + 4)? as usize & 0xffff)
    }

    fn target(&self, index: usize) -> Option<usize> {
        Some(u32_at(&self.bytes, self.types.get(index)? + 8)? as usize)
    }

    fn is_named(&self, at: u32, name: &str) -> bool {
        let text = self.bytes.get(self.strings + at as usize..);
        text.and_then(|text| text.strip_prefix(name.as_bytes())).is_some_and(|rest| rest.first() == Some(&0))
    }

    fn string(&self, at: u32) -> Option<&str> {
        let text = self.bytes.get(self.strings + at as usize..)?;
        std::str::from_utf8(&text[..text.iter().position(|byte| *byte == 0)?]).ok()
    }
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..offset.checked_add(4)?)?.try_into().ok()?))
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
