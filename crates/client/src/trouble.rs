//! What goes wrong behind the caller's back, said aloud to whoever set the recorder up.

/// Something that a person should know of. What is lost is declared on the trail besides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The server did not take a batch, which is sent again.
    #[error("{server} did not take {records} records, which are sent again: {why}")]
    NotTaken {
        /// The server.
        server: String,
        /// Records of the batch.
        records: usize,
        /// What it said, or why it could not be asked.
        why: String,
    },
    /// The server refused a record for good.
    #[error("record {id} was refused, put aside in {kept_in} and is declared as lost: {why}")]
    Refused {
        /// The record's id.
        id: String,
        /// The file that has it.
        kept_in: String,
        /// What the server said.
        why: String,
    },
    /// A receipt is not for what was sent: server, or whoever stands before it, does not keep what it promises.
    #[error(
        "BREACH: the receipt of record {id} does not hold: {why}; keep the spool's folder, and have the trail verified"
    )]
    Breach {
        /// The record's id.
        id: String,
        /// What does not fit.
        why: String,
    },
    /// There was no room.
    #[error("records are lost, and will be declared: {why}")]
    Lost {
        /// Why.
        why: String,
    },
    /// The spool could not be made durable, made, or read.
    #[error("spool: {why}")]
    Spool {
        /// Why.
        why: String,
    },
    /// A declaration of loss was itself refused: the trail will show an undeclared hole.
    #[error(
        "the loss of records {first} to {last} cannot be declared: {why}; may the token append records of kind gap?"
    )]
    Undeclared {
        /// The first number.
        first: u64,
        /// The last one.
        last: u64,
        /// Why.
        why: String,
    },
}
