//! From outcomes to answers: [`actor`] records and replies; [`waiters`], [`outcome`], [`rate`] and
//! [`record`] are its pure parts.

pub mod outcome;
pub mod rate;
pub mod record;
pub mod waiters;
pub mod actor;
