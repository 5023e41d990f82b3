//! Programs of a few instructions, without a loader and libraries: executing one accesses nothing else, and it makes
//! exactly the system call that it is made for.

use std::{ffi::CString, fs, os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::Result;

/// Where the image lies: below 4 GiB, so that a 32-bit call can point into it.
const BASE: u64 = 0x40_0000;
const HEADERS: usize = 64 + 56;

/// How the call is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// The 64-bit way.
    Syscall,
    /// The 32-bit way.
    Int80,
}

/// Writes a program that ends at once.
pub(super) fn exits(file: &Path) -> Result<()> {
    write(file, |_| Vec::new(), c"")
}

/// Writes a program that makes one call `number(path, flags, 0600)` and ends with 0 if that gave a descriptor.
pub(super) fn opens(file: &Path, call: Call, number: u32, path: &Path, flags: u32) -> Result<()> {
    let string = CString::new(path.as_os_str().as_encoded_bytes())?;
    let code = |string: u32| {
        // Immediate moves to (eax, then the first, second and third argument), and the call.
        let (first, second, enter): (u8, u8, &[u8]) = match call {
            Call::Syscall => (0xbf, 0xbe, &[0x0f, 0x05]),
            Call::Int80 => (0xbb, 0xb9, &[0xcd, 0x80]),
        };
        let moves = [(0xb8, number), (first, string), (second, flags), (0xba, 0o600)];
        let mut code: Vec<u8> =
            moves.iter().flat_map(|(to, value)| [&[*to], &value.to_le_bytes()[..]].concat()).collect();
        code.extend_from_slice(enter);
        code
    };
    write(file, code, &string)
}

/// An x86-64 executable of one segment: the headers, `code` (given the address of `string`), an exit, the string.
fn write(file: &Path, code: impl Fn(u32) -> Vec<u8>, string: &std::ffi::CStr) -> Result<()> {
    // edi = eax >> 31; eax = exit; syscall. At the start eax is 0.
    let exit = [0x89, 0xc7, 0xc1, 0xef, 31, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
    let end = HEADERS + code(0).len() + exit.len();
    let size = (end + string.count_bytes() + 1) as u64;
    let mut image = Vec::new();
    image.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    let half = |image: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|v| image.extend(v.to_le_bytes()));
    let word = |image: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|v| image.extend(v.to_le_bytes()));
    let long = |image: &mut Vec<u8>, values: &[u64]| values.iter().for_each(|v| image.extend(v.to_le_bytes()));
    // ET_EXEC, EM_X86_64, EV_CURRENT; entry, program headers, no sections; sizes and counts.
    half(&mut image, &[2, 62]);
    word(&mut image, &[1]);
    long(&mut image, &[BASE + HEADERS as u64, 64, 0]);
    word(&mut image, &[0]);
    half(&mut image, &[64, 56, 1, 0, 0, 0]);
    // PT_LOAD, readable and executable, the whole file.
    word(&mut image, &[1, 5]);
    long(&mut image, &[0, BASE, BASE, size, size, 0x1000]);
    image.extend(code(BASE as u32 + end as u32));
    image.extend(exit);
    image.extend(string.to_bytes_with_nul());
    fs::write(file, image)?;
    fs::set_permissions(file, fs::Permissions::from_mode(0o755))?;
    Ok(())
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
        for (call, number) in [(Call::Syscall, 2), (Call::Int80, 5)] {
            opens(&program, call, number, &there, 0).unwrap();
            assert_eq!(run(), Some(0));
            opens(&program, call, number, &absent, 0).unwrap();
            assert_eq!(run(), Some(1));
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
