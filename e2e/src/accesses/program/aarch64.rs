//! Instructions of aarch64.

use super::Entry;

/// `EM_AARCH64` (include/uapi/linux/elf-em.h)
pub(super) const ELF: u16 = 183;
/// include/uapi/asm-generic/unistd.h
#[cfg(test)]
pub(super) const OPENAT: u32 = 56;
const EXIT: u64 = 93;

const SUPERVISOR_CALL: u32 = 0xd400_0001;

/// Moves the arguments and the number into their registers, and calls.
pub(super) fn call(_: Entry, number: u32, arguments: &[u64]) -> Vec<u8> {
    let arguments = arguments.iter().enumerate().flat_map(|(register, value)| load(register as u32, *value));
    let call = arguments.chain(load(8, u64::from(number))).chain([SUPERVISOR_CALL]);
    call.flat_map(u32::to_le_bytes).collect()
}

/// Ends with the sign of the last result, which is 0 at the start.
pub(super) fn exit() -> Vec<u8> {
    // lsr x0, x0, #63
    let instructions = [0xd37f_fc00].into_iter().chain(load(8, EXIT)).chain([SUPERVISOR_CALL]);
    instructions.flat_map(u32::to_le_bytes).collect()
}

/// movz and three movk.
fn load(register: u32, value: u64) -> [u32; 4] {
    std::array::from_fn(|part| {
        let instruction = if part == 0 { 0xd280_0000 } else { 0xf280_0000 };
        let bits = (value >> (16 * part)) as u32 & 0xffff;
        instruction | (part as u32) << 21 | bits << 5 | register
    })
}
