//! Which folders the recorders of this process hold: a folder's lock keeps out other processes alone, and closing a file of it
//! gives the lock away for the whole process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::process::Mark;

type Claims = Vec<(Mark, PathBuf)>;

/// Without a lock, since a child that is forked has its parent's copy, which may be locked for ever. What it has of its
/// parent's claims is told apart by the process.
static CLAIMS: ArcSwapOption<Claims> = ArcSwapOption::const_empty();

/// A folder that no other recorder of this process holds.
#[derive(Debug)]
pub struct Claim(Mark, PathBuf);

impl Claim {
    /// Nothing if another recorder of this process holds it.
    pub fn on(by: Mark, folder: &Path) -> Option<Claim> {
        let mut free = false;
        CLAIMS.rcu(|claims| {
            let mut own: Claims =
                claims.iter().flat_map(|all| all.iter()).filter(|(of, _)| *of == by).cloned().collect();
            free = !own.iter().any(|(_, other)| other == folder);
            if free {
                own.push((by, folder.to_owned()));
            }
            Some(Arc::new(own))
        });
        free.then(|| Claim(by, folder.to_owned()))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        CLAIMS.rcu(|claims| {
            let others = claims.iter().flat_map(|all| all.iter());
            let others = others.filter(|(of, folder)| (*of, folder) != (self.0, &self.1));
            Some(Arc::new(others.cloned().collect::<Claims>()))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_once_until_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let claim = Claim::on(Mark::current(), folder.path()).unwrap();
        assert!(Claim::on(Mark::current(), folder.path()).is_none());
        drop(claim);
        assert!(Claim::on(Mark::current(), folder.path()).is_some());
    }
}
