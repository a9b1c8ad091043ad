//! Any classifier: a network unlike ResNet50 is imported, built in, and answers as ONNX Runtime.
//!
//! The reference, `tests/reference/mobile.py`, builds the same network by itself and runs it. Here
//! it is registered in a copy of the checkout, the copy is built, and the program that comes out
//! classifies the sample photos.

#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step should stop it on the spot"
)]

mod copy;
mod mobile;
mod picture;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fused::{Activation, Convolution, Operation, Plan};
use model_import::register::{Imported, ProfileFile, Registration, register};
use serde::Deserialize;

use crate::copy::{Copy, checkout};
use crate::mobile::{CLASSES, SIDE};

/// Photos are decoded and resized by other code than the reference's, a level apart at most.
const TOLERANCE: f64 = 1e-3;

const LABELS: &str = "zero\none\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\n";

/// As `beagle model import --help` shows it, with torchvision's numbers.
const PROFILE: &str = r#"
filter = "bilinear"
output = "logits"
fit = { kind = "centre-crop", short_side = 110 }
[normalisation]
channels = "rgb"
scale = 0.00392156862745098
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
"#;

/// What `mobile.py` wrote.
#[derive(Deserialize)]
struct Reference {
    weights_sha256: String,
    /// Of each photo, by class.
    probabilities: BTreeMap<String, Vec<f64>>,
}

/// A line of `beagle classify --json`.
#[derive(Debug, Deserialize)]
struct Line {
    file: PathBuf,
    predictions: Vec<Prediction>,
}

#[derive(Debug, Deserialize)]
struct Prediction {
    label: String,
    probability: f64,
}

fn reference() -> Reference {
    let path = checkout().join("tests/reference/mobile.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_weights_are_those_of_the_reference() {
    assert_eq!(mobile::build().digest, reference().weights_sha256);
}

#[test]
fn an_imported_network_answers_as_onnx_runtime_does() {
    let scratch = tempfile::tempdir().unwrap();
    let home = scratch.path().join("home");
    let copy = Copy::make();
    let given = Registration {
        name: "mobile",
        model: mobile::build().model,
        labels: ("mobile", Some(LABELS)),
        profile: Some(toml::from_str::<ProfileFile>(PROFILE).unwrap()),
    };
    let Imported { manifest, plan, .. } = register(copy.source(), &home, given).unwrap();
    assert_eq!((manifest.width, manifest.height), (SIDE, SIDE));
    assert_eq!(manifest.classes, CLASSES);
    assert_fused(&plan.unwrap());

    let noise = scratch.path().join("noise");
    fs::write(&noise, picture::noise()).unwrap();
    let mut photos = samples();
    photos.insert(1, noise);
    let program = copy.build();
    let lines = classify(&program, &home, &photos);

    let expected = reference().probabilities;
    assert_eq!(lines.len(), expected.len());
    for (photo, line) in photos.iter().zip(&lines) {
        assert_eq!(&line.file, photo);
        let name = photo.file_name().unwrap().to_string_lossy();
        assert_answer(&name, &line.predictions, &expected[name.as_ref()]);
    }
}

/// Every `Clip` and the sum are in the convolution before them; the last one is the linear layer.
#[track_caller]
fn assert_fused(plan: &Plan) {
    let convolutions = plan
        .layers
        .iter()
        .filter_map(|layer| match &layer.operation {
            Operation::Convolution(convolution) => Some(convolution),
            _ => None,
        });
    let convolutions: Vec<&Convolution> = convolutions.collect();
    let relu6 = Activation::Clip {
        low: 0.0,
        high: 6.0,
    };
    let count =
        |wanted: fn(&Convolution) -> bool| convolutions.iter().filter(|each| wanted(each)).count();
    assert_eq!(convolutions.len(), 11);
    assert_eq!(plan.layers.len(), convolutions.len() + 2, "and two pools");
    assert_eq!(count(|each| each.groups > 1), 3);
    assert_eq!(count(|each| each.residual.is_some()), 1);
    let bounded = convolutions.iter().filter(|each| each.activation == relu6);
    assert_eq!(bounded.count(), 7);
}

fn samples() -> Vec<PathBuf> {
    let entries = fs::read_dir(checkout().join("assets/samples")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_photo = |path: &PathBuf| path.extension().is_some_and(|ending| ending != "md");
    let mut photos: Vec<PathBuf> = paths.filter(is_photo).collect();
    photos.sort();
    photos
}

fn classify(program: &Path, home: &Path, photos: &[PathBuf]) -> Vec<Line> {
    let device = if cfg!(feature = "flex") {
        "flex"
    } else {
        "auto"
    };
    let output = Command::new(program)
        .args(["classify", "--json", "--top", "10", "--batch", "3"])
        .args(["--profile", "mobile", "--device", device])
        .args(photos)
        .env("BEAGLE_HOME", home)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Every class has the reference's probability, and they come in its order.
#[track_caller]
fn assert_answer(photo: &str, predictions: &[Prediction], expected: &[f64]) {
    assert_eq!(predictions.len(), CLASSES, "{photo}");
    let mut before = f64::INFINITY;
    for Prediction { label, probability } in predictions {
        let class = LABELS.lines().position(|known| known == label).unwrap();
        let reference = expected[class];
        assert!(
            (probability - reference).abs() < TOLERANCE,
            "{photo}, {label}: {probability}, but {reference} by ONNX Runtime"
        );
        assert!(
            reference < before + TOLERANCE,
            "{photo}, {label}: ONNX Runtime has it further up"
        );
        before = reference;
    }
}
