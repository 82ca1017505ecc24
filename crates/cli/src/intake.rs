//! Reading on a thread of its own, so that what has come can be recorded while the next is waited for.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use record::Limits;

use crate::failure::Failure;
use crate::source::{Item, Source};
use crate::stop::Stop;

/// Records that are read ahead: few, for each may be of the largest size.
const AHEAD: usize = 16;

/// The items of all sources, as they come.
pub struct Intake {
    items: Receiver<Message>,
    stop: Stop,
}

/// What came within a time.
pub enum Next {
    Item(Box<Item>),
    /// Nothing, so far.
    Nothing,
    /// Everything has been read.
    End,
    /// Reading was ended before its end, because someone asked.
    Stopped,
}

enum Message {
    Item(Box<Item>),
    Failed(Failure),
    End,
}

impl Intake {
    /// Begins to read. A read that waits for more cannot be called off, so the thread is left to the process's end.
    pub fn begin(sources: Vec<Source>, stop: Stop) -> Result<Intake, Failure> {
        let (sender, items) = sync_channel(AHEAD);
        let asked = stop.clone();
        let read = move || {
            // Nobody is left to send to if this fails.
            let _ = match read_all(&sources, &asked, &sender) {
                Ok(true) => sender.send(Message::End),
                Ok(false) => Ok(()),
                Err(failure) => sender.send(Message::Failed(failure)),
            };
        };
        let thread = std::thread::Builder::new().name("input".into()).spawn(read);
        thread.map_err(|error| Failure::could_not(format!("cannot start a thread to read with: {error}")))?;
        Ok(Intake { items, stop })
    }

    /// The next item, waited for no longer than `most`.
    pub fn next(&self, most: Duration) -> Result<Next, Failure> {
        match self.items.recv_timeout(most) {
            Ok(Message::Item(item)) => Ok(Next::Item(item)),
            Ok(Message::End) => Ok(Next::End),
            Ok(Message::Failed(failure)) => Err(failure),
            Err(_) if self.stop.asked() => Ok(Next::Stopped),
            Err(RecvTimeoutError::Timeout) => Ok(Next::Nothing),
            Err(RecvTimeoutError::Disconnected) => Err(Failure::could_not("the input could not be read to its end")),
        }
    }
}

/// Sends every item, up to the end or until asked to stop. Whether the end was reached.
fn read_all(sources: &[Source], stop: &Stop, sender: &SyncSender<Message>) -> Result<bool, Failure> {
    for source in sources {
        let mut records = source.open(Limits::DEFAULT)?;
        while !stop.asked() {
            let Some(item) = records.read_next()? else { break };
            if sender.send(Message::Item(Box::new(item))).is_err() {
                return Ok(false);
            }
        }
    }
    Ok(!stop.asked())
}
