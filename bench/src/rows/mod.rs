//! One module a row.

pub mod append;
pub mod bytes;
pub mod memory;
pub mod query;
pub mod recover;
pub mod seal;
pub mod verify;
