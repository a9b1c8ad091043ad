//! 3x3 convolutions of bytes with fewer multiplications.

use fused::calibrate::{PARTS, POINTS, at_points, transformable, zero_of};
use fused::{
    Activation, Engine, EngineError, Operation, Options, Plan, PointFactors, Precision, Range,
    Ranges, Shape, Winograd,
};

use crate::naive::{Named, PLAIN, convolution, engine_of, observed, push, ranges, ways};

/// A convolution that makes channels, one of 3x3 over them, and one that makes scores.
fn network(random: &mut fastrand::Rng, side: [usize; 2], channels: [usize; 2]) -> (Plan, Named) {
    let input = Shape {
        height: side[0],
        width: side[1],
        channels: 3,
    };
    let mut plan = Plan {
        input,
        layers: Vec::new(),
    };
    let mut weights = Named::new();
    let mut first = convolution(channels[0], [1, 1]);
    let mut second = convolution(channels[1], [3, 3]);
    second.padding = [1; 4];
    for layer in [&mut first, &mut second] {
        if random.bool() {
            layer.activation = Activation::Relu;
        }
    }
    let layers = [first, second, convolution(16, [1, 1])];
    for (input, layer) in layers.into_iter().enumerate() {
        push(
            &mut plan,
            &mut weights,
            random,
            input,
            Operation::Convolution(layer),
        );
    }
    (plan, weights)
}

/// Factors for layer 1.
fn factors(of_point: impl FnMut(usize) -> f32) -> Vec<PointFactors> {
    let factors = (0..POINTS).map(of_point).collect();
    vec![PointFactors { layer: 1, factors }]
}

/// Steps that hold whatever bytes add up to.
fn safe(point: usize) -> f32 {
    if zero_of(point) == 0 { 0.25 } else { 0.5 }
}

/// What the 3x3 convolution writes.
fn output(engine: &mut Engine, pixels: &[u8]) -> Vec<f32> {
    let values = observed(engine, pixels);
    values.into_iter().skip(2).step_by(4).flatten().collect()
}

#[test]
fn every_level_gives_the_same_bytes_near_those_of_the_direct_way() {
    let random = &mut fastrand::Rng::with_seed(33);
    let (mut apart, mut count) = (0.0_f32, 0.0);
    for round in 0..24 {
        let mut channels = || [16, 17, 32, 40, 48, 70][random.usize(..6)];
        let channels = [channels(), channels()];
        let side = [random.usize(1..20), random.usize(1..24)];
        let (plan, weights) = network(random, side, channels);
        let images = 1 + round % 3;
        let pixels: Vec<u8> = (0..plan.input.elements() * images)
            .map(|_| random.u8(..))
            .collect();
        let mut ranges = ranges(&plan, &weights, &pixels);
        let of = |ranges: &Ranges, options: &Options| {
            output(&mut engine_of(&plan, &weights, ranges, options, 2), &pixels)
        };
        let direct = of(&ranges, &ways(Precision::Int8)[0]);
        let mut points = factors(safe);
        if round % 2 == 1 {
            points = factors(|_| random.u16(100..=1024).into());
            points[0]
                .factors
                .iter_mut()
                .for_each(|factor| *factor /= PARTS);
        }
        ranges.points = points;
        let mut first: Option<Vec<f32>> = None;
        for way in ways(Precision::Int8) {
            let found = of(&ranges, &way);
            let first = first.get_or_insert_with(|| found.clone());
            assert!(
                *first == found,
                "{way:?}: other bytes, {side:?} {channels:?}"
            );
            let never = Options {
                winograd: Winograd::Never,
                ..way
            };
            assert!(
                of(&ranges, &never) == direct,
                "{way:?}: not the direct way's"
            );
        }
        if round % 2 == 0 {
            let Range { low, high } = ranges.values[2];
            let pairs = direct.iter().zip(first.iter().flatten());
            let wrong: f32 = pairs.map(|(a, b)| ((a - b) / (high - low)).abs()).sum();
            apart += wrong;
            count += direct.len() as f32;
        }
    }
    // Measured: 0.0026 of the range.
    let apart = apart / count;
    assert!(apart > 0.001, "{apart}: it was not transformed");
    assert!(apart < 0.004, "{apart}");
}

#[test]
fn numbers_at_points_are_sums_of_stored_ones() {
    let random = &mut fastrand::Rng::with_seed(34);
    let (height, width, channels) = (3, 5, 2);
    let shape = Shape {
        height,
        width,
        channels,
    };
    let range = Range {
        low: -55.0,
        high: 200.0,
    };
    let numbers: Vec<f32> = (0..shape.elements())
        .map(|_| f32::from(random.u8(..)) - 55.0)
        .collect();
    // A window of 4x4 stored numbers, each evaluated at the points by the definition: B' d B, see the
    // module of fused that makes the weights.
    const B: [[i16; 4]; 4] = [[-1, 0, 1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]];
    let stored = |y: isize, x: isize, channel: usize| {
        let inside = (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
        let place = (y * width as isize + x) * channels as isize + channel as isize;
        if inside {
            numbers[place as usize] as i16 + 55
        } else {
            55
        }
    };
    let mut expected = Vec::new();
    for (top, left) in [(-1, -1), (-1, 1), (-1, 3), (1, -1), (1, 1), (1, 3)] {
        for point in 0..POINTS {
            let number = |channel| -> i16 {
                let taps = (0..16).map(|tap| {
                    let (y, x) = (tap / 4, tap % 4);
                    let factor = B[point / 4][y] * B[point % 4][x];
                    factor * stored(top + y as isize, left + x as isize, channel)
                });
                taps.sum()
            };
            expected.push((point, vec![number(0), number(1)]));
        }
    }
    let mut found = Vec::new();
    at_points(shape, &numbers, range, &mut |point, numbers| {
        found.push((point, numbers.to_vec()));
    });
    assert_eq!(found, expected);
}

#[test]
fn what_pays_can_be_had_and_what_cannot_be_had_is_an_error() {
    let random = &mut fastrand::Rng::with_seed(35);
    let (plan, weights) = network(random, [14, 13], [16, 16]);
    let (small, _) = network(random, [12, 14], [16, 16]);
    assert_eq!(transformable(&plan).unwrap(), [1]);
    assert_eq!(transformable(&small).unwrap(), [0; 0]);
    let pixels = vec![7; plan.input.elements()];
    let ranges = ranges(&plan, &weights, &pixels);
    let options = ways(Precision::Int8)[0];
    let build = |plan: &Plan, points: Vec<PointFactors>| {
        let ranges = Ranges {
            points,
            ..ranges.clone()
        };
        Engine::new(plan, &weights, &PLAIN, Some(&ranges), &options).err()
    };
    assert_eq!(build(&plan, factors(safe)), None);
    let named = |layer, factors: &[f32]| {
        let factors = factors.to_vec();
        vec![PointFactors { layer, factors }]
    };
    let cases = [
        named(0, &[0.5; 16]),
        named(3, &[0.5; 16]),
        named(1, &[0.5; 15]),
        named(1, &[0.0; 16]),
        named(1, &[1.5; 16]),
        named(1, &[0.3; 16]),
        named(1, &[f32::NAN; 16]),
        [factors(safe), factors(safe)].concat(),
    ];
    for points in cases {
        let layer = points[0].layer;
        assert_eq!(build(&plan, points), Some(EngineError::Points(layer)));
    }
    let change = |change: fn(&mut fused::Convolution)| {
        let mut other = plan.clone();
        if let Operation::Convolution(convolution) = &mut other.layers[1].operation {
            change(convolution);
        }
        let error = build(&other, factors(safe));
        assert_eq!(error, Some(EngineError::Points(1)));
        assert_eq!(transformable(&other).unwrap(), [0; 0]);
    };
    change(|convolution| convolution.activation = Activation::Silu);
    change(|convolution| convolution.padding = [0; 4]);
    change(|convolution| convolution.dilation = [2, 2]);
    change(|convolution| convolution.stride = [2, 2]);
    change(|convolution| convolution.residual = Some(1));
}
