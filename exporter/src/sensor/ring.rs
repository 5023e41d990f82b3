//! The ring buffer, as its one reader maps it (Documentation/bpf/ringbuf.rst of the kernel).
//!
//! The kernel would also map its data a second time right behind the first, where a record that runs around the end is in one
//! piece. Those pages count as resident once more; here such a record, at most one for each time around, is copied instead.

use std::io;
use std::ops::Deref;
use std::os::fd::AsFd as _;
use std::slice;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use aya::maps::Map;
use inotrail_ebpf::STRINGS_LIMIT;
use memmap2::{MmapOptions, MmapRaw};
use rustix::param::page_size;

/// `BPF_RINGBUF_BUSY_BIT`, include/uapi/linux/bpf.h: it is being written.
const BUSY: u32 = 1 << 31;
/// `BPF_RINGBUF_DISCARD_BIT`: it was given up.
const DISCARDED: u32 = 1 << 30;
/// Bytes before each record, and what its length is rounded up to (`BPF_RINGBUF_HDR_SZ`).
pub(super) const HEADER: usize = 8;

/// Reads records in order. The programs wake nobody up: whoever reads comes by himself.
pub(super) struct Ring {
    /// The page with the reader's position.
    consumer: MmapRaw,
    /// The page with the writers' position, and the data.
    producer: MmapRaw,
    /// Bytes of the data, a power of two.
    size: usize,
    /// Bytes that were read since the ring was made.
    taken: usize,
    /// Bytes that had been written when it was last looked at.
    written: usize,
    /// The last record that ran around the end, in one piece.
    whole: Vec<u8>,
}

/// A record in the ring. Dropping it makes room for others.
pub(super) struct Item<'a> {
    ring: &'a mut Ring,
    length: usize,
}

impl Ring {
    pub(super) fn new(map: &Map) -> io::Result<Self> {
        let Map::RingBuf(map) = map else { return Err(io::ErrorKind::InvalidInput.into()) };
        let size = map.info().map_err(io::Error::other)?.max_entries() as usize;
        let (page, descriptor) = (page_size(), map.fd().as_fd());
        let consumer = MmapOptions::new().len(page).map_raw(&descriptor)?;
        let producer = MmapOptions::new().offset(page as u64).len(page + size).map_raw_read_only(&descriptor)?;
        Self::of(consumer, producer)
    }

    /// # Errors
    /// The data's length is no power of two.
    fn of(consumer: MmapRaw, producer: MmapRaw) -> io::Result<Self> {
        let size = producer.len().saturating_sub(page_size());
        if !size.is_power_of_two() || size < page_size() || consumer.len() < page_size() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let taken = position(&consumer).load(Ordering::Acquire);
        let whole = Vec::with_capacity(STRINGS_LIMIT + 512);
        Ok(Self { consumer, producer, size, taken, written: taken, whole })
    }

    /// The next record; none where there is no more, or where the next one is still being written.
    pub(super) fn next(&mut self) -> Option<Item<'_>> {
        loop {
            if self.taken == self.written {
                self.written = position(&self.producer).load(Ordering::Acquire);
                if self.taken == self.written {
                    return None;
                }
            }
            let header = self.header();
            if header & BUSY != 0 {
                return None;
            }
            let length = (header & !DISCARDED) as usize & (self.size - 1);
            if header & DISCARDED == 0 {
                self.join(length);
                return Some(Item { ring: self, length });
            }
            self.release(length);
        }
    }

    /// Length and state of the record that is next.
    #[expect(clippy::cast_ptr_alignment, reason = "a mapping starts at a page, and headers lie at multiples of 8")]
    fn header(&self) -> u32 {
        // SAFETY: `at` is inside the data and aligned; the word is atomic because the kernel writes it at the same time.
        let header = unsafe { &*self.at(self.taken).cast::<AtomicU32>() };
        // Pairs with the exchange by which the record was finished.
        header.load(Ordering::Acquire)
    }

    /// Copies the record where it runs around the end.
    fn join(&mut self, length: usize) {
        let first = self.contiguous();
        if length > first {
            self.whole.clear();
            // SAFETY: the record's bytes, to the end of the data and from their start. Nobody writes to them before they are
            // released, and `length` is below the size.
            unsafe {
                self.whole.extend_from_slice(slice::from_raw_parts(self.at(self.taken.wrapping_add(HEADER)), first));
                self.whole.extend_from_slice(slice::from_raw_parts(self.at(0), length - first));
            }
        }
    }

    /// Bytes from the start of the record to the end of the data.
    const fn contiguous(&self) -> usize {
        self.size - (self.taken.wrapping_add(HEADER) & (self.size - 1))
    }

    /// Inside the data, whatever the position; headers lie at multiples of 8.
    fn at(&self, position: usize) -> *const u8 {
        let offset = position & (self.size - 1) & !(HEADER - 1);
        // SAFETY: the mapping is a page and `size` bytes long, see `of`.
        unsafe { self.producer.as_ptr().add(page_size() + offset) }
    }

    fn release(&mut self, length: usize) {
        self.taken = self.taken.wrapping_add((HEADER + length).next_multiple_of(HEADER));
        // The record was read before: the kernel writes there only once it has seen this.
        position(&self.consumer).store(self.taken, Ordering::Release);
    }
}

/// How far the one or the other side is: the first word of its page.
#[expect(clippy::cast_ptr_alignment, reason = "a mapping starts at a page")]
fn position(page: &MmapRaw) -> &AtomicUsize {
    // SAFETY: aligned, and as long as the mapping; atomic because the kernel uses it at the same time. The producer's, which may
    // not be written, is only loaded.
    unsafe { &*page.as_mut_ptr().cast::<AtomicUsize>() }
}

impl Deref for Item<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let ring = &*self.ring;
        if self.length > ring.contiguous() {
            return &ring.whole;
        }
        // SAFETY: these bytes are inside the data, and nobody writes to them before they are released.
        unsafe { slice::from_raw_parts(ring.at(ring.taken.wrapping_add(HEADER)), self.length) }
    }
}

impl Drop for Item<'_> {
    fn drop(&mut self) {
        self.ring.release(self.length);
    }
}

#[cfg(test)]
mod tests;
