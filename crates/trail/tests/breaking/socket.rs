//! T24: hostile peers on the writer's socket. Whatever they send, the writer serves the others, and ends when told.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use host::Host;
use trail::{Intake, RemoteOutcome, RemoteWriter, WriterSocket};

use crate::support::*;

struct Served {
    fixture: Fixture,
    writer: Arc<trail::Writer>,
    socket: Option<WriterSocket>,
}

impl Served {
    fn new() -> Served {
        let fixture = Fixture::new();
        let writer = Arc::new(fixture.open());
        let socket = WriterSocket::listen(&Host::system(), &fixture.folder, Arc::clone(&writer)).unwrap();
        Served { fixture, writer, socket: Some(socket) }
    }

    fn peer(&self) -> UnixStream {
        UnixStream::connect(self.fixture.folder.socket()).unwrap()
    }

    /// What the writer answers to these bytes, until it ends the connection or has answered once.
    fn says(&self, bytes: &[u8]) -> Vec<u8> {
        let mut peer = self.peer();
        // It may hang up in the middle of a message that it does not want.
        let _ = peer.write_all(bytes);
        let _ = peer.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = peer.read_to_end(&mut answer);
        answer
    }

    /// The writer serves a peer that behaves.
    fn is_well(&self, n: u64) {
        let mut remote = RemoteWriter::connect(&self.fixture.folder).unwrap().unwrap();
        let outcomes = remote.append(&records(n..n + 1), Intake::Import).unwrap();
        assert!(matches!(outcomes.as_slice(), [RemoteOutcome::Kept(_)]), "{outcomes:?}");
    }
}

fn message(verb: u8, body: &[u8]) -> Vec<u8> {
    let mut message = (body.len() as u32 + 1).to_be_bytes().to_vec();
    message.push(verb);
    message.extend_from_slice(body);
    message
}

#[test]
fn garbage_is_answered_or_hung_up_on_and_nothing_is_appended() {
    let served = Served::new();
    let good = {
        let mut body = Vec::new();
        record::cbor::write_null(&mut body);
        body.extend_from_slice(&record::to_cbor(&record(500).parts).unwrap());
        body
    };
    let mut attacks: Vec<Vec<u8>> = vec![
        vec![],
        vec![0],
        0u32.to_be_bytes().to_vec(),
        u32::MAX.to_be_bytes().to_vec(),
        [&u32::MAX.to_be_bytes()[..], b"a", &[0xff; 4096]].concat(),
        (40u32 << 20).to_be_bytes().to_vec(),
        message(b'a', &good)[..20].to_vec(),
        message(b'Z', b""),
        message(b'a', &[0xff]),
        message(b'a', &[0x9f]),
        // An array, a map, a text that claim more than there is.
        message(b'a', &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        message(b'a', &[0xf6, 0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        message(b'i', &[0xf6, 0x7b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        // Deep nesting.
        message(b'a', &[&[0xf6][..], &[0x81; 100_000]].concat()),
        message(b'i', &[&good[..], &good[..good.len() - 3]].concat()),
    ];
    let mut dice = Dice(3);
    for _ in 0..if long() { 3_000 } else { 300 } {
        // A good message with some bytes changed, or noise.
        let mut body = good.clone();
        for _ in 0..=dice.roll(4) {
            let at = dice.roll(body.len() as u64) as usize;
            // Not its length and not its key names alone: anything.
            body[at] = dice.roll(256) as u8;
        }
        attacks.push(message(b"ai"[dice.roll(2) as usize], &body));
        let noise = (0..dice.roll(200)).map(|_| dice.roll(256) as u8).collect::<Vec<u8>>();
        attacks.push(message(b"ai"[dice.roll(2) as usize], &noise));
    }
    for attack in &attacks {
        let answer = served.says(attack);
        // Refused by hanging up, or in words, or taken: then the changed record was a record all the same.
        if let [_, _, _, _, 1, text @ ..] = answer.as_slice() {
            assert!(!text.is_empty() && std::str::from_utf8(text).is_ok());
        }
    }
    served.is_well(1);
    assert_eq!(served.writer.stopped().map(|stopped| stopped.to_string()), None);
    println!("{} messages, {} of them were records", attacks.len(), served.writer.status().records - 1);
}

/// Peers that connect and say nothing, or half a message, take their places and no more; at the limit the next one is
/// told so. The writer ends when it is told, though they hold the line.
#[test]
fn peers_that_hold_the_line_do_not_hold_up_the_end() {
    let mut served = Served::new();
    let held: Vec<UnixStream> = (0..64)
        .map(|n| {
            let mut peer = served.peer();
            if n % 2 == 0 {
                peer.write_all(&message(b'a', &[0xf6; 100])[..50]).unwrap();
            }
            peer
        })
        .collect();
    let told = String::from_utf8(served.says(&message(b'?', b""))[5..].to_vec()).unwrap();
    assert!(told.contains("limit of 64 connections"), "{told}");
    drop(held.into_iter().take(1).collect::<Vec<_>>());
    let start = Host::system();
    drop(served.socket.take());
    assert!(start.monotonic() < std::time::Duration::from_secs(30), "an idle peer held up the end");
    assert!(RemoteWriter::connect(&served.fixture.folder).unwrap().is_none());
    // Nobody else holds the writer, so it can be closed, and its lock is free.
    let writer = Arc::into_inner(served.writer).unwrap();
    writer.close().unwrap();
    served.fixture.open().close().unwrap();
}

/// Someone removed the socket's file: no one can connect any more, and the writer ends all the same.
#[test]
fn a_socket_whose_file_is_gone_still_ends() {
    let mut served = Served::new();
    let mut before = RemoteWriter::connect(&served.fixture.folder).unwrap().unwrap();
    remove(&served.fixture.folder.socket());
    assert_eq!(before.status().unwrap().records, 0);
    drop(served.socket.take());
    Arc::into_inner(served.writer).unwrap().close().unwrap();
}
