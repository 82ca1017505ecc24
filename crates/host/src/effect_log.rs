//! A log of everything that was done to the files under one folder, in order.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// Records every effect that a host has under one folder: entries made, renamed and removed, bytes written, lengths set,
/// and what was fsynced when. From such a log a [`crate::PowerCut`] makes the states that a machine may find when its
/// power comes back. For tests: it keeps every byte in memory. Give it to a host in an `Arc`, and keep one.
///
/// What fails is taken for not done, but for a short write that a [`crate::Fault`] asked for. What is done behind the
/// host's back is not seen; a [`crate::PowerCut::of_nothing`] that differs from the folder as it stands tells of it.
#[derive(Debug)]
pub struct EffectLog {
    log: Mutex<Log>,
}

/// A file or folder, whatever its names are.
pub(crate) type Node = usize;
pub(crate) const ROOT: Node = 0;

#[derive(Debug)]
pub(crate) struct Log {
    root: PathBuf,
    /// What each node was when it was first seen.
    pub(crate) first: Vec<Content>,
    pub(crate) effects: Vec<Effect>,
    /// The node of an inode number, which the file system uses again after a removal.
    nodes: HashMap<u64, Node>,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    File(Vec<u8>),
    Folder(BTreeMap<OsString, Node>),
}

#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// A new file or folder has its name.
    Link {
        folder: Node,
        name: OsString,
        node: Node,
    },
    Rename {
        from: (Node, OsString),
        to: (Node, OsString),
        node: Node,
    },
    Unlink {
        folder: Node,
        name: OsString,
    },
    Write {
        node: Node,
        offset: u64,
        bytes: Vec<u8>,
    },
    SetLength {
        node: Node,
        len: u64,
    },
    /// The file has at least this length.
    Reserve {
        node: Node,
        len: u64,
    },
    /// An fsync has returned. It covers what had been done when it was called.
    Sync {
        node: Node,
        covers: usize,
    },
}

/// What is about to be done.
pub(crate) enum Doing<'a> {
    Create(&'a Path),
    Rename(&'a Path, &'a Path),
    Remove(&'a Path),
    Write(&'a File, u64, &'a [u8]),
    SetLength(&'a File, u64),
    Reserve(&'a File, u64),
    SyncFile(&'a File),
    SyncFolder(&'a Path),
}

impl EffectLog {
    /// A log of what is done under `root` from here on. What is there is taken for durable.
    ///
    /// # Errors
    /// A file or folder under `root` cannot be read.
    pub fn under(root: impl AsRef<Path>) -> io::Result<Self> {
        let root = root.as_ref().to_owned();
        let mut log = Log { root: root.clone(), first: Vec::new(), effects: Vec::new(), nodes: HashMap::new() };
        log.take_in(&root)?;
        Ok(Self { log: Mutex::new(log) })
    }

    /// How many effects there were so far. What a test was told when there were `n` is known at any cut from `n` on.
    #[must_use]
    pub fn len(&self) -> usize {
        self.log.lock().effects.len()
    }

    /// Whether nothing was done yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn with<R>(&self, read: impl FnOnce(&Log) -> R) -> R {
        read(&self.log.lock())
    }

    /// Does it, and keeps it on record if it was done. Effects are in the order in which they took place: one at a time.
    /// An fsync holds up nobody, and covers only what was done before it was called.
    pub(crate) fn record<R>(&self, doing: &Doing<'_>, act: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        let synced = self.log.lock().synced_by(doing)?;
        if let Some(node) = synced {
            let covers = self.len();
            let done = act()?;
            self.log.lock().effects.push(Effect::Sync { node, covers });
            return Ok(done);
        }
        let mut log = self.log.lock();
        let renamed = match doing {
            Doing::Rename(from, _) => log.node(from.symlink_metadata()?.ino()),
            _ => None,
        };
        let done = act()?;
        log.push(doing, renamed)?;
        Ok(done)
    }
}

impl Log {
    fn take_in(&mut self, path: &Path) -> io::Result<Node> {
        let metadata = path.symlink_metadata()?;
        let node = self.first.len();
        self.nodes.insert(metadata.ino(), node);
        if !metadata.is_dir() {
            let bytes = if metadata.is_file() { std::fs::read(path)? } else { Vec::new() };
            self.first.push(Content::File(bytes));
            return Ok(node);
        }
        self.first.push(Content::Folder(BTreeMap::new()));
        let mut entries = BTreeMap::new();
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            entries.insert(entry.file_name(), self.take_in(&entry.path())?);
        }
        self.first[node] = Content::Folder(entries);
        Ok(node)
    }

    fn node(&self, inode: u64) -> Option<Node> {
        self.nodes.get(&inode).copied()
    }

    /// Folder and name of a path, if it is under the root.
    fn entry(&self, path: &Path) -> Option<(Node, OsString)> {
        path.strip_prefix(&self.root).ok()?;
        let folder = self.node(path.parent()?.metadata().ok()?.ino())?;
        Some((folder, path.file_name()?.to_owned()))
    }

    fn synced_by(&self, doing: &Doing<'_>) -> io::Result<Option<Node>> {
        Ok(match doing {
            Doing::SyncFile(file) => self.node(file.metadata()?.ino()),
            Doing::SyncFolder(path) if path.starts_with(&self.root) => self.node(path.metadata()?.ino()),
            _ => None,
        })
    }

    fn push(&mut self, doing: &Doing<'_>, renamed: Option<Node>) -> io::Result<()> {
        let of = |file: &File| Ok::<_, io::Error>(self.node(file.metadata()?.ino()));
        let effect = match doing {
            Doing::Create(path) => {
                let Some((folder, name)) = self.entry(path) else { return Ok(()) };
                let metadata = path.symlink_metadata()?;
                let node = self.first.len();
                let empty =
                    if metadata.is_dir() { Content::Folder(BTreeMap::new()) } else { Content::File(Vec::new()) };
                self.first.push(empty);
                self.nodes.insert(metadata.ino(), node);
                Some(Effect::Link { folder, name, node })
            }
            Doing::Rename(from, to) => match (self.entry(from), self.entry(to), renamed) {
                (Some(from), Some(to), Some(node)) => Some(Effect::Rename { from, to, node }),
                _ => None,
            },
            Doing::Remove(path) => self.entry(path).map(|(folder, name)| Effect::Unlink { folder, name }),
            Doing::Write(file, offset, bytes) => {
                of(file)?.map(|node| Effect::Write { node, offset: *offset, bytes: bytes.to_vec() })
            }
            Doing::SetLength(file, len) => of(file)?.map(|node| Effect::SetLength { node, len: *len }),
            Doing::Reserve(file, len) => of(file)?.map(|node| Effect::Reserve { node, len: *len }),
            Doing::SyncFile(_) | Doing::SyncFolder(_) => None,
        };
        self.effects.extend(effect);
        Ok(())
    }

    /// An effect in words, for the message of a test.
    pub(crate) fn describe(&self, at: usize) -> String {
        let mut text = format!("{at}: ");
        let _ = match &self.effects[at] {
            Effect::Link { name, .. } => write!(text, "make {}", name.display()),
            Effect::Rename { from, to, .. } => write!(text, "rename {} to {}", from.1.display(), to.1.display()),
            Effect::Unlink { name, .. } => write!(text, "remove {}", name.display()),
            Effect::Write { node, offset, bytes } => {
                write!(text, "write {} bytes at {offset} of {}", bytes.len(), self.name(*node, at))
            }
            Effect::SetLength { node, len } => write!(text, "cut {} to {len}", self.name(*node, at)),
            Effect::Reserve { node, len } => write!(text, "reserve {len} of {}", self.name(*node, at)),
            Effect::Sync { node, covers } => write!(text, "fsync of {}, called at {covers}", self.name(*node, at)),
        };
        text
    }

    /// The name that a node had at that time.
    fn name(&self, wanted: Node, at: usize) -> String {
        let named = self.effects[..at].iter().rev().find_map(|effect| match effect {
            Effect::Link { name, node, .. } | Effect::Rename { to: (_, name), node, .. } if *node == wanted => {
                Some(name)
            }
            _ => None,
        });
        let first = || {
            self.first.iter().find_map(|content| match content {
                Content::Folder(entries) => entries.iter().find(|(_, node)| **node == wanted).map(|(name, _)| name),
                Content::File(_) => None,
            })
        };
        named.or_else(first).map_or_else(|| "the folder".to_owned(), |name| name.display().to_string())
    }
}
