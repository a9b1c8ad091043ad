//! Joins layers: a sum and an activation into the convolution before them, an activation into a
//! sum. Layers that the output does not need are left out.
//!
//! A layer that is joined moves to where the later one stood, so values are always written
//! before they are read. Must not know: ONNX, weights.

use fused::{Activation, Layer, Operation, Plan};

/// The plan that gives value `output` of `plan` with the fewest layers; its last value is that one.
/// With it, the number that each value of `plan` has there, if it is still there.
pub(super) fn fuse(plan: Plan, output: usize) -> (Plan, Vec<Option<usize>>) {
    let mut network = Network::of(plan.layers, output);
    for at in 0..network.layers.len() {
        network.join(at);
    }
    let (layers, numbers) = network.numbered();
    let input = plan.input;
    (Plan { input, layers }, numbers)
}

/// Layers by the value that they write, less one; `None` where one is not needed or was moved.
struct Network {
    layers: Vec<Option<Layer>>,
    /// How often each value is read, the output once more.
    readers: Vec<usize>,
}

impl Network {
    fn of(layers: Vec<Layer>, output: usize) -> Self {
        let mut readers = vec![0; layers.len() + 1];
        readers[output] += 1;
        let mut kept: Vec<Option<Layer>> = layers.into_iter().map(Some).collect();
        for (at, slot) in kept.iter_mut().enumerate().rev() {
            if readers[at + 1] == 0 {
                *slot = None;
            }
            if let Some(layer) = slot {
                for value in layer.reads() {
                    readers[value] += 1;
                }
            }
        }
        Self {
            layers: kept,
            readers,
        }
    }

    /// Joins the layer in this place with one that it alone reads, if that can be.
    fn join(&mut self, at: usize) {
        let Some(layer) = &self.layers[at] else {
            return;
        };
        let joined = match layer.operation {
            Operation::Activate { activation } => self.activated(layer.input, activation),
            Operation::Add { other, .. } => self.added(layer.input, other),
            _ => None,
        };
        if let Some((from, joined)) = joined {
            self.layers[from] = None;
            self.layers[at] = Some(joined);
        }
    }

    /// The layer that writes `value` with an activation, and its place.
    fn activated(&self, value: usize, added: Activation) -> Option<(usize, Layer)> {
        let (from, mut layer) = self.private(value)?;
        match &mut layer.operation {
            Operation::Convolution(convolution) => {
                bare(convolution.activation)?;
                convolution.activation = added;
            }
            Operation::Add { activation, .. } => {
                bare(*activation)?;
                *activation = added;
            }
            _ => return None,
        }
        Some((from, layer))
    }

    /// The convolution that writes one of two values with the other as its residual, and its
    /// place. The later one is preferred: the other may be gone from the caches by then.
    fn added(&self, left: usize, right: usize) -> Option<(usize, Layer)> {
        let with = |value: usize, residual: usize| {
            let (from, mut layer) = self.private(value)?;
            let Operation::Convolution(convolution) = &mut layer.operation else {
                return None;
            };
            bare(convolution.activation)?;
            if convolution.residual.is_some() {
                return None;
            }
            convolution.residual = Some(residual);
            Some((from, layer))
        };
        let (early, late) = (left.min(right), left.max(right));
        with(late, early).or_else(|| with(early, late))
    }

    /// The layer that writes a value which is read once, and its place.
    fn private(&self, value: usize) -> Option<(usize, Layer)> {
        let from = value.checked_sub(1)?;
        let layer = self.layers[from].clone()?;
        (self.readers[value] == 1).then_some((from, layer))
    }

    /// The layers that are left, their values numbered anew.
    fn numbered(self) -> (Vec<Layer>, Vec<Option<usize>>) {
        let mut numbers = vec![0; self.layers.len() + 1];
        let is_left = |value: usize| value == 0 || self.layers[value - 1].is_some();
        let left: Vec<bool> = (0..numbers.len()).map(is_left).collect();
        let mut layers = Vec::new();
        for (at, layer) in self.layers.into_iter().enumerate() {
            let Some(mut layer) = layer else {
                continue;
            };
            layer.input = numbers[layer.input];
            match &mut layer.operation {
                Operation::Convolution(convolution) => {
                    convolution.residual = convolution.residual.map(|value| numbers[value]);
                }
                Operation::Add { other, .. } => *other = numbers[*other],
                _ => {}
            }
            layers.push(layer);
            numbers[at + 1] = layers.len();
        }
        let numbers = numbers.into_iter().zip(left);
        let numbers = numbers.map(|(number, left)| left.then_some(number));
        (layers, numbers.collect())
    }
}

fn bare(activation: Activation) -> Option<()> {
    (activation == Activation::None).then_some(())
}
