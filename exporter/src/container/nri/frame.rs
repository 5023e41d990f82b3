//! Frames of the Node Resource Interface: ttrpc messages, multiplexed over one socket. Pure, and bounded whatever comes.
//!
//! The trunk (containerd/nri, `pkg/net/multiplex`) carries `u32 connection, u32 length, bytes`. The bytes of one connection
//! together are ttrpc (containerd/ttrpc, `channel.go`): `u32 length, u32 stream, u8 type, u8 flags, body`. A message may
//! be spread over several pieces of the trunk. All numbers are big-endian.

use bytes::{Buf, BytesMut};

/// What ttrpc allows for a body (`messageLengthMax`). A runtime tells of as many containers at once as fit in: less than this
/// would break the connection on a full node.
const BODY_MAX: usize = 4 << 20;
const TRUNK_HEADER: usize = 8;
const HEADER: usize = 10;
/// The longest piece of the trunk that the other side writes (`maxPayloadSize`).
const PIECE_MAX: usize = HEADER + BODY_MAX;

/// What goes over the trunk, by who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// The runtime calls the plugin.
    Plugin = 1,
    /// The plugin calls the runtime.
    Runtime = 2,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Request = 1,
    Response = 2,
}

/// One message of ttrpc.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) connection: Connection,
    /// What a response has in common with its request.
    pub(super) stream: u32,
    /// `None`: something that neither is a request nor answers one.
    pub(super) kind: Option<Kind>,
    pub(super) body: BytesMut,
}

/// Why the bytes are no frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {0} bytes, and ttrpc allows 4 MiB")]
pub(super) struct TooLong(usize);

/// Frames out of bytes as they come in.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The beginning of a header of the trunk.
    header: BytesMut,
    /// Whose piece of the trunk is being read, and how many of its bytes are to come. `None`: nobody's that is known.
    piece: (Option<Connection>, usize),
    plugin: BytesMut,
    runtime: BytesMut,
}

impl Decoder {
    /// Takes bytes in. Between two calls all frames are to be taken out: then no more than one message is kept of each
    /// connection.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), TooLong> {
        while !bytes.is_empty() {
            let (connection, left) = self.piece;
            let wanted = if left == 0 { TRUNK_HEADER - self.header.len() } else { left };
            let (now, rest) = bytes.split_at(wanted.min(bytes.len()));
            bytes = rest;
            if left > 0 {
                self.piece.1 -= now.len();
                if let Some(connection) = connection {
                    self.received(connection).extend_from_slice(now);
                }
                continue;
            }
            self.header.extend_from_slice(now);
            if self.header.len() == TRUNK_HEADER {
                self.piece = (connection_of(self.header.get_u32()), self.header.get_u32() as usize);
            }
            if self.piece.1 > PIECE_MAX {
                return Err(TooLong(self.piece.1));
            }
        }
        Ok(())
    }

    /// The next whole message.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, TooLong> {
        for connection in [Connection::Runtime, Connection::Plugin] {
            if let Some(frame) = take(connection, self.received(connection))? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    fn received(&mut self, connection: Connection) -> &mut BytesMut {
        match connection {
            Connection::Plugin => &mut self.plugin,
            Connection::Runtime => &mut self.runtime,
        }
    }
}

/// A message as one piece of the trunk. It must be short: the other side refuses a piece that is longer than what is free in
/// its buffer of 4 KiB.
pub(super) fn encode(connection: Connection, stream: u32, kind: Kind, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(TRUNK_HEADER + HEADER + body.len());
    for number in [connection as u32, (HEADER + body.len()) as u32, body.len() as u32, stream] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.extend([kind as u8, 0]);
    bytes.extend(body);
    bytes
}

fn take(connection: Connection, received: &mut BytesMut) -> Result<Option<Frame>, TooLong> {
    let Some(mut header) = received.get(..HEADER) else { return Ok(None) };
    let length = header.get_u32() as usize;
    if length > BODY_MAX {
        return Err(TooLong(length));
    }
    let (stream, kind) = (header.get_u32(), kind_of(header.get_u8()));
    if received.len() < HEADER + length {
        return Ok(None);
    }
    let mut body = received.split_to(HEADER + length);
    body.advance(HEADER);
    Ok(Some(Frame { connection, stream, kind, body }))
}

fn connection_of(id: u32) -> Option<Connection> {
    [Connection::Plugin, Connection::Runtime].into_iter().find(|connection| *connection as u32 == id)
}

fn kind_of(number: u8) -> Option<Kind> {
    [Kind::Request, Kind::Response].into_iter().find(|kind| *kind as u8 == number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All frames, or the first error, of bytes that come `step` at a time.
    fn decode(bytes: &[u8], step: usize) -> Result<Vec<Frame>, TooLong> {
        let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
        for part in bytes.chunks(step) {
            decoder.push(part)?;
            while let Some(frame) = decoder.next()? {
                frames.push(frame);
            }
        }
        Ok(frames)
    }

    type Told<'a> = (Connection, u32, Option<Kind>, &'a [u8]);

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<&[Told<'_>], TooLong>) {
        let expected = expected.map(|frames| {
            let frame = |&(connection, stream, kind, body): &(_, _, _, &[u8])| Frame {
                connection,
                stream,
                kind,
                body: BytesMut::from(body),
            };
            frames.iter().map(frame).collect::<Vec<_>>()
        });
        for step in [1, 3, 8, 4096, bytes.len().max(1)] {
            assert_eq!(decode(bytes, step), expected, "{step} bytes at a time");
        }
    }

    fn piece(connection: u32, length: usize, bytes: &[u8]) -> Vec<u8> {
        [&connection.to_be_bytes()[..], &(length as u32).to_be_bytes(), bytes].concat()
    }

    fn message(length: usize, stream: u32, kind: u8, body: &[u8]) -> Vec<u8> {
        [&(length as u32).to_be_bytes()[..], &stream.to_be_bytes(), &[kind, 7], body].concat()
    }

    fn whole(connection: u32, message: &[u8]) -> Vec<u8> {
        piece(connection, message.len(), message)
    }

    const REQUEST: (Connection, u32, Option<Kind>, &[u8]) = (Connection::Plugin, 3, Some(Kind::Request), b"abc");

    #[test]
    fn whole_messages() {
        let request = whole(1, &message(3, 3, 1, b"abc"));
        check(b"", Ok(&[]));
        check(&request, Ok(&[REQUEST]));
        check(&encode(Connection::Plugin, 3, Kind::Request, b"abc"), Ok(&[REQUEST]));
        check(&whole(2, &message(0, 1, 2, b"")), Ok(&[(Connection::Runtime, 1, Some(Kind::Response), b"")]));
        check(&whole(1, &message(1, 0, 3, b"x")), Ok(&[(Connection::Plugin, 0, None, b"x")]));
        check(&[&request[..], &request].concat(), Ok(&[REQUEST, REQUEST]));
        check(&whole(1, &message(3, 3, 1, b"abc").repeat(2)), Ok(&[REQUEST, REQUEST]));
    }

    #[test]
    fn messages_in_pieces() {
        let request = message(3, 3, 1, b"abc");
        for cut in 0..=request.len() {
            let (first, second) = request.split_at(cut);
            let pieces = [whole(1, first), whole(2, b""), whole(9, b"whatever"), whole(1, second)].concat();
            check(&pieces, Ok(&[REQUEST]));
        }
        // Those of two connections do not mix.
        let response = message(1, 1, 2, b"r");
        let mixed = [whole(1, &request[..5]), whole(2, &response), whole(1, &request[5..])].concat();
        check(&mixed, Ok(&[(Connection::Runtime, 1, Some(Kind::Response), b"r"), REQUEST]));
    }

    #[test]
    fn lengths_that_are_not_true() {
        // More is promised than comes: nothing is made of it, and nothing is kept but what came.
        check(&whole(1, &message(4, 3, 1, b"abc")), Ok(&[]));
        check(&piece(1, 100, &message(100, 3, 1, b"abc")), Ok(&[]));
        check(&piece(1, PIECE_MAX, b""), Ok(&[]));
        check(&whole(1, &message(BODY_MAX, 3, 1, b"")), Ok(&[]));
        // More than there can be.
        check(&piece(1, PIECE_MAX + 1, b""), Err(TooLong(PIECE_MAX + 1)));
        check(&piece(9, u32::MAX as usize, b""), Err(TooLong(u32::MAX as usize)));
        check(&whole(1, &message(BODY_MAX + 1, 3, 1, b"")), Err(TooLong(BODY_MAX + 1)));
        check(&whole(2, &message(u32::MAX as usize, 3, 1, b"")), Err(TooLong(u32::MAX as usize)));
        // Less: the rest is the next one's beginning.
        check(&whole(1, &message(2, 3, 1, b"abc")), Ok(&[(Connection::Plugin, 3, Some(Kind::Request), b"ab")]));
    }

    #[test]
    fn the_longest_message() {
        let body = vec![b'x'; BODY_MAX];
        let bytes = whole(1, &message(BODY_MAX, 1, 1, &body));
        let frames = decode(&bytes, 64 << 10).unwrap();
        assert_eq!(frames.iter().map(|frame| frame.body.len()).collect::<Vec<_>>(), [BODY_MAX]);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_portions(bytes in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..300), step in 1..40_usize) {
            prop_assert_eq!(decode(&bytes, step).is_ok(), decode(&bytes, bytes.len().max(1)).is_ok());
        }
    }
}
