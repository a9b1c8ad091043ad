//! Load for a server that is measured, and what came of it.
//!
//! [`arrivals`] says when requests are due, [`drive`] sends them over a [`drive::Target`] and each
//! one becomes an [`ended::Event`]; [`tally`] counts these into a [`step::Step`]; [`search`] goes
//! from step to step; [`report`] and [`plot`] tell. [`send`] is the target that speaks HTTP. Must
//! not know: actix, the job stores, this program's own server, the command line.

pub mod ended;
pub mod arrivals;
pub mod tally;
pub mod step;
pub mod search;
pub mod report;
pub mod plot;
pub mod drive;
pub mod send;
