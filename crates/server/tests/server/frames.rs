//! HTTP/2 by hand: what no client library would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RESET: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GO_AWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// The setting of the window that each stream begins with.
pub const INITIAL_WINDOW: u16 = 4;

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// A frame as it came.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub payload: Vec<u8>,
}

/// A frame as it is sent.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of a GET, in literals alone.
pub fn get(path: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    // :method GET, :scheme http, :path, :authority.
    [&[0x82, 0x86, 0x04][..], &text(path), &[0x01], &text("x")].concat()
}

/// The same, of who has a token.
pub fn asked_by(path: &str, token: &str) -> Vec<u8> {
    let value = format!("Bearer {token}");
    // A literal that is not put into any table, with the name of index 23.
    [&get(path)[..], &[0x0f, 0x08, u8::try_from(value.len()).unwrap()][..], value.as_bytes()].concat()
}

/// A connection.
pub struct Line {
    stream: TcpStream,
}

impl Line {
    /// A connection that has said hello, with a window for each stream.
    pub async fn to(address: &str, window: u32) -> Line {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let setting = [&INITIAL_WINDOW.to_be_bytes()[..], &window.to_be_bytes()].concat();
        let hello = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &setting)].concat();
        stream.write_all(&hello).await.unwrap();
        Line { stream }
    }

    /// Whether it could be sent: not once the server has closed.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = tokio::time::timeout(PATIENCE, self.stream.write_all(bytes)).await;
        sent.expect("the server neither takes anything nor closes").is_ok()
    }

    /// The next frame, pings and settings answered; none once the server has closed.
    pub async fn next(&mut self) -> Option<Frame> {
        let read = tokio::time::timeout(PATIENCE, async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            Some(Frame { kind: head[3], flags: head[4], payload })
        });
        let frame = read.await.expect("the server neither says anything nor closes")?;
        if matches!(frame.kind, PING | SETTINGS) && frame.flags & ACK == 0 {
            let payload = if frame.kind == PING { &frame.payload[..] } else { &[] };
            self.send(&self::frame(frame.kind, ACK, 0, payload)).await;
        }
        Some(frame)
    }

    /// Everything until the server closes.
    pub async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let all = async {
            while let Some(frame) = self.next().await {
                frames.push(frame);
            }
        };
        tokio::time::timeout(2 * PATIENCE, all).await.expect("the server does not close");
        frames
    }
}
