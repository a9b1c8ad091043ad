//! `beagle bench`: how fast a server is, or this machine.
//!
//! One file a thing that is measured.

mod layers;
mod load;
mod progress;

use clap::Args;

use super::Outcome;

/// Measures how fast a server is, or how fast this machine is.
///
/// With a URL: sends photos to a server and tells how long answers took. With --rate in an open loop,
/// where requests are sent when they are due whatever the server does, as strangers send them; with
/// --connections in a closed one, where each connection waits for its answer. Latency counts from when
/// a request was due, so a server that stalls cannot hide those that it kept waiting. --search finds the
/// highest rate that the server keeps up with. docs/bench.md says how each figure comes about.
///
/// With --layers: every layer of a network on the processor, with the operations that it does a
/// second and their share of what the processor does at most, measured on numbers at hand. A
/// layer that saves operations (Winograd) may show more than all of it: they are counted as if none
/// were saved.
///
/// Examples:
///   beagle bench http://127.0.0.1:5000 --connections 64
///   beagle bench http://127.0.0.1:5000 holiday/ --rate 10,20,40 --plot latency.svg
///   beagle bench http://127.0.0.1:5000 --search --p99 250ms
///   beagle bench http://127.0.0.1:8000 --protocol oip --model imagenet --rate 20
///   beagle bench --layers --precision int8 --threads 1 --batch 1
///   beagle bench --layers --json > layers.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
#[group(id = "what", required = true, multiple = false, args = ["url", "layers"])]
pub(crate) struct Bench {
    /// Where the time of a batch goes, layer by layer.
    #[arg(long)]
    layers: bool,

    #[command(flatten)]
    of_layers: layers::Options,

    #[command(flatten)]
    of_load: load::Options,

    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        if self.layers {
            self.of_layers.run(self.json)
        } else {
            self.of_load.run(self.json)
        }
    }
}
