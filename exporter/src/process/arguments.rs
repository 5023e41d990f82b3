//! What is kept of an argument list.

use std::sync::Arc;

use inotrail_ebpf::ARGUMENTS_MAX;

use super::Redaction;

/// Bytes of a list that are looked at: what the kernel half copies. One of this length is taken for a longer one's start.
pub(super) const LENGTH_MAX: usize = ARGUMENTS_MAX - 1;

/// The list redacted, in the form of [`super::Process::arguments`].
pub(super) fn keep(list: &[u8], redaction: &Redaction) -> Arc<[u8]> {
    if list.len() < LENGTH_MAX {
        let mut kept = redaction.apply(list);
        if !kept.is_empty() && kept.last() != Some(&0) {
            kept.push(0);
        }
        return kept.into();
    }
    let list = &list[..LENGTH_MAX];
    let list = list.strip_suffix(&[0]).unwrap_or(list);
    redaction.apply(without_part_of_a_character(list)).into()
}

/// The last argument may be cut inside a character: what is left of that is no character.
fn without_part_of_a_character(list: &[u8]) -> &[u8] {
    let start = list.iter().rposition(|byte| *byte == 0).map_or(0, |at| at + 1);
    match str::from_utf8(&list[start..]) {
        Err(error) if error.error_len().is_none() => &list[..start + error.valid_up_to()],
        _ => list,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &[u8], expected: &[u8]) {
        let kept = keep(list, &Redaction::new(&[]).unwrap());
        assert_eq!(kept.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn whole_lists_end_in_nul() {
        check(b"", b"");
        check(b"cat\0/etc/passwd\0", b"cat\0/etc/passwd\0");
        check(b"sh\0\0-c\0", b"sh\0\0-c\0");
        check(b"nginx: worker", b"nginx: worker\0");
        check(b"x\0--password\0hunter2\0", b"x\0--password\0***\0");
    }

    #[test]
    fn cut_lists_do_not() {
        let long = [b"sh\0".as_slice(), &[b'a'; 4000]].concat();
        check(&long, &long[..LENGTH_MAX]);
        let cut_behind_an_argument = [[b'a'; LENGTH_MAX - 1].as_slice(), b"\0"].concat();
        check(&cut_behind_an_argument, &[b'a'; LENGTH_MAX - 1]);
        let cut_in_a_character = [[b'a'; LENGTH_MAX - 2].as_slice(), "\u{20ac}".as_bytes()].concat();
        check(&cut_in_a_character, &[b'a'; LENGTH_MAX - 2]);
        let cut_in_a_secret = [b"--token=".as_slice(), &[b's'; 4000]].concat();
        check(&cut_in_a_secret, b"--token=***");
        let not_utf8 = [b"\xff".as_slice(), &[b'a'; 4000]].concat();
        check(&not_utf8, &not_utf8[..LENGTH_MAX]);
    }
}
