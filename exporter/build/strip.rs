//! Taking off an object what only debuggers read: most of its bytes, and of the memory that loading it takes.

use std::ops::Range;

use anyhow::{Context as _, Result};
use object::build::elf::{Builder, SectionData};
use object::elf;

/// The object without DWARF, which the linker needs to make the types (BTF) that stay, and without line numbers, which the
/// verifier would put into its log.
///
/// # Errors
/// It is no ELF file, or its extended BTF is cut short.
pub(crate) fn debug_information(object: &[u8]) -> Result<Vec<u8>> {
    let mut builder = Builder::read(object)?;
    for section in &mut builder.sections {
        // What relocations of types say is in its place already.
        section.delete =
            [".debug_", ".rel.debug_", ".rel.BTF"].iter().any(|kind| section.name.starts_with(kind.as_bytes()));
        if let (b".BTF.ext", SectionData::Data(data)) = (&*section.name, &mut section.data) {
            *data = without_lines(data).context(".BTF.ext is cut short")?.into();
        }
    }
    builder.delete_orphan_symbols();
    // LLVM has the names of sections and of symbols in one table.
    let names = builder.sections.add();
    names.name = b".shstrtab"[..].into();
    names.sh_type = elf::SHT_STRTAB;
    names.sh_addralign = 1;
    names.data = SectionData::SectionString;
    let mut stripped = Vec::new();
    builder.write(&mut stripped)?;
    Ok(stripped)
}

/// Documentation/bpf/btf.rst of the kernel, "ELF File Format Interface": the line information follows what is known of
/// functions, which the verifier needs, and anything else follows that.
fn without_lines(data: &[u8]) -> Option<Vec<u8>> {
    const HEADER_LENGTH: usize = 4;
    const LINES: usize = 16;
    const OTHERS: usize = 24;
    let word = |at: usize| Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?) as usize);
    let header = word(HEADER_LENGTH)?;
    let (start, length) = (word(LINES)?, word(LINES + 4)?);
    let lines = Range { start: header + start, end: header + start + length };
    let mut rest = data.get(..lines.start)?.to_vec();
    rest.extend_from_slice(data.get(lines.end..)?);
    rest[LINES + 4..LINES + 8].fill(0);
    if header > OTHERS && word(OTHERS)? >= start + length {
        let others = (word(OTHERS)? - length) as u32;
        rest[OTHERS..OTHERS + 4].copy_from_slice(&others.to_le_bytes());
    }
    Some(rest)
}
