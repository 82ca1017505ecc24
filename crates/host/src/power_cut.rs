//! What a machine may find when its power comes back.
//!
//! # What is assumed of disk and file system
//!
//! * What an fsync covered is there: a file's bytes and length after one of the file, the entries of a folder after one
//!   of the folder. Nothing else is promised; an fsync of a file keeps no name, one of a folder keeps no bytes.
//! * Of everything later any part may be there, in any order: the second write without the first, a rename without the
//!   bytes of what it named, a removal before an older creation, the last byte of a write without those before it, a
//!   length without the bytes. ext4 and XFS keep more order among entries than this; what holds here holds there.
//! * A write may tear at any byte, so in the middle of a 512-byte sector too. In space that was never written before,
//!   what is torn may be any bytes. Bytes outside of the range that a write was asked for stay as they were, even in the
//!   same sector: SQLite calls it powersafe overwrite, and a journal that grows in place cannot do without.
//! * A rename is there whole or not at all: no name is lost by it, and none shows half of two files. Metadata are under
//!   a journal on every file system that is worth a trail.
//! * Space that was reserved reads as zeros.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;

use crate::effect_log::{Content, Effect, EffectLog, Log, Node, ROOT};

const SECTOR_BYTES: u64 = 512;

/// What becomes of an effect that no fsync covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lost,
    /// Of a write: the file has its new length, and zeros where it grew.
    LengthAlone,
    /// Of a write: as many of its first bytes.
    Front(u64),
    /// Of a write: as many of its last bytes.
    Back(u64),
    /// Of a write: some of the sectors, drawn by this number.
    Sectors(u64),
    /// Of a write: any bytes where nothing was written before, drawn by this number; nothing elsewhere.
    Garbage(u64),
}

/// A moment, and what becomes of everything that was done by then and not yet durable. What is not named survives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PowerCut {
    at: usize,
    fates: BTreeMap<usize, Fate>,
}

impl PowerCut {
    /// No power cut: everything that was done is there.
    #[must_use]
    pub fn of_nothing(log: &EffectLog) -> Self {
        Self { at: log.len(), fates: BTreeMap::new() }
    }

    /// After the first `at` effects, and nothing is left but what is durable.
    #[must_use]
    pub fn of_all(log: &EffectLog, at: usize) -> Self {
        let fates = log.with(|log| not_durable(log, at)).into_iter().map(|effect| (effect, Fate::Lost)).collect();
        Self { at, fates }
    }

    /// After the first `at` effects; `roll` gives numbers below the one it is given, and by them is drawn what is left.
    #[must_use]
    pub fn drawn(log: &EffectLog, at: usize, roll: &mut dyn FnMut(u64) -> u64) -> Self {
        // One cut loses bytes, another names, another nearly nothing: drawn one by one, all would be alike.
        let (lost_of_writes, lost_of_others) = (roll(5), roll(5));
        log.with(|log| {
            let draw = |effect: usize| {
                let fate = match &log.effects[effect] {
                    Effect::Write { bytes, .. } if roll(4) < lost_of_writes => {
                        drawn_for_write(bytes.len() as u64, roll)
                    }
                    Effect::Write { .. } => return None,
                    _ if roll(4) < lost_of_others => Fate::Lost,
                    _ => return None,
                };
                Some((effect, fate))
            };
            Self { at, fates: not_durable(log, at).into_iter().filter_map(draw).collect() }
        })
    }

    /// Cuts that differ by one loss less, to find the smallest that breaks something.
    #[must_use]
    pub fn simpler(&self) -> Vec<PowerCut> {
        let without = |effect| {
            let mut simpler = self.clone();
            simpler.fates.remove(effect);
            simpler
        };
        self.fates.keys().map(without).collect()
    }

    /// After how many effects it is.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// How many effects it takes away, or a part of them.
    #[must_use]
    pub fn losses(&self) -> usize {
        self.fates.len()
    }

    /// Writes what is left into `folder`, which is empty or not there.
    ///
    /// # Errors
    /// A file or folder cannot be made.
    pub fn leave(&self, log: &EffectLog, folder: impl AsRef<Path>) -> io::Result<()> {
        log.with(|log| {
            let mut state = State::new(log);
            for (at, effect) in log.effects[..self.at].iter().enumerate() {
                state.apply(effect, self.fates.get(&at).copied());
            }
            state.write(ROOT, folder.as_ref())
        })
    }

    /// In words: the moment, and each loss.
    #[must_use]
    pub fn describe(&self, log: &EffectLog) -> String {
        log.with(|log| {
            let last = self.at.checked_sub(1).map_or_else(|| "nothing".to_owned(), |last| log.describe(last));
            let losses = self.fates.iter().map(|(at, fate)| format!("\n  {} {fate}", log.describe(*at)));
            format!("a power cut after {last}{}", losses.collect::<String>())
        })
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Lost => f.write_str("is lost"),
            Fate::LengthAlone => f.write_str("leaves the length alone"),
            Fate::Front(bytes) => write!(f, "leaves the first {bytes} bytes"),
            Fate::Back(bytes) => write!(f, "leaves the last {bytes} bytes"),
            Fate::Sectors(_) => f.write_str("leaves some of its sectors"),
            Fate::Garbage(_) => f.write_str("leaves garbage"),
        }
    }
}

impl EffectLog {
    /// Everything that the file `path`, from the log's root on, came to hold by a rename to it among the first `before`
    /// effects: what a reader may have seen there.
    #[must_use]
    pub fn shown(&self, path: &Path, before: usize) -> Vec<Vec<u8>> {
        self.with(|log| {
            let (mut state, mut shown) = (State::new(log), Vec::new());
            for effect in &log.effects[..before] {
                state.apply(effect, None);
                if matches!(effect, Effect::Rename { to, .. } if path.file_name() == Some(&to.1)) {
                    shown.extend(state.read(path).map(<[u8]>::to_vec));
                }
            }
            shown.dedup();
            shown
        })
    }
}

fn drawn_for_write(bytes: u64, roll: &mut dyn FnMut(u64) -> u64) -> Fate {
    match roll(6) {
        0 => Fate::Lost,
        1 => Fate::LengthAlone,
        2 => Fate::Front(roll(bytes + 1)),
        3 => Fate::Back(roll(bytes + 1)),
        4 => Fate::Sectors(roll(u64::MAX)),
        _ => Fate::Garbage(roll(u64::MAX)),
    }
}

/// The effects among the first `at` that no fsync which had returned by then covers.
fn not_durable(log: &Log, at: usize) -> Vec<usize> {
    let mut synced: HashMap<Node, usize> = HashMap::new();
    for effect in &log.effects[..at] {
        if let Effect::Sync { node, covers } = effect {
            let covered = synced.entry(*node).or_default();
            *covered = (*covered).max(*covers);
        }
    }
    let covered = |node: &Node, effect: usize| synced.get(node).is_some_and(|covers| effect < *covers);
    let is_durable = |effect: usize| match &log.effects[effect] {
        Effect::Link { folder, .. } | Effect::Unlink { folder, .. } => covered(folder, effect),
        Effect::Rename { from, to, .. } => covered(&from.0, effect) && covered(&to.0, effect),
        Effect::Write { node, .. } | Effect::SetLength { node, .. } | Effect::Reserve { node, .. } => {
            covered(node, effect)
        }
        Effect::Sync { .. } => true,
    };
    (0..at).filter(|&effect| !is_durable(effect)).collect()
}

/// Files and folders after some effects.
struct State {
    nodes: Vec<Content>,
    /// Where in a file nothing was ever written from.
    untouched: HashMap<Node, u64>,
}

impl State {
    fn new(log: &Log) -> Self {
        let length = |(node, content): (Node, &Content)| match content {
            Content::File(bytes) => Some((node, bytes.len() as u64)),
            Content::Folder(_) => None,
        };
        Self { nodes: log.first.clone(), untouched: log.first.iter().enumerate().filter_map(length).collect() }
    }

    fn folder(&mut self, node: Node) -> &mut BTreeMap<OsString, Node> {
        match &mut self.nodes[node] {
            Content::Folder(entries) => entries,
            Content::File(_) => unreachable!("entries are made in folders"),
        }
    }

    fn file(&mut self, node: Node) -> &mut Vec<u8> {
        match &mut self.nodes[node] {
            Content::File(bytes) => bytes,
            Content::Folder(_) => unreachable!("bytes are written to files"),
        }
    }

    fn apply(&mut self, effect: &Effect, fate: Option<Fate>) {
        match (effect, fate) {
            (Effect::Write { node, offset, bytes }, fate) => {
                self.write_bytes(*node, *offset, bytes, fate);
                let end = self.untouched.entry(*node).or_default();
                *end = (*end).max(offset + bytes.len() as u64);
            }
            (_, Some(_)) | (Effect::Sync { .. }, None) => {}
            (Effect::Link { folder, name, node }, None) => drop(self.folder(*folder).insert(name.clone(), *node)),
            (Effect::Unlink { folder, name }, None) => drop(self.folder(*folder).remove(name)),
            (Effect::Rename { from, to, node }, None) => {
                self.folder(from.0).remove(&from.1);
                self.folder(to.0).insert(to.1.clone(), *node);
            }
            (Effect::SetLength { node, len }, None) => self.file(*node).resize(*len as usize, 0),
            (Effect::Reserve { node, len }, None) => grow(self.file(*node), *len),
        }
    }

    fn write_bytes(&mut self, node: Node, offset: u64, bytes: &[u8], fate: Option<Fate>) {
        let (len, untouched) = (bytes.len() as u64, self.untouched.get(&node).copied().unwrap_or(0));
        let file = self.file(node);
        let mut put = |at: u64, byte: u8| {
            grow(file, offset + at + 1);
            file[(offset + at) as usize] = byte;
        };
        let all = (0..).zip(bytes.iter().copied());
        match fate {
            None => all.for_each(|(at, byte)| put(at, byte)),
            Some(Fate::Lost) => {}
            Some(Fate::LengthAlone) => grow(file, offset + len),
            Some(Fate::Front(kept)) => all.take(kept as usize).for_each(|(at, byte)| put(at, byte)),
            Some(Fate::Back(kept)) => all.skip((len - kept) as usize).for_each(|(at, byte)| put(at, byte)),
            Some(Fate::Sectors(seed)) => {
                let kept = |at: u64| mixed(seed ^ ((offset + at) / SECTOR_BYTES)).is_multiple_of(2);
                all.filter(|(at, _)| kept(*at)).for_each(|(at, byte)| put(at, byte));
            }
            Some(Fate::Garbage(seed)) => {
                let fresh = (0..len).filter(|at| offset + at >= untouched);
                fresh.for_each(|at| put(at, mixed(seed ^ at) as u8));
            }
        }
    }

    fn read(&self, path: &Path) -> Option<&[u8]> {
        let mut at = ROOT;
        for name in path {
            match &self.nodes[at] {
                Content::Folder(entries) => at = *entries.get(name)?,
                Content::File(_) => return None,
            }
        }
        match &self.nodes[at] {
            Content::File(bytes) => Some(bytes),
            Content::Folder(_) => None,
        }
    }

    #[allow(clippy::disallowed_methods, reason = "this writes what a dead machine left, and no file of record")]
    fn write(&self, node: Node, path: &Path) -> io::Result<()> {
        match &self.nodes[node] {
            Content::File(bytes) => std::fs::write(path, bytes),
            Content::Folder(entries) => {
                std::fs::create_dir_all(path)?;
                entries.iter().try_for_each(|(name, node)| self.write(*node, &path.join(name)))
            }
        }
    }
}

fn grow(file: &mut Vec<u8>, len: u64) {
    if (file.len() as u64) < len {
        file.resize(len as usize, 0);
    }
}

/// The finaliser of SplitMix64: every bit of the answer hangs on every bit of the question.
fn mixed(word: u64) -> u64 {
    let word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}
