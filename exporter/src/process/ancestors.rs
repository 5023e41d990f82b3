//! The chain of forks that led to a process.

use std::sync::Arc;

/// Ancestors kept of a process: without a bound, each fork of a fork would keep all before it.
const COUNT_MAX: usize = 8;
/// Bytes of their paths together.
const BYTES_MAX: usize = 16 << 10;

/// A process that forked, as it was then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ancestor {
    /// Its thread group id.
    pub tgid: u32,
    /// Its executable, as [`super::Process::executable`].
    pub executable: Arc<[u8]>,
}

/// The ancestors of whom this one forks: itself, then its own.
pub(super) fn of_children(tgid: u32, executable: &Arc<[u8]>, own: &[Ancestor]) -> Arc<[Ancestor]> {
    let mut bytes = 0;
    let nearest = std::iter::once(Ancestor { tgid, executable: Arc::clone(executable) }).chain(own.iter().cloned());
    let fits = |ancestor: &Ancestor| {
        bytes += ancestor.executable.len();
        bytes <= BYTES_MAX
    };
    nearest.take(COUNT_MAX).take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_cut() {
        let check = |paths: &[usize], expected: &[u32]| {
            let mut chain: Arc<[Ancestor]> = Arc::default();
            for (tgid, length) in paths.iter().enumerate() {
                chain = of_children(tgid as u32, &vec![b'x'; *length].into(), &chain);
            }
            assert_eq!(chain.iter().map(|ancestor| ancestor.tgid).collect::<Vec<_>>(), expected, "{paths:?}");
        };
        check(&[], &[]);
        check(&[0, 9], &[1, 0]);
        check(&[9; 8], &[7, 6, 5, 4, 3, 2, 1, 0]);
        check(&[9; 20], &[19, 18, 17, 16, 15, 14, 13, 12]);
        check(&[8192, 8192, 8192, 9], &[3, 2]);
        check(&[16 << 10, 9], &[1]);
    }
}
