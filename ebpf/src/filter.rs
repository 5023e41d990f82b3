//! Which accesses of a cgroup are recorded: where policies are about its container, what they can be about and no more. Exact
//! is user space; the kernel lets pass whatever a rule might be about, by names of files and folders, which stay right when a
//! file is made, replaced, renamed or mounted.

use crate::mask;

/// Filters at once: a power of two.
pub const FILTERS_MAX: u32 = 1024;
/// Bytes of a [`NameKey`]'s name, with the NUL that ends it: a longer name counts as what it begins with.
pub const NAME_BYTES: usize = 32;
/// Bytes of a [`name::SUFFIX`].
pub const SUFFIX_BYTES: usize = 3;
/// Names, and files, that the filters of a node hold together unless another number is configured.
pub const FILTER_ENTRIES: u32 = 16_384;

/// Words of [`Filter::hints`].
pub const HINT_WORDS: usize = 128;

/// One filter. Operations are bits of [`operation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Filter {
    /// Operations that pass with some file, or with every one.
    pub any: u32,
    /// Operations that pass with every file.
    pub every: u32,
    /// Bits [`hint`] of its names: most names are in no filter, and a look-up costs ten times more than a bit.
    pub hints: [u64; HINT_WORDS],
}

impl Filter {
    /// Lets everything pass. It stands where there is no filter, so that whatever still points there loses nothing.
    pub const EVERYTHING: Self = Self { any: u32::MAX, every: u32::MAX, hints: [0; HINT_WORDS] };
}

/// A name in a filter: the value of the map is the operations that pass with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct NameKey {
    /// Number of the filter.
    pub filter: u32,
    /// One of [`name`].
    pub kind: u32,
    /// NUL-padded, in memory order.
    pub name: [u64; NAME_BYTES / 8],
}

/// Word and bit of [`Filter::hints`] for a name.
#[must_use]
#[inline]
pub const fn hint(kind: u32, name: &[u64; NAME_BYTES / 8]) -> (usize, u32) {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = (name[0] ^ kind as u64).wrapping_mul(ODD);
    hash = (hash ^ hash >> 32 ^ name[1]).wrapping_mul(ODD);
    hash = (hash ^ hash >> 32 ^ name[2]).wrapping_mul(ODD);
    hash = (hash ^ hash >> 32 ^ name[3]).wrapping_mul(ODD);
    ((hash >> 57) as usize & (HINT_WORDS - 1), (hash >> 51) as u32 & 63)
}

/// What of a path a [`NameKey`] is.
pub mod name {
    /// The file's own name.
    pub const LEAF: u32 = 0;
    /// The name of a folder that it is in, at any height.
    pub const FOLDER: u32 = 1;
    /// The last [`super::SUFFIX_BYTES`] bytes of its own name.
    pub const SUFFIX: u32 = 2;
}

/// A file that passes under whatever name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(C)]
pub struct FileKey {
    /// As in [`crate::Header`].
    pub inode: u64,
    /// As in [`crate::Header`].
    pub device: u32,
    /// Always 0: there is no padding.
    pub reserved: u32,
}

const _: () = assert!(size_of::<NameKey>() == 40 && size_of::<FileKey>() == 16);
const _: () = assert!(size_of::<Filter>().is_multiple_of(8));

/// The bit of what is done, by [`crate::Header::mask`].
#[must_use]
#[inline]
pub const fn operation(bits: u32) -> u32 {
    let mutation = (bits & mask::MUTATION) >> mask::MUTATION_SHIFT;
    1 << if mutation != 0 {
        mutation & 15
    } else if bits & mask::EXEC != 0 {
        operation::EXECUTE
    } else if bits & mask::CREATED != 0 {
        operation::CREATE
    } else {
        operation::OPEN
    }
}

/// Numbers of the bits of [`operation()`] that are no [`crate::mutation`].
pub mod operation {
    /// An existing file is opened.
    pub const OPEN: u32 = 0;
    /// A file is created.
    pub const CREATE: u32 = 14;
    /// A program is started.
    pub const EXECUTE: u32 = 15;
}

const _: () = assert!(crate::mutation::MMAP_EXECUTE < operation::CREATE);
