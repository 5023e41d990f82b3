//! Memory that nobody needs any more.

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
