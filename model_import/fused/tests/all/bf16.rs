//! bf16 layer by layer, at every level and with both ways to multiply pairs.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::naive::formats::is_real;
use crate::naive::{self, Named, close, engine_of, observed, ways};
use crate::plans;
use fused::{Operation, Plan, Precision, Ranges, Winograd};

/// The nearest bf16 number, ties to even.
fn rounded(number: f32) -> f32 {
    let bits = number.to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

/// The weights as they are stored: those of grouped convolutions stay as they are, and so do biases.
pub(crate) fn stored(plan: &Plan, weights: &Named) -> Named {
    let mut stored = weights.clone();
    for layer in &plan.layers {
        if let Operation::Convolution(convolution) = &layer.operation
            && convolution.groups == 1
        {
            let numbers = &mut stored.get_mut(&convolution.weights).unwrap().1;
            numbers
                .iter_mut()
                .for_each(|number| *number = rounded(*number));
        }
    }
    stored
}

/// Compares each layer with what it is to make of the engine's own values before it. So a number
/// differs by one rounding at most, half a unit in the last place of bf16 (2^-8 of it), and by the
/// error of the f32 sum, which is far less. The output is not rounded.
fn check(plan: &Plan, weights: &Named, pixels: &[u8]) {
    let stored = stored(plan, weights);
    let none = Ranges::default();
    let count = plan.layers.len() + 1;
    for mut way in ways(Precision::Bf16) {
        // Fewer multiplications are of weights as they were; `winograd.rs` tests them.
        way.winograd = Winograd::Never;
        let mut engine = engine_of(plan, weights, &none, &way, 2);
        for image in observed(&mut engine, pixels).chunks(count) {
            let wide = |value: &Vec<f32>| value.iter().map(|&number| number.into()).collect();
            let values: Vec<Vec<f64>> = image.iter().map(wide).collect();
            for index in 0..plan.layers.len() {
                let expected = naive::layer(plan, &stored, index, &values);
                let is_real = is_real(plan, index + 1);
                let tolerance = if is_real { 2e-5 } else { 1.01 / 256.0 };
                let what = format!("{way:?} layer {index} of {plan:?}");
                close(&image[index + 1], &expected, tolerance, &what);
                let is_bf16 = |number: &f32| rounded(*number) == *number;
                assert!(is_real || image[index + 1].iter().all(is_bf16), "{what}");
            }
        }
    }
}

/// Checks `rounds` plans on random pixels.
fn check_all(seed: u64, rounds: usize, make: impl Fn(&mut fastrand::Rng, usize) -> (Plan, Named)) {
    let random = &mut fastrand::Rng::with_seed(seed);
    for round in 0..rounds {
        let (plan, weights) = make(random, round);
        let pixels: Vec<u8> = (0..plan.input.elements()).map(|_| random.u8(..)).collect();
        check(&plan, &weights, &pixels);
    }
}

#[test]
fn dense_convolutions() {
    check_all(30, 60, |random, round| plans::dense(random, round, 3));
    check_all(31, 30, |random, _| plans::pointwise(random, 3));
}

#[test]
fn grouped_and_depthwise_convolutions() {
    check_all(32, 60, |random, round| plans::grouped(random, round, 3));
}

#[test]
fn pooling_sums_activations_and_softmax() {
    check_all(33, 60, |random, _| plans::pooled(random, 3));
}

#[test]
fn a_network_is_close_to_f32() {
    let (plan, weights) = naive::network();
    let pixels = naive::pixels(3);
    let none = Ranges::default();
    let (mut expected, mut scores) = (Vec::new(), Vec::new());
    let mut engine = naive::engine(&plan, &weights, fused::Level::Portable, 1);
    engine.run_levels(&pixels, &mut expected).unwrap();
    let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
    for mut way in ways(Precision::Bf16) {
        // Fewer multiplications are of weights as they were; `winograd.rs` tests them.
        way.winograd = Winograd::Never;
        let mut engine = engine_of(&plan, &weights, &none, &way, 2);
        engine.run_levels(&pixels, &mut scores).unwrap();
        close(&scores, &expected, 0.03, &format!("{way:?}"));
    }
}
