use memmap2::MmapMut;

use super::*;

/// The kernel's side of a ring in plain memory: writes whatever it is told to.
struct Writer {
    producer: *mut u8,
    consumer: *mut u8,
    size: usize,
    written: usize,
}

impl Writer {
    fn ring(size: usize) -> (Self, Ring) {
        let memory = |bytes| MmapRaw::from(MmapMut::map_anon(bytes).expect("map"));
        let (consumer, producer) = (memory(page_size()), memory(page_size() + size));
        let writer = Self { producer: producer.as_mut_ptr(), consumer: consumer.as_mut_ptr(), size, written: 0 };
        (writer, Ring::of(consumer, producer).expect("a power of two"))
    }

    fn header(&self, at: usize, header: u32) {
        for (offset, byte) in header.to_ne_bytes().into_iter().enumerate() {
            self.byte(at + offset, byte);
        }
    }

    fn byte(&self, at: usize, byte: u8) {
        // SAFETY: inside the ring's data, which outlives this in every test.
        unsafe { self.producer.add(page_size() + at % self.size).write(byte) };
    }

    /// Returns where its header is.
    fn write(&mut self, bytes: &[u8], flags: u32) -> usize {
        let at = self.written;
        assert!(self.written + HEADER + bytes.len() <= self.read() + self.size, "there is no room");
        bytes.iter().enumerate().for_each(|(offset, byte)| self.byte(at + HEADER + offset, *byte));
        self.header(at, bytes.len() as u32 | flags);
        self.written += (HEADER + bytes.len()).next_multiple_of(HEADER);
        // SAFETY: the first word of the page.
        unsafe { word(self.producer).write(self.written) };
        at
    }

    fn read(&self) -> usize {
        // SAFETY: the first word of the page.
        unsafe { word(self.consumer).read() }
    }
}

fn word(page: *mut u8) -> *mut usize {
    page.cast()
}

fn next(ring: &mut Ring) -> Option<Vec<u8>> {
    ring.next().map(|item| item.to_vec())
}

#[test]
fn records_of_every_length_come_whole_and_in_order_around_the_end() {
    let (mut writer, mut ring) = Writer::ring(page_size());
    let record = |number: usize| -> Vec<u8> { (0..number % 1021).map(|byte| (byte + number) as u8).collect() };
    let mut joined = 0;
    for number in (0..3000).step_by(2) {
        writer.write(&record(number), 0);
        writer.write(&record(number + 1), 0);
        for number in [number, number + 1] {
            let item = ring.next().expect("a record");
            joined += usize::from(item.length > item.ring.contiguous());
            assert_eq!(*item, record(number), "{number}");
        }
        assert_eq!(next(&mut ring), None);
        assert_eq!(writer.read(), writer.written, "all room is given back");
    }
    assert!(joined > 100, "{joined}");
}

#[test]
fn a_record_keeps_its_room_until_it_is_dropped() {
    let (mut writer, mut ring) = Writer::ring(page_size());
    writer.write(b"one", 0);
    let item = ring.next().expect("a record");
    assert_eq!((&*item, writer.read()), (&b"one"[..], 0));
    drop(item);
    assert_eq!(writer.read(), 16);
}

#[test]
fn what_is_being_written_is_waited_for_and_what_was_given_up_is_left_out() {
    let (mut writer, mut ring) = Writer::ring(page_size());
    let busy = writer.write(b"first", BUSY);
    writer.write(b"given up", DISCARDED);
    writer.write(b"last", 0);
    assert_eq!(next(&mut ring), None);
    assert_eq!(writer.read(), 0);
    writer.header(busy, 5);
    assert_eq!(next(&mut ring), Some(b"first".to_vec()));
    assert_eq!(next(&mut ring), Some(b"last".to_vec()));
    assert_eq!(next(&mut ring), None);
    assert_eq!(writer.read(), writer.written);
}

#[test]
fn goes_on_where_the_last_reader_stopped() {
    let (mut writer, mut ring) = Writer::ring(page_size());
    writer.write(b"told", 0);
    writer.write(b"untold", 0);
    drop(ring.next());
    let Ring { consumer, producer, .. } = ring;
    let mut ring = Ring::of(consumer, producer).expect("the same");
    assert_eq!(next(&mut ring), Some(b"untold".to_vec()));
    assert_eq!(next(&mut ring), None);
}
