//! Jobs to batches: [`policy`] decides, [`actor`] obeys, `offer` and `claim` are its ways in,
//! `ending` its way out, [`backoff`] waits for a store that failed.

pub mod backoff;
pub mod policy;
mod claim;
mod offer;
mod ending;
pub mod actor;
