//! `beagle bench`: how fast this machine is.
//!
//! One file a thing that is measured.

mod layers;

use std::num::NonZeroUsize;

use clap::Args;
use model_import::device;
use model_import::registry;

use super::running::Running;
use super::{Outcome, model, terminal};
use layers::Layers;

/// Measures how fast this machine is.
///
/// With --layers: every layer of a network on the processor, with the operations that it does a
/// second and their share of what the processor does at most, measured on numbers in registers. A
/// layer that saves operations (Winograd) may show more than all of it: they are counted as if none
/// were saved.
///
/// Examples:
///   beagle bench --layers
///   beagle bench --layers --precision int8 --threads 1 --batch 1
///   beagle bench --layers --json > layers.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Bench {
    /// Where the time of a batch goes, layer by layer.
    #[arg(long, required = true)]
    layers: bool,

    /// The profile whose network is measured; `beagle model list` names them.
    #[arg(long, default_value = "imagenet", env = "BEAGLE_PROFILE")]
    profile: String,

    /// Images in a batch.
    #[arg(long, default_value = "8")]
    batch: NonZeroUsize,

    /// Batches that are measured; a layer's time is the median.
    #[arg(long, default_value = "10")]
    rounds: NonZeroUsize,

    #[command(flatten)]
    running: Running,

    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    source: model::Source,
}

impl Bench {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let profile = registry::profile(&self.profile)?;
        let found = device::find("flex".parse()?)?;
        let (classifier, precision) = self.running.load(&profile, &found, &self.source)?;
        let batch = self.batch.get();
        let levels = (0..classifier.image_bytes() * batch).map(|at| (at * 31 % 251) as u8);
        let times = classifier.layers(&levels.collect::<Vec<_>>(), self.rounds.get())?;
        let layers = Layers::new((&profile.model, precision), batch, &times);
        if self.json {
            terminal::line(&serde_json::to_string(&layers)?);
        } else {
            for line in layers.table(terminal::is_seen()) {
                terminal::line(&line);
            }
        }
        Ok(Outcome::Done)
    }
}
