//! A request in two halves, for a receiver that finds it too large.

use super::attribute::AGGREGATION_COUNT;
use super::envelope::{close_resource_logs, open_resource_logs};
use super::wire::tag;

/// A part of a request, which is a request of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Half {
    /// The encoded message.
    pub body: Vec<u8>,
    /// Its log records.
    pub records: u64,
    /// Accesses that the records stand for.
    pub accesses: u64,
}

/// The same records in two requests of about the same size; a container that has records in both is in both.
///
/// Takes requests as this module makes them (one `ScopeLogs` per `ResourceLogs`). Nothing for others, and for a single
/// record.
#[must_use]
pub fn split(request: &[u8]) -> Option<[Half; 2]> {
    let mut records = Vec::new();
    let mut resources = Vec::new();
    for field in Fields(request) {
        let (resource, found) = resource_logs(field.filter(|field| field.tag == tag(1))?.value)?;
        records.extend(found.into_iter().map(|record| (resources.len(), record)));
        resources.push(resource);
    }
    let total: usize = records.iter().map(|(_, record)| record.len()).sum();
    let mut before = 0;
    let mut fits = |(_, record): &(usize, &[u8])| {
        before += record.len();
        before <= total / 2
    };
    let cut = records.iter().take_while(|record| fits(record)).count().max(1);
    let (first, second) = records.split_at_checked(cut).filter(|(_, second)| !second.is_empty())?;
    Some([half(&resources, first), half(&resources, second)])
}

fn half(resources: &[&[u8]], records: &[(usize, &[u8])]) -> Half {
    let mut out = Vec::new();
    for group in records.chunk_by(|(one, _), (other, _)| one == other) {
        let len = group.iter().map(|(_, record)| record.len()).sum();
        open_resource_logs(&mut out, resources[group[0].0], len);
        for (_, record) in group {
            out.extend_from_slice(record);
        }
        close_resource_logs(&mut out);
    }
    let accesses = records.iter().fold(0, |sum: u64, (_, record)| sum.saturating_add(accesses(record)));
    Half { body: out, records: records.len() as u64, accesses }
}

/// What a record says that it stands for: the integer [`AGGREGATION_COUNT`] among its attributes. 0 where it says nothing.
fn accesses(record: &[u8]) -> u64 {
    const ATTRIBUTES: u8 = tag(6);
    let body = Fields(record).next().flatten().map_or(&[][..], |field| field.value);
    let attributes = Members(body).filter(|(tag, _)| *tag == ATTRIBUTES);
    let mut counts = attributes.filter_map(|(_, attribute)| {
        let mut members = Members(attribute);
        let (_, key) = members.next()?;
        let (_, value) = members.next()?;
        let (3, rest) = value.split_first().map(|(tag, rest)| (tag >> 3, rest))? else { return None };
        if key == AGGREGATION_COUNT.as_bytes() { varint(rest).map(|(value, _)| value) } else { None }
    });
    counts.next().unwrap_or(0)
}

/// Length-delimited fields of a message that has others too; it ends where it cannot be read.
struct Members<'a>(&'a [u8]);

impl<'a> Iterator for Members<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (tag, rest) = self.0.split_first()?;
            let (value, rest) = match tag & 7 {
                0 => (None, varint(rest)?.1),
                1 => (None, rest.get(8..)?),
                2 => {
                    let (len, rest) = varint(rest)?;
                    let (value, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
                    (Some(value), rest)
                }
                _ => return None,
            };
            self.0 = rest;
            if let Some(value) = value {
                return Some((*tag, value));
            }
        }
    }
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let len = bytes.iter().take(10).position(|byte| *byte < 0x80)? + 1;
    let (varint, rest) = bytes.split_at(len);
    Some((varint.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)), rest))
}

/// The resource, and the records with tag and length.
fn resource_logs(message: &[u8]) -> Option<(&[u8], Vec<&[u8]>)> {
    let mut resource = None;
    let mut records = Vec::new();
    for field in Fields(message) {
        let field = field?;
        if field.tag == tag(1) {
            resource = Some(field.value);
        } else if field.tag == tag(2) {
            let found: Option<Vec<_>> = Fields(field.value).collect();
            records.extend(found?.iter().filter(|field| field.tag == tag(2)).map(|field| field.whole));
        }
    }
    Some((resource?, records))
}

/// Fields of a message that has only length-delimited ones with numbers below 16; then `None` once where it has others.
struct Fields<'a>(&'a [u8]);

struct Field<'a> {
    tag: u8,
    value: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<Field<'a>> {
        let tag = *self.0.first().filter(|tag| **tag & 0x87 == 2)?;
        let (mut len, mut at) = (0, 1);
        loop {
            // No message here has a length of more than four bytes (256 MiB).
            let byte = *self.0.get(at).filter(|_| at <= 4)?;
            len |= usize::from(byte & 0x7f) << (7 * (at - 1));
            at += 1;
            if byte < 0x80 {
                break;
            }
        }
        let (whole, rest) = self.0.split_at_checked(at + len)?;
        self.0 = rest;
        Some(Field { tag, value: &whole[at..], whole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(groups: &[(&[u8], &[&[u8]])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (resource, records) in groups {
            open_resource_logs(&mut out, resource, records.iter().map(|record| record.len()).sum());
            out.extend(records.concat());
            close_resource_logs(&mut out);
        }
        out
    }

    const A: &[u8] = b"\x12\x03aaa";
    const B: &[u8] = b"\x12\x03bbb";
    const LONG: &[u8] = &{
        let mut record = [b'l'; 303];
        (record[0], record[1], record[2]) = (0x12, 0xac, 0x02);
        record
    };

    #[test]
    fn halves() {
        let check = |whole: &[(&[u8], &[&[u8]])], first: &[(&[u8], &[&[u8]])], second: &[(&[u8], &[&[u8]])]| {
            let [one, other] = split(&request(whole)).unwrap();
            assert_eq!((one.body, other.body), (request(first), request(second)));
            let count = |groups: &[(&[u8], &[&[u8]])]| groups.iter().map(|group| group.1.len() as u64).sum::<u64>();
            assert_eq!((one.records, other.records), (count(first), count(second)));
        };
        check(&[(b"r", &[A, B])], &[(b"r", &[A])], &[(b"r", &[B])]);
        check(&[(b"r", &[A]), (b"", &[B])], &[(b"r", &[A])], &[(b"", &[B])]);
        check(&[(b"r", &[A, B]), (b"s", &[B, A])], &[(b"r", &[A, B])], &[(b"s", &[B, A])]);
        check(&[(b"r", &[A]), (b"s", &[B, A, B])], &[(b"r", &[A]), (b"s", &[B])], &[(b"s", &[A, B])]);
        // The larger record is alone, wherever it is.
        check(&[(b"r", &[LONG, A, B])], &[(b"r", &[LONG])], &[(b"r", &[A, B])]);
        check(&[(b"r", &[A, B, LONG])], &[(b"r", &[A, B])], &[(b"r", &[LONG])]);
    }

    #[test]
    fn knows_what_each_half_stands_for() {
        use std::time::Duration;

        use crate::batch::{Batch, Limits};
        use crate::event::Event;
        use crate::otlp::Encoder;
        use crate::sink::sample::{self, Sample};
        let limits = Limits { records: 100, bytes: usize::MAX, age: Duration::MAX, interval: Duration::MAX };
        let mut batch = Batch::new(limits, sample::node());
        let mut encoder = Encoder::new(&sample::node());
        // What the path holds is not the record's own count.
        let decoy = b"\x32\x1f\x0a\x19inotrail.aggregation.count\x12\x02\x18\x07".to_vec();
        for count in [1, 300, 1 << 40] {
            let sample = Sample { path: decoy.clone(), count, last_ns: count - 1, ..Sample::default() };
            assert_eq!(sample.with(|event| batch.push(&mut encoder, &Event { ..*event }, 0)), None);
        }
        let whole = batch.take().unwrap();
        let [one, other] = split(&whole.body).unwrap();
        assert_eq!((one.records, one.accesses), (1, 1));
        assert_eq!((other.records, other.accesses), (2, 300 + (1 << 40)));
        assert_eq!(whole.accesses, one.accesses + other.accesses);
    }

    #[test]
    fn what_cannot_be_halved() {
        for request in
            [&request(&[(b"r", &[A])]), &[][..], b"\x0a", b"\x0a\xff\xff\xff\xff\x01", b"\x08\x01", b"\x0a\x02\x08\x01"]
        {
            assert!(split(request).is_none(), "{request:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>) {
            let halves = split(&bytes);
            proptest::prop_assert!(halves.is_none_or(|[one, other]| one.records > 0 && other.records > 0));
        }
    }
}
