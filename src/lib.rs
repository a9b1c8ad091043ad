//! Beagle: a crash-safe image-classification server.
//!
//! In the order of the flow, each stage an actor that hands messages to the next:
//!
//! - [`gate`]: a connection, before a request; [`access`]: who may ask what.
//! - [`edge`]: the way in, for [`http`] and [`grpc`]: an upload becomes a [`ticket`] and a message;
//!   [`oip`] is the protocol that both speak.
//! - [`decode`]: bytes to pixels (the Decoder).
//! - [`store`]: the durable queue; from here on a job is never lost.
//! - [`batch`]: claimed jobs to batches (the Batcher), given away for a [`credit`] as a
//!   [`pulse`] allows.
//! - [`classify`]: batches to labels (the Classifier, one a device).
//! - [`respond`]: outcomes to the store and to whoever waits (the Responder).
//! - [`webhook`]: ends of jobs to those who want to be called back (the Deliverer).
//!
//! [`watch`] wakes whoever watches a job. [`message`] lists every message between them, [`app`] wires
//! them. [`config`] is read once; [`health`], [`observe`], [`metrics`], [`traces`] and [`admin`] look on;
//! [`cli`] has one file a subcommand. The network itself is the crate `model_import`.
//! [`load`] is apart from all: it measures servers from outside.

pub mod error;
pub mod traceparent;
pub mod ticket;
pub mod message;
pub mod gate;
pub mod access;
pub mod edge;
pub mod oip;
pub mod http;
pub mod grpc;
pub mod decode;
pub mod store;
pub mod batch;
pub mod credit;
pub mod pulse;
pub mod classify;
pub mod respond;
pub mod watch;
pub mod webhook;
pub mod app;
pub mod config;
pub mod tls;
pub mod health;
pub mod observe;
pub mod metrics;
pub mod traces;
pub mod admin;
pub mod load;
pub mod cli;
