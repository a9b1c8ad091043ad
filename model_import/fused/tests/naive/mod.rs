//! A slow, plain way to run a plan, and random plans to compare with.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

pub(crate) mod formats;

use std::collections::HashMap;

use fused::{
    Activation, Convolution, Engine, Layer, Level, Normalise, Operation, Options, Plan, Pool,
    Precision, Range, Ranges, Shape, WeightLayout, Winograd,
};

pub(crate) type Named = HashMap<String, (Vec<usize>, Vec<f32>)>;

pub(crate) const PLAIN: Normalise = Normalise {
    order: [2, 0, 1],
    factor: [0.01, 0.02, 0.015],
    offset: [1.0, 2.0, 0.5],
};

pub(crate) fn engine(plan: &Plan, weights: &Named, level: Level, threads: usize) -> Engine {
    let mut options = Options::new(Precision::F32, threads);
    options.level = level;
    Engine::new(plan, weights, &PLAIN, None, &options).unwrap()
}

/// Every way that this machine has to run `precision`.
pub(crate) fn ways(precision: Precision) -> Vec<Options> {
    let mut ways = Vec::new();
    for level in levels() {
        let mut options = Options::new(precision, 1);
        options.level = level;
        options.dots = false;
        ways.push(options);
        if precision != Precision::F32 {
            ways.push(Options {
                dots: true,
                ..options
            });
        }
        if precision != Precision::Int8 {
            let others = [Winograd::Never, Winograd::Two, Winograd::Four];
            ways.extend(others.map(|winograd| Options {
                winograd,
                ..options
            }));
        }
    }
    ways
}

/// An engine for `options` with `ranges` where it wants them.
pub(crate) fn engine_of(
    plan: &Plan,
    weights: &Named,
    ranges: &Ranges,
    options: &Options,
    threads: usize,
) -> Engine {
    let options = Options {
        threads,
        ..*options
    };
    Engine::new(plan, weights, &PLAIN, Some(ranges), &options).unwrap()
}

/// Every value of every image as the engine shows it.
pub(crate) fn observed(engine: &mut Engine, pixels: &[u8]) -> Vec<Vec<f32>> {
    let mut values = Vec::new();
    let see = &mut |_, _, numbers: &[f32]| values.push(numbers.to_vec());
    engine.observe(pixels, see).unwrap();
    values
}

/// The least and the largest number of every value, as an f32 engine shows them.
pub(crate) fn ranges(plan: &Plan, weights: &Named, pixels: &[u8]) -> Ranges {
    let seen = observed(&mut engine(plan, weights, Level::Portable, 1), pixels);
    let count = plan.layers.len() + 1;
    let range = |value: usize| {
        let numbers = seen.iter().skip(value).step_by(count).flatten();
        Range {
            low: numbers.clone().copied().fold(f32::MAX, f32::min),
            high: numbers.copied().fold(f32::MIN, f32::max),
        }
    };
    Ranges {
        values: (0..count).map(range).collect(),
        ..Ranges::default()
    }
}

pub(crate) fn levels() -> Vec<Level> {
    let levels = Level::ALL.into_iter();
    levels.filter(|level| level.is_available()).collect()
}

pub(crate) fn numbers(random: &mut fastrand::Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| random.f32() * 2.0 - 1.0).collect()
}

/// A convolution that leaves everything at its usual value.
pub(crate) fn convolution(outputs: usize, kernel: [usize; 2]) -> Convolution {
    Convolution {
        weights: String::new(),
        weight_layout: WeightLayout::Oihw,
        bias: None,
        outputs,
        kernel,
        stride: [1, 1],
        dilation: [1, 1],
        padding: [0; 4],
        groups: 1,
        residual: None,
        activation: Activation::None,
    }
}

/// Appends a layer, with random weights, and returns its value.
pub(crate) fn push(
    plan: &mut Plan,
    weights: &mut Named,
    random: &mut fastrand::Rng,
    input: usize,
    mut operation: Operation,
) -> usize {
    let index = plan.layers.len();
    if let Operation::Convolution(convolution) = &mut operation {
        let channels = match index {
            0 => plan.input.channels,
            _ => plan.shapes().unwrap()[input].channels,
        };
        let inputs = channels / convolution.groups;
        let [height, width] = convolution.kernel;
        let outputs = convolution.outputs;
        let shape = match convolution.weight_layout {
            WeightLayout::Oihw => vec![outputs, inputs, height, width],
            WeightLayout::Io => vec![inputs * height * width, outputs],
        };
        let reduction = (inputs * height * width) as f32;
        let mut values = numbers(random, shape.iter().product());
        values.iter_mut().for_each(|w| *w *= 2.0 / reduction.sqrt());
        convolution.weights = format!("{index}.weight");
        weights.insert(convolution.weights.clone(), (shape, values));
        if random.bool() {
            let name = format!("{index}.bias");
            weights.insert(name.clone(), (vec![outputs], numbers(random, outputs)));
            convolution.bias = Some(name);
        }
    }
    plan.layers.push(Layer { input, operation });
    index + 1
}

pub(crate) fn activation(random: &mut fastrand::Rng) -> Activation {
    match random.u8(0..4) {
        0 => Activation::None,
        1 => Activation::Relu,
        2 => Activation::Clip {
            low: -0.25,
            high: 0.5,
        },
        _ => Activation::Silu,
    }
}

fn activate(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Clip { low, high } => x.clamp(f64::from(low), f64::from(high)),
        Activation::Silu => x / (1.0 + (-x).exp()),
    }
}

/// Every value of one image.
pub(crate) fn run(plan: &Plan, weights: &Named, input: &[f32]) -> Vec<Vec<f64>> {
    let mut values = vec![input.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>()];
    for index in 0..plan.layers.len() {
        values.push(layer(plan, weights, index, &values));
    }
    values
}

/// What layer `index` makes of the values before it.
pub(crate) fn layer(plan: &Plan, weights: &Named, index: usize, values: &[Vec<f64>]) -> Vec<f64> {
    let shapes = plan.shapes().unwrap();
    let layer = &plan.layers[index];
    let (from, to) = (shapes[layer.input], shapes[index + 1]);
    let input = &values[layer.input];
    match &layer.operation {
        Operation::Convolution(convolution) => {
            let residual = convolution.residual.map(|value| &values[value]);
            convolve(convolution, weights, (from, input), to, residual)
        }
        Operation::MaxPool(window) => pool(window, (from, input), to, true),
        Operation::AveragePool(window) => pool(window, (from, input), to, false),
        Operation::Add { other, activation } => {
            let pairs = input.iter().zip(&values[*other]);
            pairs.map(|(a, b)| activate(*activation, a + b)).collect()
        }
        Operation::Activate { activation } => {
            input.iter().map(|&x| activate(*activation, x)).collect()
        }
        Operation::Softmax => {
            let most = input.iter().fold(f64::MIN, |a, &b| a.max(b));
            let sum: f64 = input.iter().map(|x| (x - most).exp()).sum();
            input.iter().map(|x| (x - most).exp() / sum).collect()
        }
    }
}

/// The pixel that a window's tap falls on, if it is inside.
pub(crate) fn tap(
    step: usize,
    stride: usize,
    tap: usize,
    padding: usize,
    size: usize,
) -> Option<usize> {
    let at = (step * stride + tap).checked_sub(padding)?;
    (at < size).then_some(at)
}

fn convolve(
    convolution: &Convolution,
    weights: &Named,
    (from, input): (Shape, &[f64]),
    to: Shape,
    residual: Option<&Vec<f64>>,
) -> Vec<f64> {
    let c = convolution;
    let kernel = &weights[&c.weights].1;
    let bias = c.bias.as_ref().map(|name| &weights[name].1);
    let (inputs, outputs) = (from.channels / c.groups, to.channels / c.groups);
    let mut output = Vec::new();
    for y in 0..to.height {
        for x in 0..to.width {
            for o in 0..to.channels {
                let mut sum = bias.map_or(0.0, |bias| f64::from(bias[o]));
                for ky in 0..c.kernel[0] {
                    for kx in 0..c.kernel[1] {
                        let row = tap(
                            y,
                            c.stride[0],
                            ky * c.dilation[0],
                            c.padding[0],
                            from.height,
                        );
                        let column =
                            tap(x, c.stride[1], kx * c.dilation[1], c.padding[1], from.width);
                        let (Some(row), Some(column)) = (row, column) else {
                            continue;
                        };
                        for i in 0..inputs {
                            let channel = o / outputs * inputs + i;
                            let at = (row * from.width + column) * from.channels + channel;
                            let index = (i * c.kernel[0] + ky) * c.kernel[1] + kx;
                            let weight = match c.weight_layout {
                                WeightLayout::Oihw => {
                                    kernel[o * inputs * c.kernel[0] * c.kernel[1] + index]
                                }
                                WeightLayout::Io => kernel[index * to.channels + o],
                            };
                            sum += input[at] * f64::from(weight);
                        }
                    }
                }
                sum += residual.map_or(0.0, |residual| residual[output.len()]);
                output.push(activate(c.activation, sum));
            }
        }
    }
    output
}

fn pool(pool: &Pool, (from, input): (Shape, &[f64]), to: Shape, largest: bool) -> Vec<f64> {
    let mut output = Vec::new();
    for y in 0..to.height {
        for x in 0..to.width {
            for channel in 0..to.channels {
                let mut found = Vec::new();
                for ky in 0..pool.kernel[0] {
                    for kx in 0..pool.kernel[1] {
                        let row = tap(y, pool.stride[0], ky, pool.padding[0], from.height);
                        let column = tap(x, pool.stride[1], kx, pool.padding[1], from.width);
                        if let (Some(row), Some(column)) = (row, column) {
                            found
                                .push(input[(row * from.width + column) * from.channels + channel]);
                        }
                    }
                }
                let divisor = if pool.count_padding {
                    pool.kernel[0] * pool.kernel[1]
                } else {
                    found.len()
                };
                output.push(if largest {
                    found.into_iter().fold(f64::MIN, f64::max)
                } else {
                    found.iter().sum::<f64>() / divisor as f64
                });
            }
        }
    }
    output
}

/// Panics unless every number is within `tolerance` of the expected.
pub(crate) fn close(found: &[f32], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (&found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (f64::from(found) - expected).abs();
        assert!(
            difference <= tolerance * (1.0 + expected.abs()),
            "{what}: number {index} is {found}, not {expected}"
        );
    }
}

/// Blocks of three convolutions with a residual, between a stem and a classifier.
pub(crate) fn network() -> (Plan, Named) {
    let random = &mut fastrand::Rng::with_seed(20);
    let mut weights = Named::new();
    let input = Shape {
        height: 33,
        width: 29,
        channels: 3,
    };
    let mut plan = Plan {
        input,
        layers: Vec::new(),
    };
    let mut add =
        |plan: &mut Plan, input, operation| push(plan, &mut weights, random, input, operation);
    let mut stem = convolution(48, [7, 7]);
    stem.stride = [2, 2];
    stem.padding = [3; 4];
    stem.activation = Activation::Relu;
    let mut last = add(&mut plan, 0, Operation::Convolution(stem));
    let pool = Pool {
        kernel: [3, 3],
        stride: [2, 2],
        padding: [1; 4],
        count_padding: false,
    };
    last = add(&mut plan, last, Operation::MaxPool(pool));
    for _ in 0..6 {
        let block = last;
        let mut layer = convolution(32, [1, 1]);
        layer.activation = Activation::Relu;
        last = add(&mut plan, last, Operation::Convolution(layer));
        let mut layer = convolution(32, [3, 3]);
        layer.padding = [1; 4];
        last = add(&mut plan, last, Operation::Convolution(layer));
        let mut layer = convolution(48, [1, 1]);
        layer.residual = Some(block);
        layer.activation = Activation::Relu;
        last = add(&mut plan, last, Operation::Convolution(layer));
    }
    let shape = plan.shapes().unwrap()[last];
    let pool = Pool {
        kernel: [shape.height, shape.width],
        stride: [1, 1],
        padding: [0; 4],
        count_padding: false,
    };
    last = add(&mut plan, last, Operation::AveragePool(pool));
    last = add(
        &mut plan,
        last,
        Operation::Convolution(convolution(10, [1, 1])),
    );
    add(&mut plan, last, Operation::Softmax);
    (plan, weights)
}

pub(crate) fn pixels(images: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(21);
    (0..images * 33 * 29 * 3).map(|_| random.u8(..)).collect()
}
