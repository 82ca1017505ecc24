//! A request's body: taken up to a limit, within a time, and unpacked up to a limit.

use std::io::{self, Read};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use crate::asked::Asked;
use crate::config::Limits;
use crate::problem::{Kind, Problem};
use crate::room::{Held, Room};

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// It is not.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// A zstd frame may ask for no more memory than this to be unpacked: 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

impl Packing {
    /// What a request says.
    pub fn of(headers: &HeaderMap) -> Result<Packing, Problem> {
        let mut given = headers.get_all(CONTENT_ENCODING).iter();
        let (first, second) = (given.next(), given.next());
        let name = first.map(|value| value.to_str().unwrap_or("?").trim().to_ascii_lowercase());
        match name.as_deref().filter(|_| second.is_none()) {
            None if first.is_none() => Ok(Packing::None),
            Some("identity" | "") => Ok(Packing::None),
            Some("gzip" | "x-gzip") => Ok(Packing::Gzip),
            Some("zstd") => Ok(Packing::Zstd),
            _ => {
                let what = "the body is packed in a way that is not read; send gzip or zstd, once, or none";
                Err(Problem::new(Kind::UnsupportedMediaType, what).field("Content-Encoding"))
            }
        }
    }

    /// The bytes as they were before they were packed, and no more of them than `max`.
    pub fn unpacked(self, bytes: Bytes, max: u64) -> io::Result<Box<dyn io::BufRead>> {
        let packed = io::Cursor::new(bytes);
        let raw: Box<dyn Read> = match self {
            Packing::None => return Ok(Box::new(Bounded::new(packed, max))),
            Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Packing::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        };
        Ok(Box::new(Bounded::new(io::BufReader::with_capacity(64 << 10, raw), max)))
    }
}

/// Gives so many bytes, and then an error that [`is_over`] knows.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: io::BufRead> Bounded<R> {
    fn new(inner: R, max: u64) -> Self {
        Bounded { inner, left: max }
    }
}

impl<R: io::BufRead> io::BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let ready = self.inner.fill_buf()?;
        if ready.is_empty() || self.left > 0 {
            return Ok(&ready[..ready.len().min(usize::try_from(self.left).unwrap_or(usize::MAX))]);
        }
        Err(io::Error::from(io::ErrorKind::FileTooLarge))
    }

    fn consume(&mut self, amount: usize) {
        self.left -= amount as u64;
        self.inner.consume(amount);
    }
}

impl<R: io::BufRead> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let ready = io::BufRead::fill_buf(self)?;
        let length = ready.len().min(into.len());
        into[..length].copy_from_slice(&ready[..length]);
        io::BufRead::consume(self, length);
        Ok(length)
    }
}

/// Whether an error of reading says that a body was longer than it may be once unpacked.
pub fn is_over(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge
}

/// Whether a body says that it is JSON.
pub fn is_json(headers: &HeaderMap) -> Result<(), Problem> {
    let said = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if said.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let what = "the body is of a form that is not read; send application/json";
    Err(Problem::new(Kind::UnsupportedMediaType, what).field("Content-Type"))
}

/// A body that is one object in JSON, of so many bytes at most.
pub async fn json<T: DeserializeOwned>(asked: &mut Asked, max: usize) -> Result<T, Problem> {
    is_json(&asked.headers)?;
    let body = std::mem::take(asked.body.get_mut());
    let (bytes, _held) = collect(body, &asked.headers, &asked.server.config.limits, &asked.server.room).await?;
    if bytes.len() > max {
        return Err(Problem::new(Kind::TooLarge, format!("the body is longer than the limit of {max} bytes")));
    }
    // A list would pass for an object whose fields are in this order.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(Problem::new(Kind::Malformed, "the body is no object in JSON; /v1/docs has an example"));
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        let what = format!("the body is not what this takes: {error}; /v1/docs has an example");
        Problem::new(Kind::Malformed, what)
    })
}

/// All of a body, and the memory that it has.
pub async fn collect(body: Body, headers: &HeaderMap, limits: &Limits, room: &Room) -> Result<(Bytes, Held), Problem> {
    let max = limits.body_bytes_max;
    let too_large = || {
        let what = format!("the body is longer than the limit body_bytes_max of {max} bytes; split the batch");
        Problem::new(Kind::TooLarge, what)
    };
    // Said in advance: refused before it is sent.
    let said = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|said| said > max as u64) {
        return Err(too_large());
    }
    let mut held = room.hold();
    let mut body = body;
    let end = Instant::now() + Duration::from_secs(limits.body_s_max);
    let idle = Duration::from_secs(limits.idle_s_max);
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    let mut length = 0;
    loop {
        let until = end.min(Instant::now() + idle);
        let Ok(frame) = timeout_at(until, body.frame()).await else {
            let what = format!(
                "the body came too slowly: it may take {} s, and stand still for {} s; send smaller batches",
                limits.body_s_max, limits.idle_s_max
            );
            return Err(Problem::new(Kind::Timeout, what));
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| Problem::new(Kind::Malformed, "the body broke off; send it again"))?;
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length > max {
            return Err(too_large());
        }
        held.more(data.len())?;
        match (&first, all.is_empty()) {
            (None, true) => first = Some(data),
            _ => {
                all.extend(first.take());
                all.extend_from_slice(&data);
            }
        }
    }
    Ok((first.unwrap_or_else(|| all.freeze()), held))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(packing: Packing, bytes: Vec<u8>, max: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        packing.unpacked(bytes.into(), max)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn what_is_unpacked_has_a_limit() {
        let plain = vec![b'\n'; 1 << 20];
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&plain).unwrap();
        let gzip = packer.finish().unwrap();
        let zstd = zstd::encode_all(&plain[..], 3).unwrap();
        for (packing, bytes) in [(Packing::None, plain.clone()), (Packing::Gzip, gzip), (Packing::Zstd, zstd)] {
            assert_eq!(read(packing, bytes.clone(), 1 << 20).unwrap(), plain, "{packing:?}");
            assert!(is_over(&read(packing, bytes, (1 << 20) - 1).unwrap_err()), "{packing:?}");
        }
        assert!(read(Packing::Gzip, b"no gzip at all".to_vec(), 99).is_err());
        assert!(read(Packing::Zstd, b"no zstd at all".to_vec(), 99).is_err());
    }

    #[test]
    fn packed_twice_is_not_read() {
        let with = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            values.iter().for_each(|value| {
                assert!(!headers.append(CONTENT_ENCODING, value.parse().unwrap()) || values.len() > 1)
            });
            Packing::of(&headers).ok()
        };
        assert_eq!(
            [with(&[]), with(&["GZIP"]), with(&["zstd"])],
            [Some(Packing::None), Some(Packing::Gzip), Some(Packing::Zstd)]
        );
        assert_eq!([with(&["gzip, gzip"]), with(&["gzip", "gzip"]), with(&["br"])], [None, None, None]);
    }
}
