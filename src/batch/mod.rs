//! Jobs to batches: [`policy`] decides, [`actor`] obeys, `claim` is its way in, `ending`
//! its way out, [`backoff`] waits for a store that failed.

pub mod backoff;
pub mod policy;
mod claim;
mod ending;
pub mod actor;
