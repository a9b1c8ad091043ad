//! Beagle: a crash-safe image-classification server.
//!
//! In the order of the flow:
//!
//! - [`decode`]: an upload's bytes to the network's input pixels.
//! - [`classify`]: probabilities to the answer a person reads.
//! - [`cli`]: one file a subcommand.
//!
//! The model itself is the crate `model_import`.

pub mod decode;
pub mod classify;
pub mod cli;
