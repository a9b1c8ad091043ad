//! Every shape class of every layer against the plain way, at every level that this machine has.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use crate::naive::{self, Named, close, convolution, engine, levels, numbers, push};
use crate::plans::{self, channels, empty};
use fused::{Operation, Plan};

/// Runs random batches of `plan` at every level with 1 to 4 threads.
fn check(plan: &Plan, weights: &Named, random: &mut fastrand::Rng, images: usize) {
    let elements = plan.input.elements();
    let input = numbers(random, images * elements);
    let expected: Vec<f64> = input
        .chunks(elements)
        .flat_map(|image| naive::run(plan, weights, image).pop().unwrap())
        .collect();
    for level in levels() {
        let mut scores = Vec::new();
        let mut engine = engine(plan, weights, level, random.usize(1..5));
        engine.run_floats(&input, &mut scores).unwrap();
        close(
            &scores,
            &expected,
            1e-4,
            &format!("{level} {images} images {plan:?}"),
        );
    }
}

#[test]
fn dense_convolutions() {
    let random = &mut fastrand::Rng::with_seed(10);
    for round in 0..150 {
        let count = channels(random);
        let (plan, weights) = plans::dense(random, round, count);
        let images = random.usize(1..5);
        check(&plan, &weights, random, images);
    }
}

#[test]
fn pointwise_convolutions_with_a_residual() {
    let random = &mut fastrand::Rng::with_seed(11);
    for _ in 0..60 {
        let count = channels(random);
        let (plan, weights) = plans::pointwise(random, count);
        let images = random.usize(1..5);
        check(&plan, &weights, random, images);
    }
}

#[test]
fn grouped_and_depthwise_convolutions() {
    let random = &mut fastrand::Rng::with_seed(12);
    for round in 0..100 {
        let count = channels(random);
        let (plan, weights) = plans::grouped(random, round, count);
        let images = random.usize(1..5);
        check(&plan, &weights, random, images);
    }
}

#[test]
fn pooling_sums_activations_and_softmax() {
    let random = &mut fastrand::Rng::with_seed(13);
    for _ in 0..100 {
        let count = channels(random);
        let (plan, weights) = plans::pooled(random, count);
        let images = random.usize(1..5);
        check(&plan, &weights, random, images);
    }
}

#[test]
fn every_count_of_images() {
    let random = &mut fastrand::Rng::with_seed(14);
    let (mut plan, mut weights) = (empty(random, 3), Named::new());
    let mut first = convolution(40, [3, 3]);
    first.padding = [1; 4];
    push(
        &mut plan,
        &mut weights,
        random,
        0,
        Operation::Convolution(first),
    );
    let second = convolution(33, [1, 1]);
    push(
        &mut plan,
        &mut weights,
        random,
        1,
        Operation::Convolution(second),
    );
    for images in 1..=33 {
        check(&plan, &weights, random, images);
    }
}
