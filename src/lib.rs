//! Beagle: a crash-safe image-classification server.
//!
//! In the order of the flow, each stage an actor that hands messages to the next:
//!
//! - [`edge`]: the way in, for [`http`]: an upload becomes a [`ticket`] and a message.
//! - [`decode`]: bytes to pixels (the Decoder).
//! - [`store`]: the durable queue; from here on a job is never lost.
//! - [`batch`]: claimed jobs to batches (the Batcher), given away for a [`credit`] as a
//!   [`pulse`] allows.
//! - [`classify`]: batches to labels (the Classifier, one a device).
//! - [`respond`]: outcomes to the store and to whoever waits (the Responder).
//!
//! [`message`] lists every message between them, [`app`] wires them. [`config`] is read once;
//! [`health`], [`observe`], [`metrics`], [`traces`] and [`admin`] look on; [`cli`] has one file a subcommand. The network
//! itself is the crate `model_import`. [`load`] is apart from all: it measures servers from outside.

pub mod error;
pub mod traceparent;
pub mod ticket;
pub mod message;
pub mod edge;
pub mod http;
pub mod decode;
pub mod store;
pub mod batch;
pub mod credit;
pub mod pulse;
pub mod classify;
pub mod respond;
pub mod app;
pub mod config;
pub mod health;
pub mod observe;
pub mod metrics;
pub mod traces;
pub mod admin;
pub mod load;
pub mod cli;
