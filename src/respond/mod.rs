//! From outcomes to answers: [`actor`] records and replies; [`waiters`], [`outcome`], [`rate`] and
//! [`record`] are its pure parts, `recording` is its way into the store.

pub mod outcome;
pub mod rate;
pub mod record;
mod recording;
pub mod waiters;
pub mod actor;
