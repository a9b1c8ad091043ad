//! Jobs to batches: [`policy`] decides, [`actor`] obeys, `claim` is its way in, [`backoff`] waits for
//! a store that failed.

pub mod backoff;
pub mod policy;
mod claim;
pub mod actor;
