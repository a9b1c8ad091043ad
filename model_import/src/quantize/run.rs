//! A network that is shown images: first to count its numbers, then to compare it with itself in
//! other numbers.
//!
//! Must not know: where images come from, files.

use std::collections::HashMap;
use std::num::NonZero;
use std::path::Path;

use fused::calibrate::transformable;
use fused::{Operation, Plan, Ranges};

use super::equalize;
use super::inputs::Inputs;
use super::rounding::Moments;
use super::{Histogram, Method, Noise, Points, QuantizeError, Rounded};
use crate::classifier::processor::Processor;
use crate::classifier::{ClassifyError, Options, Precision};
use crate::profile::Profile;
use crate::record::{Record, Stored, Tensors};
use crate::registry::Model;

/// A network in float32 and what its values have held so far.
pub struct Quantizer {
    plan: Plan,
    profile: Profile,
    record: Record,
    classes: usize,
    threads: Option<NonZero<usize>>,
    exact: Processor,
    /// One a value of the plan.
    values: Vec<Histogram>,
    /// What each layer of the plan weighs, if that is looked at, and what was seen of it.
    inputs: Vec<Option<Inputs>>,
    moments: HashMap<Inputs, Moments>,
    /// Pictures shown.
    shown: usize,
    /// The largest absolute number that was seen in each channel of each value.
    channels: Vec<Vec<f32>>,
    /// Weights and biases of a network that computes the same, with channels more alike.
    changed: HashMap<String, Stored>,
}

/// Of so many pictures one tells how inputs go together: it takes as long as all else, and half of a
/// hundred is enough.
const OF_INPUTS: usize = 2;

/// The same network in other numbers.
pub struct Trial {
    network: Processor,
    classes: usize,
}

impl Quantizer {
    /// Loads `model` with the weights of `record`, to answer as `profile` says.
    ///
    /// # Errors
    /// [`QuantizeError`] when the model cannot run fused or the record does not fit.
    pub fn new(
        model: &Model,
        profile: &Profile,
        record: &Path,
        threads: Option<NonZero<usize>>,
    ) -> Result<Self, QuantizeError> {
        let plan = model.plan.clone();
        let plan = plan.ok_or_else(|| QuantizeError::NoPlan(model.manifest.name.clone()))?;
        let record = Record::open(record)?;
        let options = Options {
            threads,
            ..Options::default()
        };
        let exact = Processor::new(&plan, profile, &record, &options)?;
        let shapes = plan.shapes()?;
        let transformed = transformable(&plan)?;
        // Weights that are transformed are rounded afterwards.
        let of = |layer| {
            let is_direct = !transformed.contains(&layer);
            Inputs::of(&plan, &shapes, layer).filter(|_| is_direct)
        };
        let inputs: Vec<_> = (0..plan.layers.len()).map(of).collect();
        let moments = inputs.iter().flatten();
        Ok(Self {
            moments: moments
                .map(|inputs| (*inputs, Moments::new(inputs.count())))
                .collect(),
            inputs,
            shown: 0,
            channels: vec![Vec::new(); plan.layers.len() + 1],
            changed: HashMap::new(),
            values: vec![Histogram::default(); plan.layers.len() + 1],
            plan,
            profile: profile.clone(),
            record,
            classes: model.manifest.classes,
            threads,
            exact,
        })
    }

    /// Takes into account how large the channels of every value are for these images.
    ///
    /// # Errors
    /// [`QuantizeError`] when the pixels are not whole images.
    pub fn survey(&mut self, pixels: &[u8]) -> Result<(), QuantizeError> {
        let largest = &mut self.channels;
        self.exact
            .observe(pixels, &mut |value, channels, numbers| {
                let largest = &mut largest[value];
                largest.resize(channels, 0.0);
                for pixel in numbers.chunks_exact(channels) {
                    let pairs = largest.iter_mut().zip(pixel);
                    pairs.for_each(|(largest, number)| *largest = largest.max(number.abs()));
                }
            })?;
        Ok(())
    }

    /// Makes the channels of each value more alike, by what was surveyed: from now on the network has other
    /// weights, and the same answers. `home` is where weights are kept.
    ///
    /// # Errors
    /// [`QuantizeError`] when the weights cannot be read or written.
    pub fn equalize(&mut self, home: &Path) -> Result<(), QuantizeError> {
        let factors = equalize::factors(&self.plan, &self.plan.shapes()?, &self.channels);
        let mut changed = HashMap::new();
        for (index, layer) in self.plan.layers.iter().enumerate() {
            let Operation::Convolution(convolution) = &layer.operation else {
                continue;
            };
            let around: [&[f32]; 2] = [&factors[layer.input], &factors[index + 1]];
            if around.iter().all(|factors| factors.is_empty()) {
                continue;
            }
            if let Some(mut stored) = self.record.read(&convolution.weights)? {
                equalize::weights(convolution, around, &mut stored.data);
                changed.insert(convolution.weights.clone(), stored);
            }
            if let Some(name) = &convolution.bias
                && let Some(mut stored) = self.record.read(name)?
            {
                equalize::bias(around[1], &mut stored.data);
                changed.insert(name.clone(), stored);
            }
        }
        let tensors: Tensors = changed.clone().into_iter().collect();
        let file = Rounded::new(home, &tensors)?;
        let options = Options {
            threads: self.threads,
            weights: Some(file.path()),
            ..Options::default()
        };
        self.exact = Processor::new(&self.plan, &self.profile, &self.record, &options)?;
        self.changed = changed;
        Ok(())
    }

    /// Counts the numbers of every value for these images, one or more.
    ///
    /// # Errors
    /// [`QuantizeError`] when the pixels are not whole images or a number is not finite.
    pub fn observe(&mut self, pixels: &[u8]) -> Result<(), QuantizeError> {
        let (values, moments) = (&mut self.values, &mut self.moments);
        let is_looked_at = self.shown.is_multiple_of(OF_INPUTS);
        self.exact.observe(pixels, &mut |value, _, numbers| {
            values[value].add(numbers);
            let read = moments
                .iter_mut()
                .filter(|(inputs, _)| is_looked_at && inputs.value == value);
            read.for_each(|(inputs, moments)| moments.add(&inputs.rows(numbers)));
        })?;
        self.shown += 1;
        match values.iter().position(Histogram::is_broken) {
            None => Ok(()),
            Some(value) => Err(QuantizeError::NotFinite { value }),
        }
    }

    /// The weights for bytes: those of channels that are more alike, and the errors of rounding them cancel
    /// as far as inputs were seen to go together; `tick` is called for each layer.
    ///
    /// # Errors
    /// [`QuantizeError::Record`] when the weights cannot be read.
    pub fn rounded(&self, mut tick: impl FnMut()) -> Result<Tensors, QuantizeError> {
        let mut rounded = self.changed.clone();
        let mut roundings = HashMap::new();
        for (layer, inputs) in self.plan.layers.iter().zip(&self.inputs) {
            tick();
            let (Operation::Convolution(convolution), Some(inputs)) = (&layer.operation, inputs)
            else {
                continue;
            };
            let of = |inputs: &Inputs| self.moments.get(inputs).and_then(Moments::rounding);
            let rounding = roundings.entry(*inputs).or_insert_with(|| of(inputs));
            let stored = match self.changed.get(&convolution.weights) {
                Some(changed) => Some(changed.clone()),
                None => self.record.read(&convolution.weights)?,
            };
            if let (Some(rounding), Some(mut stored)) = (rounding, stored) {
                let sums = stored.data.chunks_exact_mut(inputs.count());
                sums.for_each(|weights| rounding.round(weights));
                rounded.insert(convolution.weights.clone(), stored);
            }
        }
        Ok(rounded.into_iter().collect())
    }

    /// The range of every value by a method.
    ///
    /// # Errors
    /// [`QuantizeError::NothingSeen`] before any image was shown.
    pub fn ranges(&self, method: Method) -> Result<Ranges, QuantizeError> {
        let values = self.values.iter().map(|value| method.range(value));
        let values: Option<Vec<_>> = values.collect();
        let mut values = values.ok_or(QuantizeError::NothingSeen)?;
        for (index, layer) in self.plan.layers.iter().enumerate() {
            let reads = |value| {
                self.plan
                    .layers
                    .iter()
                    .filter(move |l| l.reads().any(|r| r == value))
            };
            // Of what only a pool reads the largest numbers are left: they are what matters.
            if matches!(layer.operation, Operation::MaxPool(_)) && reads(layer.input).count() == 1 {
                values[layer.input] = values[index + 1];
            }
        }
        Ok(Ranges {
            values,
            ..Ranges::default()
        })
    }

    /// The layers that can take fewer multiplications in bytes of these ranges: what they read is to be seen
    /// before they may.
    ///
    /// # Errors
    /// [`QuantizeError::Plan`] when the plan is wrong.
    pub fn points(&self, ranges: &Ranges) -> Result<Points, QuantizeError> {
        let layers = transformable(&self.plan)?;
        Ok(Points::new(
            &self.plan,
            &self.plan.shapes()?,
            ranges,
            layers,
        ))
    }

    /// Takes what such layers read of these images into account.
    ///
    /// # Errors
    /// [`QuantizeError`] when the pixels are not whole images.
    pub fn observe_points(&self, points: &mut Points, pixels: &[u8]) -> Result<(), QuantizeError> {
        let see = &mut |value, _, numbers: &[f32]| points.add(value, numbers);
        Ok(self.exact.observe(pixels, see)?)
    }

    /// The network in other numbers; `weights` are a record of some that go before its own.
    ///
    /// # Errors
    /// [`QuantizeError::Load`] when it cannot compute with them.
    pub fn trial(
        &self,
        precision: Precision,
        ranges: Option<&Ranges>,
        weights: Option<&Path>,
    ) -> Result<Trial, QuantizeError> {
        let options = Options {
            precision,
            ranges,
            weights,
            threads: self.threads,
            ..Options::default()
        };
        Ok(Trial {
            network: Processor::new(&self.plan, &self.profile, &self.record, &options)?,
            classes: self.classes,
        })
    }

    /// The exact probabilities of whole images, row by row.
    ///
    /// # Errors
    /// [`ClassifyError`] when the pixels are not whole images.
    pub fn probabilities(&self, pixels: &[u8]) -> Result<Vec<f32>, ClassifyError> {
        self.exact.probabilities(pixels, self.classes)
    }

    /// Adds to `noise` what each value of `trial` has of it for one image: value 0, the input, first.
    ///
    /// # Errors
    /// [`QuantizeError::Input`] when the pixels are not one image.
    pub fn compare(
        &self,
        trial: &Trial,
        pixels: &[u8],
        noise: &mut Vec<Noise>,
    ) -> Result<(), QuantizeError> {
        let mut exact = vec![Vec::new(); self.values.len()];
        self.exact.observe(pixels, &mut |value, _, numbers| {
            exact[value] = numbers.to_vec();
        })?;
        noise.resize(self.values.len(), Noise::default());
        trial.network.observe(pixels, &mut |value, _, numbers| {
            noise[value].add(&exact[value], numbers);
        })?;
        Ok(())
    }

    /// What writes each value, in words: the input first, then layer by layer.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let layers = self.plan.layers.iter().map(|layer| match &layer.operation {
            Operation::Convolution(convolution) => {
                let name = convolution.weights.trim_end_matches(".weight");
                name.to_owned()
            }
            Operation::MaxPool(_) => "max pool".to_owned(),
            Operation::AveragePool(_) => "average pool".to_owned(),
            Operation::Add { .. } => "add".to_owned(),
            Operation::Activate { .. } => "activation".to_owned(),
            Operation::Softmax => "softmax".to_owned(),
        });
        std::iter::once("input".to_owned()).chain(layers).collect()
    }
}

impl Trial {
    /// Probabilities of whole images, row by row.
    ///
    /// # Errors
    /// [`ClassifyError`] when the pixels are not whole images.
    pub fn probabilities(&self, pixels: &[u8]) -> Result<Vec<f32>, ClassifyError> {
        self.network.probabilities(pixels, self.classes)
    }
}
