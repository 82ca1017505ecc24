//! Randomness of a thread, asked for in pieces: a system call a record would cost as much as all else.

use std::cell::RefCell;

use host::Host;

use crate::process::Mark;

const PIECES: usize = 64;

struct Drawn {
    /// The process that drew it: a child that is forked must not use what its parent uses too.
    by: Mark,
    pieces: Vec<[u8; 26]>,
}

thread_local! {
    static DRAWN: RefCell<Drawn> = const { RefCell::new(Drawn { by: Mark::NONE, pieces: Vec::new() }) };
}

/// What a record needs: ten bytes for its id, sixteen for its salt.
pub fn draw(host: &Host, by: Mark) -> ([u8; 10], [u8; 16]) {
    let piece = DRAWN.with_borrow_mut(|drawn| {
        if drawn.by != by {
            drawn.pieces.clear();
            drawn.by = by;
        }
        drawn.pieces.pop().unwrap_or_else(|| {
            drawn.pieces = host.random_each(PIECES);
            drawn.pieces.pop().unwrap_or_else(|| host.random())
        })
    });
    let (mut id, mut salt) = ([0; 10], [0; 16]);
    id.copy_from_slice(&piece[..10]);
    salt.copy_from_slice(&piece[10..]);
    (id, salt)
}
