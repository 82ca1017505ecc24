//! What changes the server itself: on record before it is done, and again with what it came to (I11). A change without a
//! second record was cut off by the server's own end, and may have been made.

use std::sync::Arc;

use trail::Outcome as Appended;

use crate::access_record::{self, Outcome};
use crate::asked::Asked;
use crate::off_the_loop;
use crate::problem::{self, Problem};

/// What a change has made of something.
pub struct Changed<T> {
    /// The id of what was changed, which goes on record.
    pub id: String,
    /// What is answered.
    pub told: T,
}

/// Does `work` once the record is durable that says who asks for what. Where the trail of the server's own acts takes no
/// records, nothing is changed.
pub async fn on_record<T: Send + 'static>(
    asked: &Asked,
    what: &str,
    work: impl FnOnce() -> Result<Changed<T>, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let (action, who) = (asked.grant()?.permission.name(), asked.who.clone());
    let (home, metrics) = (Arc::clone(asked.server.trails.home()), Arc::clone(&asked.server.metrics));
    let record = access_record::change(&who, action, &asked.request_id, what);
    let turn = asked.turn().await?;
    // A task of its own: whoever asked may go away meanwhile, and what is begun is ended.
    let changing = tokio::spawn(async move {
        let _turn = turn;
        let begin = match home.append_own(record).await? {
            Appended::Kept(receipt) => receipt.id,
            Appended::Refused(refusal) => return Err(problem::internal(&refusal)),
        };
        metrics.access_records(home.name(), 1);
        let changed = off_the_loop(work).await;
        let (outcome, id) = match &changed {
            Ok(changed) => (Outcome::Done, Some(&*changed.id)),
            Err(_) => (Outcome::Failed, None),
        };
        home.clerk().end(access_record::changed(&who, action, begin, outcome, id));
        Ok(changed?.told)
    });
    changing.await.map_err(|error| problem::internal(&error))?
}
