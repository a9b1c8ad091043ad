//! How a command's network is to run on the processor, and the network loaded so.

use std::num::NonZeroUsize;

use clap::Args;
use model_import::classifier::{Classifier, Options, Precision, PrecisionChoice};
use model_import::device::Found;
use model_import::profile::Profile;
use model_import::quantize::{Decision, decide};
use model_import::{provision, registry};

use super::{model, terminal};

/// What may be said about it.
#[derive(Debug, Args)]
pub(crate) struct Running {
    /// What the processor computes with: auto, f32, bf16 or int8. auto is the fastest that
    /// `beagle model quantize` has found to be good enough.
    #[arg(long, default_value_t, env = "BEAGLE_PRECISION")]
    precision: PrecisionChoice,

    /// Threads that compute on the processor [default: one a core]
    #[arg(long, env = "BEAGLE_THREADS")]
    threads: Option<NonZeroUsize>,

    /// Keep each of these threads to a core of its own (Linux).
    #[arg(long, env = "BEAGLE_PIN_THREADS")]
    pin_threads: bool,
}

impl Running {
    /// Fetches the weights if need be, and loads the network of a profile onto a device.
    pub(crate) fn load(
        &self,
        profile: &Profile,
        found: &Found,
        source: &model::Source,
    ) -> anyhow::Result<(Classifier, Precision)> {
        let model = registry::model(&profile.model)?;
        let fetcher = source.fetcher()?;
        let record = provision::record(&model, &fetcher)?;
        let device = &found.device;
        let decision = decide(self.precision, &model, profile, device, &fetcher.home)?;
        let Decision {
            precision,
            ranges,
            weights,
            why,
        } = decision;
        if self.precision != PrecisionChoice::default() {
            terminal::note(&format!("precision {precision}: {why}"));
        }
        let options = Options {
            precision,
            ranges: ranges.as_ref(),
            weights: weights.as_deref(),
            threads: self.threads,
            pin_threads: self.pin_threads,
            ..Options::default()
        };
        let classifier = Classifier::load_with(&model, profile, &record, device, &options)?;
        Ok((classifier, precision))
    }
}
