//! Memory that nobody needs any more.

use rustix::mm::{Advice, madvise};

unsafe extern "C" {
    /// Where the program's file starts in memory, and where its code ends: by the linker.
    static __executable_start: u8;
    static etext: u8;
}

/// Lets all threads share two heaps: glibc's allocator would give each its own, and each would keep what its thread has needed
/// once. The event path allocates nothing, so that nobody waits for another. To be called before there are threads.
pub fn share() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes two numbers and changes the allocator's settings, which is allowed at any time (mallopt(3)).
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Gives free memory back to the kernel, which glibc's allocator would keep: while starting, which reads megabytes of the
/// kernel's types, and after a burst. Other libraries' allocators give it back by themselves.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number of bytes to keep at the end, and may be called at any time by any thread (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Unmaps the program's code, and what lies before it in its file. A start touches most of what is ever touched, and the kernel
/// maps all around it: of that, a fifth is used again. It stays in the page cache, which may give it to others from now on, and is
/// mapped again from there where it is used.
pub fn unmap_code() {
    let (start, length) = code();
    // SAFETY: whole pages of the program's file, none of which was ever written to: what is relocated lies behind the code. So
    // the kernel finds the same bytes again, whoever runs or reads them meanwhile.
    if let Err(error) = unsafe { madvise(start.cast_mut().cast(), length, Advice::LinuxDontNeed) } {
        tracing::debug!(%error, "the code that the start used stays mapped");
    }
}

/// From the start of the program's file to the end of its code.
fn code() -> (*const u8, usize) {
    let (start, end) = (&raw const __executable_start, &raw const etext);
    (start, (end as usize).saturating_sub(start as usize))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::ops::Range;
    use std::os::unix::fs::FileExt as _;

    use rustix::param::page_size;

    use super::*;

    fn range() -> Range<usize> {
        let (start, length) = code();
        start as usize..(start as usize + length).next_multiple_of(page_size())
    }

    /// `/proc/PID/smaps`: a page that was written to is anonymous.
    fn anonymous(range: &Range<usize>) -> Vec<String> {
        let text = fs::read_to_string("/proc/self/smaps").unwrap();
        let (mut inside, mut found) = (false, Vec::new());
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap_or_default();
            if let Some((start, _)) = first.split_once('-') {
                inside = range.contains(&usize::from_str_radix(start, 16).unwrap());
            } else if inside && first == "Anonymous:" {
                found.extend(words.next().map(str::to_owned));
            }
        }
        found
    }

    #[test]
    fn code_is_all_of_it_and_nothing_that_was_ever_written() {
        /// Its address is written here by the dynamic linker.
        static RELOCATED: &[&str] = &["relocated"];
        let range = range();
        assert!(range.contains(&(unmap_code as fn() as usize)));
        assert!(range.start.is_multiple_of(page_size()));
        assert!(!range.contains(&(RELOCATED.as_ptr() as usize)));
        let anonymous = anonymous(&range);
        assert!(!anonymous.is_empty() && anonymous.iter().all(|kib| kib == "0"), "{anonymous:?}");
    }

    #[test]
    fn what_is_unmapped_is_there_again_when_it_is_used() {
        let start = code().0;
        let is_mapped = || {
            let mut entry = [0; 8];
            let at = (start as usize / page_size() * entry.len()) as u64;
            File::open("/proc/self/pagemap").unwrap().read_exact_at(&mut entry, at).unwrap();
            // Documentation/admin-guide/mm/pagemap.rst: present.
            u64::from_ne_bytes(entry) >> 63 == 1
        };
        // SAFETY: the first bytes of the program's file.
        let magic = || unsafe { start.cast::<[u8; 4]>().read_volatile() };
        // Another test's thread may use the same page at any time.
        let unmaps = (0..100).any(|_| {
            assert_eq!(&magic(), b"\x7fELF");
            let before = is_mapped();
            unmap_code();
            before && !is_mapped()
        });
        assert!(unmaps);
        assert_eq!(&magic(), b"\x7fELF");
    }
}
