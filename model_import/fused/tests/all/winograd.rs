//! 3x3 convolutions with fewer multiplications: every square, shape, level and count of images
//! against the plain way, and how large the error is at the sizes of a real network.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use fused::{Engine, Operation, Options, Plan, Precision, Shape};

use crate::naive::{self, Named, PLAIN, activation, close, convolution, numbers, push, ways};

/// The outputs of `images`, by the plain way.
fn expected(plan: &Plan, weights: &Named, images: &[f32]) -> Vec<f64> {
    let images = images.chunks(plan.input.elements());
    images
        .flat_map(|image| naive::run(plan, weights, image).pop().unwrap())
        .collect()
}

fn found(plan: &Plan, weights: &Named, images: &[f32], options: &Options) -> Vec<f32> {
    let mut scores = Vec::new();
    let mut engine = Engine::new(plan, weights, &PLAIN, None, options).unwrap();
    engine.run_floats(images, &mut scores).unwrap();
    scores
}

/// A convolution of single pixels, one with a residual and one of any padding.
fn plan(random: &mut fastrand::Rng) -> (Plan, Named) {
    let mut channels = || [1, 5, 16, 17, 32, 40, 48, 70][random.usize(..8)];
    let [inputs, inner, outputs] = [channels(), channels(), channels()];
    let input = Shape {
        height: random.usize(1..20),
        width: random.usize(1..24),
        channels: inputs,
    };
    let mut plan = Plan {
        input,
        layers: Vec::new(),
    };
    let mut weights = Named::new();
    let first = convolution(inner, [1, 1]);
    let mut second = convolution(inner, [3, 3]);
    second.padding = [1; 4];
    second.residual = random.bool().then_some(1);
    second.activation = activation(random);
    let mut third = convolution(outputs, [3, 3]);
    for (axis, size) in [input.height, input.width].into_iter().enumerate() {
        // Together at least what a window is larger than the input.
        third.padding[axis] = random.usize(3_usize.saturating_sub(size)..4);
        third.padding[axis + 2] = random.usize(0..4);
    }
    third.activation = activation(random);
    for (input, layer) in [first, second, third].into_iter().enumerate() {
        let operation = Operation::Convolution(layer);
        push(&mut plan, &mut weights, random, input, operation);
    }
    (plan, weights)
}

#[test]
fn every_square_and_shape() {
    // Of bf16 the images, the weights of the first layer and two layers' outputs are rounded.
    for (precision, tolerance) in [(Precision::F32, 1e-4), (Precision::Bf16, 0.05)] {
        every_plan(precision, tolerance);
    }
}

fn every_plan(precision: Precision, tolerance: f64) {
    let random = &mut fastrand::Rng::with_seed(30);
    for _ in 0..60 {
        let (plan, weights) = plan(random);
        let count = random.usize(1..8) * plan.input.elements();
        let images = numbers(random, count);
        let expected = expected(&plan, &weights, &images);
        for mut options in ways(precision) {
            options.threads = random.usize(1..5);
            options.images = random.usize(1..5);
            let found = found(&plan, &weights, &images, &options);
            close(
                &found,
                &expected,
                tolerance,
                &format!("{options:?} {plan:?}"),
            );
        }
    }
}

/// The whole of a network must stay within 1e-3 on numbers of about 10, so that a layer may be wrong
/// by some millionths of its largest output. By its definition it is by 2, with 4x4 by 4.
#[test]
fn the_error_is_small_at_many_channels() {
    let random = &mut fastrand::Rng::with_seed(31);
    for (side, channels) in [(7, 512), (14, 256), (13, 64)] {
        let input = Shape {
            height: side,
            width: side,
            channels,
        };
        let mut plan = Plan {
            input,
            layers: Vec::new(),
        };
        let mut weights = Named::new();
        let mut layer = convolution(channels, [3, 3]);
        layer.padding = [1; 4];
        let operation = Operation::Convolution(layer);
        push(&mut plan, &mut weights, random, 0, operation);
        let image = numbers(random, input.elements());
        let expected = expected(&plan, &weights, &image);
        let largest = expected.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        for options in ways(Precision::F32) {
            let found = found(&plan, &weights, &image, &options);
            let errors = found.iter().zip(&expected);
            let error = errors.fold(0.0, |most: f64, (&found, expected)| {
                most.max((f64::from(found) - expected).abs())
            });
            assert!(
                error <= 1e-5 * largest,
                "{side} {channels} {options:?}: {error} of {largest}"
            );
        }
    }
}
