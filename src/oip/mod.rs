//! The Open Inference Protocol (version 2, KServe's and Triton's), whatever carries it.
//!
//! In the order of a request: [`model`] is what a profile is as a model; [`parameter`] and
//! [`tensor`] what a request is made of; [`rows`] turns its input into images; [`plan`] is a request
//! that was understood; [`infer`] has it answered; [`output`] turns answers into tensors. All but
//! [`infer`] are pure. Must not know: HTTP, JSON, gRPC, stores.

pub mod error;
pub mod infer;
pub mod model;
pub mod output;
pub mod parameter;
pub mod plan;
pub mod rows;
pub mod tensor;
