//! Every job store against one contract, and what only some of them promise.
//!
//! A store joins with a module that holds its [`contract::Lab`] and one or two lines:
//! `every_store!(ItsLab);`, `durable_store!(ItsLab);` if jobs outlive the store's value, and
//! `one_place_store!(ItsLab);` unless it is made of several.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step should stop it on the spot"
)]

mod contract;
mod fixture;
mod memory;
mod sqlite;
mod redis;
mod redis_server;
mod sharded;
mod agreement;
mod crash;
mod child;
