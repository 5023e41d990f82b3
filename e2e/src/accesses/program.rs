//! Programs of a few instructions, without a loader and libraries: executing one accesses nothing else, and it makes
//! exactly the system calls that it is made for.

#[cfg_attr(target_arch = "x86_64", path = "program/x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "program/aarch64.rs")]
mod machine;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::Result;

/// Where the image lies: below 4 GiB, so that a 32-bit call can point into it, and on a page of any size.
const BASE: u64 = 0x40_0000;
const PAGE: u64 = 0x1_0000;
const HEADERS: usize = 64 + 56;

/// How a call is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// The machine's own way.
    Native,
    /// The 32-bit way, which takes three arguments.
    #[cfg(target_arch = "x86_64")]
    Int80,
}

/// An argument of a call.
#[derive(Clone, Copy)]
pub(super) enum Argument {
    /// As it is.
    Number(u64),
    /// The address of a piece of [`Program::memory`].
    Address(usize),
}

/// A system call.
pub(super) struct Call {
    pub(super) entry: Entry,
    pub(super) number: u32,
    pub(super) arguments: Vec<Argument>,
}

/// Makes its calls one after another, and ends with 0 if the last one did not fail.
#[derive(Default)]
pub(super) struct Program {
    pub(super) calls: Vec<Call>,
    /// Pieces of memory that it can write to.
    pub(super) memory: Vec<Vec<u8>>,
}

/// Writes a program that ends at once.
pub(super) fn exits(file: &Path) -> Result<()> {
    Program::default().write(file)
}

/// The bytes of a path as a system call takes it.
pub(super) fn string(path: &Path) -> Vec<u8> {
    [path.as_os_str().as_encoded_bytes(), b"\0"].concat()
}

impl Program {
    /// Writes the executable.
    pub(super) fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, self.image())?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// An executable of one segment: headers, code, memory. Addresses are of one length, so the code's is known first.
    fn image(&self) -> Vec<u8> {
        let start = BASE + (HEADERS + self.code(0).len()) as u64;
        let code = self.code(start);
        let memory: usize = self.memory.iter().map(|piece| aligned(piece.len())).sum();
        let mut image = headers((HEADERS + code.len() + memory) as u64);
        image.extend(code);
        for piece in &self.memory {
            image.extend(piece);
            image.resize(image.len() + aligned(piece.len()) - piece.len(), 0);
        }
        image
    }

    fn code(&self, memory: u64) -> Vec<u8> {
        let value = |argument: &Argument| match argument {
            Argument::Number(number) => *number,
            Argument::Address(piece) => {
                memory + self.memory[..*piece].iter().map(|piece| aligned(piece.len()) as u64).sum::<u64>()
            }
        };
        let mut code = Vec::new();
        for call in &self.calls {
            let values: Vec<_> = call.arguments.iter().map(value).collect();
            code.extend(machine::call(call.entry, call.number, &values));
        }
        code.extend(machine::exit());
        code.resize(aligned(code.len()), 0);
        code
    }
}

/// The room that so many bytes take.
fn aligned(length: usize) -> usize {
    length.next_multiple_of(8)
}

/// The ELF headers of a file of `size` bytes.
fn headers(size: u64) -> Vec<u8> {
    let mut headers = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |image: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|v| image.extend(v.to_le_bytes()));
    let word = |image: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|v| image.extend(v.to_le_bytes()));
    let long = |image: &mut Vec<u8>, values: &[u64]| values.iter().for_each(|v| image.extend(v.to_le_bytes()));
    // ET_EXEC, the machine, EV_CURRENT; entry, program headers, no sections; sizes and counts.
    half(&mut headers, &[2, machine::ELF]);
    word(&mut headers, &[1]);
    long(&mut headers, &[BASE + HEADERS as u64, 64, 0]);
    word(&mut headers, &[0]);
    half(&mut headers, &[64, 56, 1, 0, 0, 0]);
    // PT_LOAD: readable, writable and executable, the whole file.
    word(&mut headers, &[1, 7]);
    long(&mut headers, &[0, BASE, BASE, size, size, PAGE]);
    headers
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_programs_run() {
        let folder = std::env::temp_dir().join(format!("inotrail-program-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (program, there, absent) = (folder.join("program"), folder.join("there"), folder.join("absent"));
        fs::write(&there, "").unwrap();
        let run = || Command::new(&program).status().unwrap().code();
        exits(&program).unwrap();
        assert_eq!(run(), Some(0));
        let openat = |path: &Path| Program {
            calls: vec![Call {
                entry: Entry::Native,
                number: machine::OPENAT,
                arguments: vec![Argument::Number(0), Argument::Address(1), Argument::Number(0), Argument::Number(0)],
            }],
            memory: vec![vec![1], string(path)],
        };
        openat(&there).write(&program).unwrap();
        assert_eq!(run(), Some(0));
        openat(&absent).write(&program).unwrap();
        assert_eq!(run(), Some(1));
        fs::remove_dir_all(&folder).unwrap();
    }
}
