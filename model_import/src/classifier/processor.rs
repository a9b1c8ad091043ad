//! A network on the processor, all of its layers fused into one operation: pixels in, scores out.
//!
//! Must not know: burn, how layers are computed, labels.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;

use fused::{
    Convolution, Crew, Engine, EngineError, InputError, Normalise, Operation, Plan, WeightLayout,
    Weights,
};

use super::layers::{self, LayerTimes};
use super::pin::{self, Pinned};
use super::{ClassifyError, Options, Precision};
use crate::network::LoadError;
use crate::profile::{Channels, Normalisation, Output, Profile};
use crate::record::{Record, RecordError, Stored};

/// A network with its packed weights, on all or some cores.
pub(crate) struct Processor {
    /// Lent to one batch at a time: a classifier is not shared between threads.
    engine: RefCell<Engine>,
    plan: Plan,
    output: Output,
    /// Whether the thread that runs a batch keeps to one core meanwhile, as the others always do.
    pin_threads: bool,
}

impl Processor {
    /// Builds the engine of a plan from a record.
    pub(super) fn load(
        plan: &Plan,
        profile: &Profile,
        record: &Path,
        options: &Options<'_>,
    ) -> Result<Self, LoadError> {
        let opened = Record::open(record).map_err(|error| LoadError::record(record, error))?;
        Self::new(plan, profile, &opened, options)
    }

    /// Builds the engine of a plan from an open record.
    pub(crate) fn new(
        plan: &Plan,
        profile: &Profile,
        record: &Record,
        options: &Options<'_>,
    ) -> Result<Self, LoadError> {
        let rounded = options.weights.map(Record::open).transpose();
        let rounded = rounded.map_err(|error| LoadError::Options(error.to_string()))?;
        let weights = Planned::new(record, rounded.as_ref(), plan);
        let precision = match options.precision {
            Precision::F32 => fused::Precision::F32,
            Precision::Bf16 => fused::Precision::Bf16,
            Precision::Int8 if options.ranges.is_none() => {
                return Err(LoadError::Options(format!(
                    "precision int8 needs measured ranges: run `beagle model quantize --profile {}`",
                    profile.name
                )));
            }
            Precision::Int8 => fused::Precision::Int8,
        };
        let own;
        let crew = match options.crew {
            Some(crew) => crew,
            None => {
                own = self::crew(options.threads, options.pin_threads)?;
                &own
            }
        };
        let fused = fused::Options::new(precision, crew.threads());
        let normalise = normalise(&profile.normalisation);
        let engine = Engine::with(crew, plan, &weights, &normalise, options.ranges, &fused);
        if let Some(error) = weights.failed.take() {
            return Err(LoadError::record(record.path(), error));
        }
        let engine = engine.map_err(|error| match error {
            EngineError::Precision { .. }
            | EngineError::Level(_)
            | EngineError::RangeCount { .. }
            | EngineError::Range { .. }
            | EngineError::Points(_) => LoadError::Options(error.to_string()),
            _ => LoadError::record(record.path(), error),
        })?;
        Ok(Self {
            engine: RefCell::new(engine),
            plan: plan.clone(),
            output: profile.output,
            pin_threads: options.pin_threads,
        })
    }

    /// What each layer of the network is and how long it takes; see [`layers::measure`].
    pub(super) fn layers(&self, pixels: &[u8], rounds: usize) -> Result<LayerTimes, InputError> {
        let _pinned = self.pin_threads.then(|| Pinned::to_core_of(0));
        layers::measure(&mut self.engine.borrow_mut(), &self.plan, pixels, rounds)
    }

    /// Shows every value of every image; see [`Engine::observe`].
    pub(crate) fn observe(
        &self,
        pixels: &[u8],
        see: &mut dyn FnMut(usize, usize, &[f32]),
    ) -> Result<(), InputError> {
        self.engine.borrow_mut().observe(pixels, see)
    }

    /// See [`Engine::warm_up`].
    pub(super) fn warm_up(&self, largest: usize) -> Vec<usize> {
        self.engine.borrow().warm_up(largest)
    }

    /// Probabilities of whole images of `classes` classes, row by row.
    pub(crate) fn probabilities(
        &self,
        pixels: &[u8],
        classes: usize,
    ) -> Result<Vec<f32>, ClassifyError> {
        let mut scores = Vec::new();
        let _pinned = self.pin_threads.then(|| Pinned::to_core_of(0));
        let ran = self.engine.borrow_mut().run_levels(pixels, &mut scores);
        ran.map_err(|error| ClassifyError::Device(error.to_string()))?;
        if self.output == Output::Logits {
            scores.chunks_mut(classes).for_each(softmax);
        }
        Ok(scores)
    }
}

/// As many threads as are asked for, else one for each core that this process may use.
/// With `pin` they keep to a core each, but for the caller's.
pub(super) fn crew(threads: Option<NonZero<usize>>, pin: bool) -> Result<Crew, LoadError> {
    let available = || available_parallelism().map_or(1, NonZero::get);
    let threads = threads.map_or_else(available, NonZero::get);
    if !pin {
        return Ok(Crew::new(threads));
    }
    pin::check().map_err(LoadError::Options)?;
    Ok(Crew::starting(threads, pin::keep))
}

/// A record's tensors in the dimensions that a plan asks for: those of a matrix are two in the
/// record and four in the plan, and a bias may have been made to be added to images.
struct Planned<'a> {
    record: &'a Record,
    /// What it has goes before the record.
    rounded: Option<&'a Record>,
    convolutions: HashMap<&'a str, &'a Convolution>,
    /// Why a tensor that is there could not be read.
    failed: Cell<Option<RecordError>>,
}

impl<'a> Planned<'a> {
    fn new(record: &'a Record, rounded: Option<&'a Record>, plan: &'a Plan) -> Self {
        let mut convolutions = HashMap::new();
        for layer in &plan.layers {
            if let Operation::Convolution(convolution) = &layer.operation {
                convolutions.insert(convolution.weights.as_str(), convolution);
                if let Some(bias) = &convolution.bias {
                    convolutions.insert(bias, convolution);
                }
            }
        }
        Self {
            record,
            rounded,
            convolutions,
            failed: Cell::new(None),
        }
    }

    fn read(&self, name: &str) -> Option<Stored> {
        let rounded = self.rounded.map(|rounded| rounded.read(name));
        let read = match rounded {
            Some(Ok(None)) | None => self.record.read(name),
            Some(found) => found,
        };
        read.unwrap_or_else(|error| {
            self.failed.set(Some(error));
            None
        })
    }
}

impl Weights for Planned<'_> {
    fn get(&self, name: &str) -> Option<(Vec<usize>, Cow<'_, [f32]>)> {
        let convolution = self.convolutions.get(name)?;
        let stored = self.read(name)?;
        let shape = if convolution.weights != name {
            vec![stored.data.len()]
        } else if convolution.weight_layout == WeightLayout::Oihw {
            let [height, width] = convolution.kernel;
            let outputs = convolution.outputs;
            let inputs = stored.data.len() / (outputs * height * width).max(1);
            vec![outputs, inputs, height, width]
        } else {
            stored.shape
        };
        Some((shape, Cow::Owned(stored.data)))
    }
}

/// `(level * scale - mean) / std` as one factor and one offset a channel of the network.
fn normalise(given: &Normalisation) -> Normalise {
    Normalise {
        order: match given.channels {
            Channels::Rgb => [0, 1, 2],
            Channels::Bgr => [2, 1, 0],
        },
        factor: given.std.map(|std| given.scale / std),
        offset: std::array::from_fn(|channel| given.mean[channel] / given.std[channel]),
    }
}

/// Scores of one image to probabilities.
fn softmax(scores: &mut [f32]) {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - largest).exp();
        sum += *score;
    }
    for score in scores {
        *score /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_become_probabilities_however_large_they_are() {
        let mut scores = [1000.0, 1000.0, -1000.0];
        softmax(&mut scores);
        assert_eq!(scores, [0.5, 0.5, 0.0]);
    }

    #[test]
    fn the_normalisation_is_one_factor_and_one_offset_in_the_network_s_order() {
        let given = Normalisation {
            channels: Channels::Bgr,
            scale: 2.0,
            mean: [1.0, 2.0, 3.0],
            std: [1.0, 4.0, 0.5],
        };
        let Normalise {
            order,
            factor,
            offset,
        } = normalise(&given);
        assert_eq!(order, [2, 1, 0]);
        assert_eq!(factor, [2.0, 0.5, 4.0]);
        assert_eq!(offset, [1.0, 0.5, 6.0]);
    }
}
