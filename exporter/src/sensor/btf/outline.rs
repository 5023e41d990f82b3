//! The kernel's types with everything left out but what programs attach to.

use super::{Btf, FUNC, MAGIC, TYPEDEF};

/// A type that says nothing takes twelve bytes.
const FORWARD: u32 = 7;
const HEADER: u32 = 24;

impl Btf {
    /// A file of types that has these functions and typedefs under the numbers they have in this one, and nothing else of it: a
    /// loader that needs the numbers alone would make 20 MiB of objects of the kernel's own. What this one has not is left out.
    #[must_use]
    pub fn outline(&self, functions: &[&str], typedefs: &[&str]) -> Vec<u8> {
        let named = |names: &[&str], kind| -> Vec<_> {
            let find = |name: &&str| Some((self.find(name, kind, 1..self.types.len()).ok()?, kind, (*name).to_owned()));
            names.iter().filter_map(find).collect()
        };
        let mut found = named(functions, FUNC);
        found.extend(named(typedefs, TYPEDEF));
        let count = found.iter().map(|(index, ..)| *index).max().unwrap_or(0);
        let mut types = [0, FORWARD << 24, 0].repeat(count);
        let mut strings = vec![0];
        for (index, kind, name) in found {
            let place = (index - 1) * 3;
            types[place..place + 3].copy_from_slice(&[strings.len() as u32, kind << 24, 0]);
            strings.extend(name.bytes().chain([0]));
        }
        let length = types.len() as u32 * 4;
        let mut bytes = Vec::with_capacity(HEADER as usize + length as usize + strings.len());
        bytes.extend(MAGIC.to_ne_bytes().into_iter().chain([1, 0]));
        let header = [HEADER, 0, length, length, strings.len() as u32];
        bytes.extend(header.into_iter().chain(types).flat_map(u32::to_ne_bytes));
        bytes.extend(strings);
        bytes
    }
}
