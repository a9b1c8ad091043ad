//! The engine as a whole: memory, batches, levels of pixels, errors.

use crate::naive::{
    self, Named, close, engine, engine_of, levels, network, numbers, pixels, ranges, ways,
};
use fused::{Engine, EngineError, InputError, Level, Options, Precision};

/// Pixels as the network wants them.
fn normalised(pixels: &[u8]) -> Vec<f32> {
    let pixels = pixels.as_chunks::<3>().0.iter();
    let normalise = naive::PLAIN;
    let channel = |pixel: &[u8; 3], channel: usize| {
        let level = f32::from(pixel[normalise.order[channel]]);
        level * normalise.factor[channel] - normalise.offset[channel]
    };
    pixels
        .flat_map(|p| [0, 1, 2].map(|c| channel(p, c)))
        .collect()
}

#[test]
fn a_batch_gives_what_single_images_give() {
    let (plan, weights) = network();
    let pixels = pixels(9);
    let ranges = ranges(&plan, &weights, &pixels);
    let precisions = [Precision::F32, Precision::Bf16, Precision::Int8];
    for way in precisions.into_iter().flat_map(ways) {
        // All layers take one image at a time, some do, none does.
        for (threads, large) in [(1, 40_000), (2, usize::MAX), (2, 40_000), (3, 0)] {
            let way = Options { large, ..way };
            let mut engine = engine_of(&plan, &weights, &ranges, &way, threads);
            let (mut all, mut one) = (Vec::new(), Vec::new());
            engine.run_levels(&pixels, &mut all).unwrap();
            for (image, scores) in pixels.chunks(33 * 29 * 3).zip(all.chunks(10)) {
                engine.run_levels(image, &mut one).unwrap();
                assert_eq!(one, scores, "{way:?} {threads} threads");
            }
            engine.run_floats(&normalised(&pixels), &mut one).unwrap();
            assert_eq!(one, all);
            engine.run_levels(&[], &mut one).unwrap();
            assert!(one.is_empty());
        }
    }
}

#[test]
fn every_value_can_be_seen() {
    let (plan, weights) = network();
    let pixels = pixels(2);
    let mut expected = Vec::new();
    for image in normalised(&pixels).chunks(33 * 29 * 3) {
        expected.extend(naive::run(&plan, &weights, image));
    }
    for level in levels() {
        let mut seen = 0;
        let mut engine = engine(&plan, &weights, level, 2);
        let see = &mut |value: usize, channels: usize, numbers: &[f32]| {
            assert_eq!(value, seen % (plan.layers.len() + 1));
            assert_eq!(channels, plan.shapes().unwrap()[value].channels);
            close(
                numbers,
                &expected[seen],
                1e-4,
                &format!("{level} value {value}"),
            );
            seen += 1;
        };
        engine.observe(&pixels, see).unwrap();
        assert_eq!(seen, expected.len());
    }
}

#[test]
fn numbers_that_are_not_numbers_do_not_stay() {
    let (plan, weights) = network();
    let mut random = fastrand::Rng::with_seed(22);
    let input = numbers(&mut random, 33 * 29 * 3);
    for level in levels() {
        let mut engine = engine(&plan, &weights, level, 2);
        let (mut before, mut after) = (Vec::new(), Vec::new());
        engine.run_floats(&input, &mut before).unwrap();
        engine
            .run_floats(&[f32::NAN; 33 * 29 * 3], &mut after)
            .unwrap();
        engine.run_floats(&input, &mut after).unwrap();
        assert_eq!(before, after, "{level}");
    }
}

#[test]
fn wrong_input_and_wrong_weights_are_named() {
    let (plan, mut weights) = network();
    let mut whole = engine(&plan, &weights, Level::Portable, 1);
    let size = InputError::Size {
        found: 7,
        image: 33 * 29 * 3,
    };
    assert_eq!(whole.run_levels(&[0; 7], &mut Vec::new()), Err(size));
    let build = |weights: &Named| {
        let options = Options::new(Precision::F32, 1);
        let engine = Engine::new(&plan, weights, &naive::PLAIN, None, &options);
        engine.err().unwrap()
    };
    weights.get_mut("3.weight").unwrap().0 = vec![1, 2];
    assert!(matches!(build(&weights), EngineError::WeightShape { name, .. } if name == "3.weight"));
    weights.remove("3.weight");
    assert_eq!(
        build(&weights),
        EngineError::MissingWeight("3.weight".to_owned())
    );
}
