//! Instructions of x86-64.

use super::Entry;

/// `EM_X86_64` (include/uapi/linux/elf-em.h)
pub(super) const ELF: u16 = 62;
/// `arch/x86/entry/syscalls/syscall_64.tbl`
#[cfg(test)]
pub(super) const OPENAT: u32 = 257;

/// Moves the arguments and the number into their registers, and calls.
pub(super) fn call(entry: Entry, number: u32, arguments: &[u64]) -> Vec<u8> {
    match entry {
        Entry::Native => {
            // movabs to rdi, rsi, rdx, r10, r8, r9; mov eax; syscall.
            let to: [[u8; 2]; 6] = [[0x48, 0xbf], [0x48, 0xbe], [0x48, 0xba], [0x49, 0xba], [0x49, 0xb8], [0x49, 0xb9]];
            let moves = to.iter().zip(arguments).flat_map(|(to, value)| [&to[..], &value.to_le_bytes()].concat());
            moves.chain([0xb8]).chain(number.to_le_bytes()).chain([0x0f, 0x05]).collect()
        }
        Entry::Int80 => {
            // mov to ebx, ecx, edx; mov eax; int 0x80.
            let moves = [0xbbu8, 0xb9, 0xba].iter().zip(arguments);
            let moves = moves.flat_map(|(to, value)| [&[*to], &(*value as u32).to_le_bytes()[..]].concat());
            moves.chain([0xb8]).chain(number.to_le_bytes()).chain([0xcd, 0x80]).collect()
        }
    }
}

/// Ends with the sign of the last result, which is 0 at the start.
pub(super) fn exit() -> Vec<u8> {
    // edi = eax >> 31; eax = exit; syscall.
    vec![0x89, 0xc7, 0xc1, 0xef, 31, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]
}
