//! Goes on with what processes have left that are gone: one at a time, in a thread of its own.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use reqwest::Url;

use crate::claim::Claim;
use crate::config::Config;
use crate::delivery::Delivery;
use crate::instance::Instance;
use crate::segment::STEP;
use crate::sender::Sender;
use crate::trouble::Trouble;

/// How often is looked whether another process has gone.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often is looked whether this instance is over.
const NAP: Duration = Duration::from_millis(100);

/// Begins to look.
pub fn start(instance: &Arc<Instance>, config: &Config, base: &Url) -> std::io::Result<()> {
    let (by, config, base) = (Arc::downgrade(instance), config.clone(), base.clone());
    let look = move || {
        loop {
            let Some(own) = living(&by) else { return };
            match orphans(&own, &config) {
                Ok(folders) => folders.into_iter().for_each(|folder| adopt(&own, &by, &config, &base, folder)),
                Err(why) => own.tell(&Trouble::Spool { why }),
            }
            drop(own);
            let mut slept = Duration::ZERO;
            while slept < LOOK_EVERY {
                if living(&by).is_none() {
                    return;
                }
                std::thread::park_timeout(NAP);
                slept += NAP;
            }
        }
    };
    std::thread::Builder::new().name("onrecord-adopter".to_owned()).spawn(look).map(drop)
}

fn living(by: &Weak<Instance>) -> Option<Arc<Instance>> {
    by.upgrade()
        .filter(|own| !own.ending.closing.load(Ordering::Acquire) && !own.ending.abandoned.load(Ordering::Acquire))
}

/// Folders of instances. Those that a recorder of this process holds are claimed.
fn orphans(own: &Instance, config: &Config) -> Result<Vec<PathBuf>, String> {
    let paths = own.host.list(&config.spool, STEP).map_err(|error| error.to_string())?;
    Ok(paths.into_iter().filter(|path| path.is_dir()).collect())
}

fn adopt(own: &Arc<Instance>, by: &Weak<Instance>, config: &Config, base: &Url, folder: PathBuf) {
    let Some(claim) = Claim::on(own.mark, &folder) else { return };
    let left = match Instance::adopt(own, config, base.as_str(), &folder, claim) {
        Ok(Some(left)) => Arc::new(left),
        Ok(None) => return,
        Err(error) => return own.tell(&Trouble::Spool { why: error.to_string() }),
    };
    let Ok(delivery) = Delivery::new(config, base) else { return };
    let (sends, config) = (Arc::clone(&left), config.clone());
    let thread = std::thread::Builder::new()
        .name("onrecord-adopted".to_owned())
        .spawn(move || Sender::new(sends, &config, delivery).run());
    let Ok(thread) = thread else { return };
    let _ = left.sender.set(thread.thread().clone());
    // It ends with this instance: whoever comes next goes on.
    while !thread.is_finished() {
        if living(by).is_none() {
            left.ending.abandoned.store(true, Ordering::Release);
            left.wake_anyway();
        }
        std::thread::park_timeout(NAP);
    }
}
