//! One suite over every backend of the build: each device answers as ONNX Runtime does on the
//! same weights, and as the processor does, alone and in company.
//!
//! `cargo xtask parity wgpu` builds more backends in and names those that must be found.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::num::NonZero;
use std::path::PathBuf;

use beagle::classify::top::top;
use beagle::decode::{self, Limits};
use model_import::classifier::{Classifier, Execution, Options};
use model_import::device::{self, Backend, Found};
use model_import::profile::{Filter, Profile};
use model_import::{fetch, provision, registry};

/// How far a probability may be from the reference.
const TOLERANCE: f32 = 1e-3;
/// The same where single pixels are taken: decoders of JPEG differ by a level or two.
const NEAREST_TOLERANCE: f32 = 2e-3;
/// How far a probability of the fused network may be from the generated one's: both compute in
/// float32 and sum in another order.
const FUSED_TOLERANCE: f32 = 1e-4;
/// Names of backends that must have a device, separated by commas.
const REQUIRED: &str = "BEAGLE_PARITY_BACKENDS";

type Expected = BTreeMap<String, BTreeMap<String, Vec<(String, f32)>>>;

struct Lab {
    expected: Expected,
    fetcher: fetch::Fetcher,
}

impl Lab {
    fn new() -> Self {
        let text = fs::read_to_string(root().join("tests/reference/expected.json"));
        let text = text.expect("the reference is committed");
        let home = fetch::home().expect("there is a home for the weights");
        Self {
            expected: serde_json::from_str(&text).expect("it is what the script writes"),
            fetcher: fetch::Fetcher::new(home),
        }
    }

    fn load(&self, profile: &Profile, found: &Found) -> Classifier {
        self.load_with(profile, found, &Options::default())
    }

    fn load_with(&self, profile: &Profile, found: &Found, options: &Options<'_>) -> Classifier {
        let model = registry::model(&profile.model).expect("the profile's model is registered");
        let record = provision::record(&model, &self.fetcher).expect("the weights can be had");
        let loaded = Classifier::load_with(&model, profile, &record, &found.device, options);
        loaded.expect("the weights fit")
    }

    /// The samples' pixels one after the other, and their names.
    fn photos(&self, profile: &Profile, most: usize) -> (Vec<u8>, Vec<&str>) {
        let names = self.expected[&profile.name].keys().take(most);
        let mut pixels = Vec::new();
        let mut taken = Vec::new();
        for name in names {
            let bytes = fs::read(root().join("assets/samples").join(name));
            let bytes = bytes.expect("the samples are committed");
            let decoded = decode::decode(&bytes, &Limits::default(), &profile.geometry);
            pixels.extend_from_slice(decoded.expect("the samples are photos").data());
            taken.push(name.as_str());
        }
        (pixels, taken)
    }

    /// Runs the first `most` samples in one batch; gives their rows of probabilities.
    fn check(&self, profile: &Profile, found: &Found, most: usize) -> Vec<f32> {
        let classifier = self.load(profile, found);
        let (pixels, names) = self.photos(profile, most);
        let rows = classifier
            .probabilities(pixels)
            .unwrap_or_else(|error| panic!("{found}: {error}"));
        for (row, name) in rows.chunks(classifier.labels().count()).zip(names) {
            let what = format!("{found}, {}, {name}", profile.name);
            let sum: f32 = row.iter().sum();
            assert!(
                (sum - 1.0).abs() < 1e-3,
                "{what}: probabilities sum to {sum}"
            );
            let wanted = &self.expected[&profile.name][name];
            let tolerance = match profile.geometry.filter {
                Filter::Nearest => NEAREST_TOLERANCE,
                Filter::Bilinear | Filter::Bicubic => TOLERANCE,
            };
            for (class, (label, probability)) in top(row, wanted.len()).into_iter().zip(wanted) {
                assert_eq!(
                    classifier.labels().get(class),
                    Some(label.as_str()),
                    "{what}"
                );
                let difference = (row[class] - probability).abs();
                assert!(
                    difference <= tolerance,
                    "{what}: {label} is off by {difference}"
                );
            }
        }
        rows
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Backends of the build that have no device here.
fn absent(found: &[Found]) -> Vec<Backend> {
    let compiled = Backend::ALL
        .into_iter()
        .filter(|backend| backend.is_compiled_in());
    compiled
        .filter(|backend| found.iter().all(|device| device.backend != *backend))
        .collect()
}

fn say(text: &str) {
    writeln!(io::stderr(), "{text}").expect("stderr can be written");
}

#[test]
fn every_device_answers_as_the_reference_does() {
    let found = device::all();
    for backend in absent(&found) {
        say(&format!(
            "SKIPPED: {backend} is compiled in but finds no device"
        ));
    }
    let lab = Lab::new();
    for device in &found {
        // A software renderer takes seconds a photo; it shows the code is right, not that it is fast.
        let most = if device.software { 1 } else { usize::MAX };
        for profile in registry::profiles().expect("the registry holds together") {
            if !lab.expected.contains_key(&profile.name)
                || (device.software && profile.name != "imagenet")
            {
                continue;
            }
            lab.check(&profile, device, most);
            say(&format!("{device}: {} is as the reference", profile.name));
        }
    }
}

#[test]
fn required_backends_have_a_device() {
    let found = device::all();
    let required = std::env::var(REQUIRED).unwrap_or_else(|_| "flex".to_owned());
    for name in required.split(',') {
        let here = found.iter().any(|device| device.backend.name() == name);
        assert!(here, "{name} was asked for and has no device: {found:?}");
    }
}

/// On one thread and on three, for every published network.
#[test]
fn the_fused_network_answers_as_the_generated_one() {
    let lab = Lab::new();
    let found = device::all();
    let Some(flex) = found.iter().find(|found| found.backend == Backend::Flex) else {
        say("SKIPPED: this build has no flex, and so nothing is fused");
        return;
    };
    let generated = Options {
        execution: Execution::Generated,
        ..Options::default()
    };
    for profile in registry::profiles().expect("the registry holds together") {
        if !lab.expected.contains_key(&profile.name) {
            continue;
        }
        let (pixels, _) = lab.photos(&profile, usize::MAX);
        let reference = lab.load_with(&profile, flex, &generated);
        assert_eq!(reference.execution(), Execution::Generated);
        let layers = reference
            .layers(&pixels, 1)
            .map_err(|error| error.to_string());
        assert!(layers.is_err_and(|error| error.contains("operator by operator")));
        let reference = reference
            .probabilities(pixels.clone())
            .expect("a batch runs");
        for threads in [1, 3] {
            let options = Options {
                threads: NonZero::new(threads),
                pin_threads: cfg!(target_os = "linux") && threads == 3,
                ..Options::default()
            };
            let fused = lab.load_with(&profile, flex, &options);
            assert_eq!(fused.execution(), Execution::Fused);
            assert!(fused.layers(&pixels[1..], 1).is_err(), "no whole photos");
            let rows = fused.probabilities(pixels.clone()).expect("a batch runs");
            assert_eq!(rows.len(), reference.len());
            let differences = rows.iter().zip(&reference).map(|(a, b)| (a - b).abs());
            let largest = differences.fold(0.0, f32::max);
            let name = &profile.name;
            assert!(
                largest <= FUSED_TOLERANCE,
                "{name}, {threads}: differs by {largest}"
            );
        }
    }
}

#[test]
fn company_changes_nothing() {
    let lab = Lab::new();
    let profile = registry::profile("imagenet").expect("it is built in");
    for device in device::all().iter().filter(|device| !device.software) {
        let classifier = lab.load(&profile, device);
        let (pixels, names) = lab.photos(&profile, usize::MAX);
        let together = classifier
            .probabilities(pixels.clone())
            .expect("a batch runs");
        let alone: Vec<f32> = pixels
            .chunks(classifier.image_bytes())
            .flat_map(|photo| {
                classifier
                    .probabilities(photo.to_vec())
                    .expect("a photo runs")
            })
            .collect();
        assert_eq!(together.len(), names.len() * classifier.labels().count());
        let difference = together.iter().zip(&alone).map(|(a, b)| (a - b).abs());
        let largest = difference.fold(0.0, f32::max);
        assert!(largest <= 1e-5, "{device}: differs by {largest}");
        assert!(
            classifier
                .probabilities(Vec::new())
                .expect("nothing is fine")
                .is_empty()
        );
        assert!(
            classifier.probabilities(vec![0; 5]).is_err(),
            "half a photo is no photo"
        );
    }
}
