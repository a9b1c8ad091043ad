//! Every layer and the whole engine against a slow, plain way.

#[path = "../naive/mod.rs"]
mod naive;

mod plans;
mod integer;
mod integer_convolution;
mod engine;
mod kernels;
mod winograd;
mod winograd_bytes;
mod bf16;
mod crew;
mod int8;
