//! int8 layer by layer against whole numbers, at every level and with both ways to multiply quads.

use crate::bf16;
use crate::integer::{Meaning, layer, meanings};
use crate::naive::formats::is_real;
use crate::naive::{self, Named, close, engine_of, observed, ranges, ways};
use crate::plans;
use fused::{Activation, Engine, EngineError, Operation, Options, Plan, Precision, Range, Ranges};

/// Compares each layer with what it is to make of the engine's own values before it: equal to the
/// bit, but after SiLU and softmax, where an exponential may differ in its last place, and where
/// floats are read, which are added in any order. All ways give the same bits up to there.
fn check(plan: &Plan, weights: &Named, pixels: &[u8], ranges: &Ranges) {
    let meanings = meanings(plan, ranges);
    let count = plan.layers.len() + 1;
    // Floats are multiplied by the upper halves of weights.
    let halved = bf16::stored(plan, weights);
    let mut first: Option<Vec<Vec<f32>>> = None;
    for way in ways(Precision::Int8) {
        let mut engine = engine_of(plan, weights, ranges, &way, 2);
        let seen = observed(&mut engine, pixels);
        for image in seen.chunks(count) {
            for index in 0..plan.layers.len() {
                let found = &image[index + 1];
                let what = format!("{way:?} layer {index} of {plan:?} with {ranges:?}");
                if is_real(plan, plan.layers[index].input) {
                    let wide = |value: &Vec<f32>| value.iter().map(|&n| n.into()).collect();
                    let values: Vec<Vec<f64>> = image.iter().map(wide).collect();
                    let expected = naive::layer(plan, &halved, index, &values);
                    close(found, &expected, 2e-5, &what);
                    continue;
                }
                let expected = layer(plan, weights, index, &meanings, image);
                let tolerance = match (&plan.layers[index].operation, &meanings[index + 1]) {
                    (Operation::Softmax, _) => 1e-6,
                    (operation, meaning) if is_silu(operation) => meaning.scale_or(1e-6),
                    _ => 0.0,
                };
                assert_eq!(found.len(), expected.len(), "{what}");
                for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    let near = (found - expected).abs() <= tolerance * 1.001;
                    assert!(near, "{what}: number {place} is {found}, not {expected}");
                }
            }
        }
        let exact: Vec<Vec<f32>> = seen
            .into_iter()
            .enumerate()
            .filter(|(value, _)| {
                let layer = (value % count).checked_sub(1);
                layer.is_none_or(|layer| !is_real(plan, plan.layers[layer].input))
            })
            .map(|(_, numbers)| numbers)
            .collect();
        let first = first.get_or_insert_with(|| exact.clone());
        assert!(
            *first == exact,
            "{way:?} differs from the first way: {plan:?}"
        );
    }
}

fn is_silu(operation: &Operation) -> bool {
    let activation = match operation {
        Operation::Convolution(convolution) => convolution.activation,
        Operation::Add { activation, .. } | Operation::Activate { activation } => *activation,
        _ => Activation::None,
    };
    activation == Activation::Silu
}

impl Meaning {
    /// One step of bytes, or `other` of floats.
    fn scale_or(&self, other: f32) -> f32 {
        self.bytes.map_or(other, |(scale, _)| scale)
    }
}

/// Checks `rounds` plans on random pixels, with ranges as measured and, every other time, too narrow.
fn check_all(seed: u64, rounds: usize, make: impl Fn(&mut fastrand::Rng, usize) -> (Plan, Named)) {
    let random = &mut fastrand::Rng::with_seed(seed);
    for round in 0..rounds {
        let (plan, weights) = make(random, round);
        let pixels: Vec<u8> = (0..plan.input.elements()).map(|_| random.u8(..)).collect();
        let mut ranges = ranges(&plan, &weights, &pixels);
        if round % 2 == 1 {
            for range in &mut ranges.values {
                range.low *= 0.7;
                range.high *= 0.8;
                range.high = range.high.max(range.low);
            }
        }
        check(&plan, &weights, &pixels, &ranges);
    }
}

#[test]
fn dense_convolutions() {
    check_all(40, 80, |random, round| plans::dense(random, round, 3));
    check_all(41, 40, |random, _| plans::pointwise(random, 3));
}

#[test]
fn grouped_and_depthwise_convolutions() {
    check_all(42, 80, |random, round| plans::grouped(random, round, 3));
}

#[test]
fn pooling_sums_activations_and_softmax() {
    check_all(43, 80, |random, _| plans::pooled(random, 3));
}

#[test]
fn a_network_is_close_to_f32() {
    let (plan, weights) = naive::network();
    let pixels = naive::pixels(3);
    let ranges = ranges(&plan, &weights, &pixels);
    let (mut expected, mut scores) = (Vec::new(), Vec::new());
    let mut engine = naive::engine(&plan, &weights, fused::Level::Portable, 1);
    engine.run_levels(&pixels, &mut expected).unwrap();
    let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
    for way in ways(Precision::Int8) {
        let mut engine = engine_of(&plan, &weights, &ranges, &way, 2);
        engine.run_levels(&pixels, &mut scores).unwrap();
        close(&scores, &expected, 0.03, &format!("{way:?}"));
    }
    check(&plan, &weights, &pixels, &ranges);
}

#[test]
fn wrong_ranges_are_named() {
    let (plan, weights) = naive::network();
    let options = Options::new(Precision::Int8, 1);
    let build = |ranges: Option<&Ranges>| {
        let engine = Engine::new(&plan, &weights, &naive::PLAIN, ranges, &options);
        engine.err().unwrap()
    };
    let precision = "int8";
    assert!(matches!(build(None), EngineError::Precision { precision: p, .. } if p == precision));
    let expected = plan.layers.len() + 1;
    let range = Range {
        low: -1.0,
        high: 1.0,
    };
    let mut ranges = Ranges {
        values: vec![range; 2],
        ..Ranges::default()
    };
    let count = EngineError::RangeCount { found: 2, expected };
    assert_eq!(build(Some(&ranges)), count);
    ranges.values.resize(expected, range);
    ranges.values[3].low = 2.0;
    assert!(matches!(
        build(Some(&ranges)),
        EngineError::Range { value: 3, .. }
    ));
    ranges.values[3].low = f32::NAN;
    assert!(matches!(
        build(Some(&ranges)),
        EngineError::Range { value: 3, .. }
    ));
}
