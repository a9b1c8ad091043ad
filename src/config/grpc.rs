//! What a person may say about gRPC.
//!
//! Must not know: what is done with it.

use std::net::SocketAddr;

use clap::Args;
use serde::{Deserialize, Serialize};

/// Settings of the gRPC server.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Grpc {
    /// Address and port to speak the Open Inference Protocol over gRPC on [default: it is not spoken]
    #[arg(
        id = "grpc-bind",
        long = "grpc-bind",
        env = "BEAGLE_GRPC_BIND",
        value_name = "ADDRESS"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind: Option<SocketAddr>,
}
