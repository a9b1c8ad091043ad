//! A network that is shown images: first to count its numbers, then to compare it with itself in
//! other numbers.
//!
//! Must not know: where images come from, files.

use std::num::NonZero;
use std::path::Path;

use fused::{Operation, Plan, Ranges};

use super::{Histogram, Method, Noise, QuantizeError};
use crate::classifier::processor::Processor;
use crate::classifier::{ClassifyError, Options, Precision};
use crate::profile::Profile;
use crate::record::Record;
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
}

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
        Ok(Self {
            values: vec![Histogram::default(); plan.layers.len() + 1],
            plan,
            profile: profile.clone(),
            record,
            classes: model.manifest.classes,
            threads,
            exact,
        })
    }

    /// Counts the numbers of every value for these images.
    ///
    /// # Errors
    /// [`QuantizeError`] when the pixels are not whole images or a number is not finite.
    pub fn observe(&mut self, pixels: &[u8]) -> Result<(), QuantizeError> {
        let values = &mut self.values;
        self.exact
            .observe(pixels, &mut |value, _, numbers| values[value].add(numbers))?;
        match values.iter().position(Histogram::is_broken) {
            None => Ok(()),
            Some(value) => Err(QuantizeError::NotFinite { value }),
        }
    }

    /// The range of every value by a method.
    ///
    /// # Errors
    /// [`QuantizeError::NothingSeen`] before any image was shown.
    pub fn ranges(&self, method: Method) -> Result<Ranges, QuantizeError> {
        let values = self.values.iter().map(|value| method.range(value));
        let values = values
            .collect::<Option<_>>()
            .ok_or(QuantizeError::NothingSeen)?;
        Ok(Ranges { values })
    }

    /// The network in other numbers.
    ///
    /// # Errors
    /// [`QuantizeError::Load`] when it cannot compute with them.
    pub fn trial(
        &self,
        precision: Precision,
        ranges: Option<&Ranges>,
    ) -> Result<Trial, QuantizeError> {
        let options = Options {
            precision,
            ranges,
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
