//! Where the engine takes weights from, and how it turns pixels into numbers.
//!
//! Must not know: files, records, how weights are packed.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::error::EngineError;
use crate::plan::{Convolution, WeightLayout};

/// Named weights.
pub trait Weights {
    /// The shape and the numbers, the last dimension fastest, of the weight `name`.
    fn get(&self, name: &str) -> Option<(Vec<usize>, Cow<'_, [f32]>)>;
}

impl Weights for HashMap<String, (Vec<usize>, Vec<f32>)> {
    fn get(&self, name: &str) -> Option<(Vec<usize>, Cow<'_, [f32]>)> {
        let (shape, numbers) = Self::get(self, name)?;
        Some((shape.clone(), Cow::Borrowed(numbers)))
    }
}

/// The weight `name`, whose shape must be `expected`.
fn fetch<'a>(
    weights: &'a dyn Weights,
    name: &str,
    expected: Vec<usize>,
) -> Result<Cow<'a, [f32]>, EngineError> {
    let found = weights.get(name);
    let (found, numbers) = found.ok_or_else(|| EngineError::MissingWeight(name.to_owned()))?;
    if found != expected || numbers.len() != expected.iter().product() {
        return Err(EngineError::WeightShape {
            name: name.to_owned(),
            found,
            expected,
        });
    }
    Ok(numbers)
}

/// The kernel and the bias, one number an output channel, of a convolution over `channels`
/// channels.
pub(crate) fn of<'a>(
    weights: &'a dyn Weights,
    convolution: &Convolution,
    channels: usize,
) -> Result<(Cow<'a, [f32]>, Vec<f32>), EngineError> {
    let Convolution {
        outputs, kernel, ..
    } = *convolution;
    let inputs = channels / convolution.groups;
    let [height, width] = kernel;
    let expected = match convolution.weight_layout {
        WeightLayout::Oihw => vec![outputs, inputs, height, width],
        WeightLayout::Io => vec![inputs * height * width, outputs],
    };
    let numbers = fetch(weights, &convolution.weights, expected)?;
    let bias = match &convolution.bias {
        Some(name) => fetch(weights, name, vec![outputs])?.into_owned(),
        None => vec![0.0; outputs],
    };
    Ok((numbers, bias))
}

/// How levels of 0 to 255 become the network's input: channel `c` is
/// `level[order[c]] * factor[c] - offset[c]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalise {
    /// Which of red (0), green (1) and blue (2) each input channel reads.
    pub order: [usize; 3],
    /// What each channel's levels are multiplied by.
    pub factor: [f32; 3],
    /// What is taken away from each channel.
    pub offset: [f32; 3],
}

impl Normalise {
    /// The number of each level, for each input channel.
    pub(crate) fn table(&self) -> Result<[Vec<f32>; 3], EngineError> {
        if self.order.iter().any(|&channel| channel > 2) {
            return Err(EngineError::Order(self.order));
        }
        Ok([0, 1, 2].map(|channel| {
            (0..=255_u8)
                .map(|level| f32::from(level) * self.factor[channel] - self.offset[channel])
                .collect()
        }))
    }
}
