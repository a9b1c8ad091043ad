//! Channels of one value that differ in size, made more alike before they share one range.
//!
//! All channels of a value are stored with one step, and little is left of those that are much smaller
//! than others. A positive factor passes through ReLU, sums and pooling, so the channels of a value can
//! be divided by factors if the weights that write them are divided too, and those that read them are
//! multiplied: the network computes the same, and more of it is stored. (M. Nagel et al., "Data-Free
//! Quantization through Weight Equalization and Bias Correction", 2019, arXiv 1906.04721, do it for the
//! weights' sake; G. Xiao et al., "SmoothQuant", 2022, arXiv 2211.10438, for the numbers'.) Must not know:
//! pictures, files, how anything is stored.

use std::collections::HashMap;

use fused::{Activation, Convolution, Operation, Plan, Shape, WeightLayout};

/// How much of the difference between channels the factors take away, as a power: the weights that read
/// the channels come to differ as much, and those of an output channel share a step as well.
const TAKEN: f32 = 0.5;
/// A channel that is smaller than this part of the largest counts as so large: what was never seen may
/// still come.
const LEAST: f32 = 1.0 / 64.0;
/// Pixels that a value must have. In small ones a photo shows too little of how large a channel becomes,
/// which are different ones for every photo.
const PIXELS: usize = 28 * 28;

/// What the channels of each value are divided by, for the largest absolute number that was seen in each
/// channel of each; empty where nothing is changed.
pub(super) fn factors(plan: &Plan, shapes: &[Shape], seen: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let groups = groups(plan, shapes);
    let mut largest = vec![Vec::new(); groups.len()];
    for (group, seen) in groups.iter().zip(seen) {
        if let Some(group) = *group {
            join(&mut largest[group], seen);
        }
    }
    let of_group = |group: usize| -> Vec<f32> {
        let sizes = largest[group].iter();
        sizes.map(|size| size.max(LEAST).powf(TAKEN)).collect()
    };
    let of_value = |group: &Option<usize>| group.map_or(Vec::new(), of_group);
    groups.iter().map(of_value).collect()
}

/// Makes each of `all` the larger one where `more`, beside the largest of them, are larger.
fn join(all: &mut Vec<f32>, more: &[f32]) {
    let largest = more.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    all.resize(more.len(), 0.0);
    for (all, more) in all.iter_mut().zip(more) {
        *all = all.max(more / largest);
    }
}

/// The group of each value, named by its first: values that are added, pooled or copied into each other
/// have the same factors. None for a value that has to stay as it is, for it is read or written from
/// outside or by what a factor does not pass, or is small.
fn groups(plan: &Plan, shapes: &[Shape]) -> Vec<Option<usize>> {
    let last = plan.layers.len();
    // The first value of each one's group; value 0 is the first of all that stay as they are.
    let mut first: Vec<usize> = (0..=last).collect();
    let mut same = |a: usize, b: usize| {
        let (low, high) = (first[a].min(first[b]), first[a].max(first[b]));
        let others = first.iter_mut().filter(|first| **first == high);
        others.for_each(|first| *first = low);
    };
    same(0, last);
    for (value, shape) in shapes.iter().enumerate() {
        if shape.height * shape.width < PIXELS {
            same(value, 0);
        }
    }
    let shared = shared(plan);
    for (layer, value) in plan.layers.iter().zip(1..) {
        let (alike, activation) = match &layer.operation {
            Operation::Convolution(convolution) => {
                let names = std::iter::once(&convolution.weights).chain(&convolution.bias);
                let is_shared = names.into_iter().any(|name| shared[name.as_str()] > 1);
                if is_shared || convolution.weight_layout != WeightLayout::Oihw {
                    same(layer.input, 0);
                    same(value, 0);
                }
                (convolution.residual, convolution.activation)
            }
            Operation::MaxPool(_) | Operation::AveragePool(_) => {
                (Some(layer.input), Activation::None)
            }
            Operation::Add { other, activation } => {
                same(layer.input, value);
                (Some(*other), *activation)
            }
            Operation::Activate { activation } => (Some(layer.input), *activation),
            Operation::Softmax => {
                same(layer.input, 0);
                (Some(0), Activation::None)
            }
        };
        if let Some(alike) = alike {
            same(alike, value);
        }
        if matches!(activation, Activation::Clip { .. } | Activation::Silu) {
            same(value, 0);
        }
    }
    let of = |first: usize| (first != 0).then_some(first);
    first.into_iter().map(of).collect()
}

/// How many layers have the weights or the bias of each name.
fn shared(plan: &Plan) -> HashMap<&str, usize> {
    let mut shared = HashMap::new();
    for layer in &plan.layers {
        if let Operation::Convolution(convolution) = &layer.operation {
            for name in std::iter::once(&convolution.weights).chain(&convolution.bias) {
                *shared.entry(name.as_str()).or_insert(0) += 1;
            }
        }
    }
    shared
}

/// Makes the weights of a convolution those of one whose input and output are divided by factors, of which
/// there are none where they are empty.
pub(super) fn weights(
    convolution: &Convolution,
    [input, output]: [&[f32]; 2],
    numbers: &mut [f32],
) {
    let Convolution {
        outputs,
        groups,
        kernel: [height, width],
        ..
    } = *convolution;
    let taps = height * width;
    let inputs = (numbers.len() / (outputs * taps).max(1)).max(1);
    for (index, weights) in numbers.chunks_exact_mut(taps).enumerate() {
        let (channel, place) = (index / inputs, index % inputs);
        let first = channel / (outputs / groups) * inputs;
        let read = input.get(first + place).unwrap_or(&1.0);
        let written = output.get(channel).unwrap_or(&1.0);
        weights
            .iter_mut()
            .for_each(|weight| *weight *= read / written);
    }
}

/// Makes the bias of a convolution that of one whose output is divided by factors.
pub(super) fn bias(output: &[f32], numbers: &mut [f32]) {
    let pairs = numbers.iter_mut().zip(output);
    pairs.for_each(|(number, factor)| *number /= factor);
}

#[cfg(test)]
mod tests {
    use fused::{Layer, Pool};

    use super::*;

    fn convolution(name: &str, activation: Activation, residual: Option<usize>) -> Operation {
        let text = format!("weights = \"{name}\"\noutputs = 2\nkernel = [1, 1]");
        let layer: Convolution = toml::from_str(&text).expect("a convolution");
        Operation::Convolution(Convolution {
            activation,
            residual,
            ..layer
        })
    }

    fn plan(layers: Vec<(usize, Operation)>) -> Plan {
        let input = Shape {
            height: 28,
            width: 28,
            channels: 2,
        };
        let layer = |(input, operation)| Layer { input, operation };
        Plan {
            input,
            layers: layers.into_iter().map(layer).collect(),
        }
    }

    fn pool(side: usize) -> Pool {
        let text = format!("kernel = [{side}, {side}]\nstride = [1, 1]\npadding = [0, 0, 0, 0]");
        toml::from_str(&text).expect("a pool")
    }

    fn of(plan: &Plan) -> Vec<Option<usize>> {
        groups(plan, &plan.shapes().expect("a plan"))
    }

    /// A block with a short cut, then the largest of each pixel, and what is read from outside.
    fn block(inner: Activation) -> Plan {
        let relu = Activation::Relu;
        plan(vec![
            (0, convolution("a", relu, None)),
            (1, convolution("b", inner, None)),
            (2, convolution("c", relu, Some(1))),
            (3, Operation::MaxPool(pool(1))),
            (4, convolution("d", Activation::None, None)),
        ])
    }

    #[test]
    fn what_is_added_or_pooled_is_one_group_and_what_is_seen_from_outside_none() {
        let stream = Some(1);
        let expected = [None, stream, Some(2), stream, stream, None];
        assert_eq!(of(&block(Activation::Relu)), expected);
        // SiLU of half a number is not half of SiLU.
        assert_eq!(of(&block(Activation::Silu))[2], None);
        let relu = Activation::Relu;
        let sum = |activation| {
            let layers = vec![
                (0, convolution("a", relu, None)),
                (0, convolution("b", relu, None)),
                (
                    1,
                    Operation::Add {
                        other: 2,
                        activation,
                    },
                ),
                (3, convolution("c", relu, None)),
            ];
            of(&plan(layers))
        };
        assert_eq!(sum(relu), [None, Some(1), Some(1), Some(1), None]);
        let clip = Activation::Clip {
            low: 0.0,
            high: 6.0,
        };
        assert_eq!(sum(clip), [None; 5]);
    }

    #[test]
    fn small_values_and_those_of_shared_weights_stay_as_they_are() {
        let relu = Activation::Relu;
        let pooled = |side| {
            of(&plan(vec![
                (0, convolution("a", relu, None)),
                (1, Operation::MaxPool(pool(side))),
                (2, convolution("b", relu, None)),
            ]))
        };
        assert_eq!(pooled(1), [None, Some(1), Some(1), None]);
        assert_eq!(pooled(2), [None; 4], "27 pixels a side");
        let named = |name| {
            of(&plan(vec![
                (0, convolution("a", relu, None)),
                (1, convolution(name, relu, None)),
                (2, convolution("c", relu, None)),
            ]))
        };
        assert_eq!(named("b"), [None, Some(1), Some(2), None]);
        assert_eq!(named("a"), [None; 4]);
        assert_eq!(named("c"), [None, None, None, None]);
    }

    #[test]
    fn small_channels_have_small_factors_but_not_without_end() {
        let block = block(Activation::Relu);
        let mut seen = vec![vec![8.0, 8.0]; 6];
        (seen[1], seen[2], seen[3]) = (vec![16.0, 1.0], vec![0.0, 3.0], vec![1.0, 0.25]);
        seen[4] = seen[3].clone();
        let found = factors(&block, &block.shapes().expect("a plan"), &seen);
        assert_eq!(
            found[1],
            [1.0, 0.5],
            "of the largest part in any of its values"
        );
        assert_eq!((&found[1], &found[1]), (&found[3], &found[4]));
        assert_eq!(found[2], [LEAST.powf(TAKEN), 1.0]);
        assert!(found[0].is_empty() && found[5].is_empty());
    }

    #[test]
    fn weights_of_groups_meet_the_channels_that_they_read() {
        let Operation::Convolution(mut layer) = convolution("a", Activation::Relu, None) else {
            unreachable!("it is a convolution");
        };
        let (input, output) = ([2.0, 8.0], [4.0, 0.5]);
        let divided = |layer: &Convolution, mut numbers: Vec<f32>| {
            weights(layer, [&input, &output], &mut numbers);
            numbers
        };
        let unchanged = |layer: &Convolution| {
            let mut numbers = [1.0; 4];
            weights(layer, [&[], &[]], &mut numbers);
            numbers
        };
        assert_eq!(divided(&layer, vec![1.0; 4]), [0.5, 2.0, 4.0, 16.0]);
        layer.groups = 2;
        assert_eq!(divided(&layer, vec![1.0; 2]), [0.5, 16.0]);
        layer.kernel = [1, 2];
        assert_eq!(
            divided(&layer, vec![1.0, 2.0, 3.0, 4.0]),
            [0.5, 1.0, 48.0, 64.0]
        );
        assert_eq!(unchanged(&layer), [1.0; 4]);
        let mut numbers = [1.0; 2];
        bias(&output, &mut numbers);
        assert_eq!(numbers, [0.25, 2.0]);
    }
}
