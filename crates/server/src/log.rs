//! The log as any client of C2SP tlog-tiles reads it: checkpoint, hash tiles, entry bundles. Hashes alone. A full tile
//! never changes, and may be kept for ever; all else may be different a moment later.

use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use tlog::{TilePath, TileReader as _};
use trail::Snapshot;

use crate::asked::Asked;
use crate::off_the_loop;
use crate::problem::{self, Kind, Problem};
use crate::table::Answering;

/// For what never changes.
const FOR_EVER: &str = "private, max-age=31536000, immutable";
/// For what is never the same for long.
const NOT_AT_ALL: &str = "no-store";

fn with(body: impl axum::response::IntoResponse, media_type: &'static str, caching: &'static str) -> Response {
    let header = |name: HeaderName, value: &'static str| (name, HeaderValue::from_static(value));
    ([header(CONTENT_TYPE, media_type), header(CACHE_CONTROL, caching)], body).into_response()
}

/// The last signed checkpoint.
pub fn checkpoint(asked: Asked) -> Answering {
    Box::pin(async move {
        let snapshot = asked.trail()?.snapshot()?;
        let none = || Problem::new(Kind::NotFound, "nothing is sealed on this trail yet; append a record");
        let note = snapshot.checkpoint().ok_or_else(none)?.note().to_string();
        Ok(with(note, "text/plain; charset=utf-8", NOT_AT_ALL))
    })
}

/// A tile or an entry bundle.
pub fn tile(asked: Asked) -> Answering {
    Box::pin(async move {
        let path = format!("tile/{}", asked.in_path("tile")?);
        let none =
            || Problem::new(Kind::NotFound, "there is no such tile").hint("the checkpoint says how large the tree is");
        // One spelling of each, and none that leads to a file (T24): a path that does not parse is no tile's.
        let path: TilePath = path.parse().map_err(|_| none())?;
        let served = asked.trail()?.clone();
        let (bytes, full) = off_the_loop(move || {
            let snapshot = served.snapshot()?;
            read(&snapshot, path)?.ok_or_else(none)
        })
        .await?;
        Ok(with(bytes, "application/octet-stream", if full { FOR_EVER } else { NOT_AT_ALL }))
    })
}

/// The bytes, and whether they are for ever; nothing beyond the checkpoint, which alone is signed for (I4).
fn read(snapshot: &Snapshot, path: TilePath) -> Result<Option<(Vec<u8>, bool)>, Problem> {
    let sealed = snapshot.sealed();
    let damaged = |error: &dyn std::fmt::Display| problem::damaged(error);
    let entries = snapshot.entries();
    match path {
        TilePath::Hashes(tile) if tile.is_within(sealed) => {
            let bytes = entries.tile(tile).map_err(|error| damaged(&error))?;
            Ok(Some((bytes, tile.is_full())))
        }
        TilePath::Entries(bundle) => {
            let leaves = bundle.leaf_tile().filter(|tile| tile.is_within(sealed));
            let Some((tile, first)) = leaves.zip(bundle.first_entry()) else { return Ok(None) };
            let digests = entries.read(first, first + u64::from(bundle.width())).map_err(|error| damaged(&error))?;
            let digests: Vec<[u8; 32]> = digests.into_iter().map(|digest| digest.0).collect();
            let bytes = tlog::encode_entries(&digests).map_err(|error| damaged(&error))?;
            Ok(Some((bytes, tile.is_full())))
        }
        TilePath::Hashes(_) => Ok(None),
    }
}
