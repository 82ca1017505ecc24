//! Waits for what was staged to become durable, and tells who waits for it, so that a request that waits for a disk
//! holds no thread. Batches become durable in the order in which they were staged, so one thread waits for all of a
//! trail's.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use trail::{AppendError, Outcome, Ticket};

use crate::problem::{self, Problem};

/// Batches that wait at most; beyond that, whoever stages waits too.
const WAITING_MAX: usize = 4096;

type Waiting = (Ticket, oneshot::Sender<Result<Vec<Outcome>, AppendError>>);

/// The thread that waits.
pub struct Acknowledger {
    waiting: Mutex<Option<SyncSender<Waiting>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a batch will have come to.
pub struct Acknowledged(oneshot::Receiver<Result<Vec<Outcome>, AppendError>>);

impl Acknowledged {
    /// When everything of it is durable (I1).
    pub async fn outcomes(self) -> Result<Vec<Outcome>, Problem> {
        match self.0.await {
            Ok(outcomes) => Ok(outcomes?),
            Err(_) => Err(problem::stopped()),
        }
    }
}

impl Acknowledger {
    /// Begins to wait.
    pub fn start(trail: &str) -> std::io::Result<Acknowledger> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name(format!("acks {trail}")).spawn(move || wait(&receiver))?;
        Ok(Acknowledger { waiting: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// What the batch of a ticket will have come to.
    pub fn wait_for(&self, ticket: Ticket) -> Acknowledged {
        let (sender, receiver) = oneshot::channel();
        let waiting = self.waiting.lock().clone();
        // A thread that has ended drops the sender, which its receiver notices.
        if let Some(waiting) = waiting {
            let _ = waiting.send((ticket, sender));
        }
        Acknowledged(receiver)
    }

    /// Ends once everyone was told.
    pub fn close(&self) {
        drop(self.waiting.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

fn wait(waiting: &Receiver<Waiting>) {
    for (ticket, sender) in waiting {
        // Who asked may have gone away; the records are kept all the same.
        let _ = sender.send(ticket.wait());
    }
}
