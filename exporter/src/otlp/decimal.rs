//! Numbers as text.

/// Room for any number below 2^64.
pub(super) type Digits = [u8; 20];

/// A number's decimal digits, at the end of the buffer.
pub(super) fn decimal(buffer: &mut Digits, mut value: u64) -> &[u8] {
    let mut start = buffer.len();
    loop {
        start -= 1;
        buffer[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return &buffer[start..];
        }
    }
}
