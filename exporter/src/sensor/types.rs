//! The kernel's types as the loader of programs reads them.

use std::path::Path;

use aya::{Btf as KernelBtf, Endianness};

use super::backend::{Error, chain};
use super::btf::Btf;
use super::hook::{FUNCTION, SYS_EXIT};
use super::mutations;
use crate::config::default;

/// As far as programs attach to them: read once, where the first program asks.
#[derive(Default)]
pub(super) struct Types(Option<KernelBtf>);

impl Types {
    pub(super) fn get(&mut self) -> Result<&KernelBtf, Error> {
        match &mut self.0 {
            Some(types) => Ok(types),
            place => Ok(place.insert(read()?)),
        }
    }
}

/// Of the kernel's own file, whichever tells the layout: its numbers are what the kernel knows types by.
fn read() -> Result<KernelBtf, Error> {
    let unreadable =
        |error: &dyn std::error::Error| Error::Unsupported(format!("the kernel has no readable BTF: {}", chain(error)));
    let functions: Vec<_> = mutations::functions().chain([FUNCTION]).collect();
    let kernel = Btf::load(Path::new(default::BTF)).map_err(|error| unreadable(&error))?;
    let outline = kernel.outline(&functions, &[&format!("btf_trace_{SYS_EXIT}")]);
    drop(kernel);
    KernelBtf::parse(&outline, Endianness::default()).map_err(|error| unreadable(&error))
}
