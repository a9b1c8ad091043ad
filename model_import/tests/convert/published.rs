//! The published weights as ONNX, with and without BatchNorm folded, in both readings.

use model_import::convert::{self, LayersModel, Topology};
use model_import::onnx;
use model_import::optimize::fold_batch_norm;
use onnx_ir::ModelProto;

use crate::net::operators;
use crate::runner::{Runner, furthest};
use crate::weights;

const SIDE: usize = 224;
const CLASSES: usize = 1000;
/// Convolutions of ResNet50, each with a BatchNorm.
const NORMS: usize = 53;
/// The scores before the softmax.
const SCORES: &str = "fc1000/linear";

#[test]
fn folding_does_not_change_what_the_package_gives() {
    check(Topology::Package);
}

#[test]
fn folding_does_not_change_what_the_article_gives() {
    check(Topology::Article);
}

fn check(topology: Topology) {
    let Some(weights) = weights::published() else {
        return;
    };
    let layers = LayersModel::read(&weights.model_json()).unwrap();
    let plain = convert::to_onnx(&layers, topology).unwrap();
    let mut folded = plain.clone();
    assert_eq!(count(&plain, "BatchNormalization"), NORMS);
    assert_eq!(fold_batch_norm(&mut folded).unwrap(), NORMS);
    assert_standard(&folded);

    let photos = photos();
    let shape = [2, 3, SIDE, SIDE];
    let runner = Runner::new(&folded);
    let shares = runner.run(shape, &photos);
    assert!(furthest(&shares, &Runner::new(&plain).run(shape, &photos)) < 1e-4);
    for row in shares.chunks(CLASSES) {
        let sum: f32 = row.iter().sum();
        assert!((sum - 1.0).abs() < 1e-5, "the shares sum to {sum}");
    }

    // Small shares hide differences that scores show; theirs are of the order of 10.
    let scores = Runner::until(&folded, SCORES).run(shape, &photos);
    let largest = scores
        .iter()
        .fold(0.0, |most: f32, score| most.max(score.abs()));
    assert!(largest > 1.0, "{largest}");
    let furthest_score = furthest(&scores, &Runner::until(&plain, SCORES).run(shape, &photos));
    assert!(
        furthest_score < 1e-4 * largest,
        "{furthest_score} of {largest}"
    );

    // A batch of one gives what the same photo gives in company.
    let alone = runner.run([1, 3, SIDE, SIDE], &photos[..photos.len() / 2]);
    assert!(furthest(&alone, &shares[..CLASSES]) < 1e-5);
}

/// The two readings differ, so a comparison that finds no difference would be found out.
#[test]
fn the_two_readings_of_the_weights_give_different_answers() {
    let Some(weights) = weights::published() else {
        return;
    };
    let layers = LayersModel::read(&weights.model_json()).unwrap();
    let [package, article] = [Topology::Package, Topology::Article].map(|topology| {
        let model = convert::to_onnx(&layers, topology).unwrap();
        let photos = photos();
        Runner::until(&model, SCORES).run([1, 3, SIDE, SIDE], &photos[..photos.len() / 2])
    });
    assert!(furthest(&package, &article) > 0.01);
}

fn count(model: &ModelProto, operator: &str) -> usize {
    operators(model)
        .iter()
        .filter(|each| **each == operator)
        .count()
}

#[track_caller]
fn assert_standard(model: &ModelProto) {
    for gone in ["Pad", "BatchNormalization"] {
        assert_eq!(count(model, gone), 0, "{gone}");
    }
    let domains: Vec<&str> = model
        .opset_import
        .iter()
        .map(|set| set.domain.as_str())
        .collect();
    assert_eq!(domains, [""]);
    assert!(model.opset_import[0].version >= 16);
    let side = Some(SIDE as i64);
    let (input, output) = (&model.graph.input, &model.graph.output);
    assert_eq!((input.len(), output.len()), (1, 1));
    assert_eq!(onnx::value_dims(&input[0]), [None, Some(3), side, side]);
    assert_eq!(onnx::value_dims(&output[0]), [None, Some(CLASSES as i64)]);
}

/// Two photos of noise in the range of Caffe's normalisation: fine, and in blocks of 16 pixels.
fn photos() -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(20_181);
    let mut photos = Vec::new();
    for block in [1, 16] {
        let across = SIDE / block;
        for _channel in 0..3 {
            let levels: Vec<f32> = (0..across * across)
                .map(|_| random.f32() * 255.0 - 116.0)
                .collect();
            let pixels =
                (0..SIDE * SIDE).map(|at| levels[at / SIDE / block * across + at % SIDE / block]);
            photos.extend(pixels);
        }
    }
    photos
}
