//! How long a batch takes from pixels to probabilities, weights loaded, on the device named by
//! `BEAGLE_DEVICE` (flex by default), with all cores.
//!
//! On flex the network runs fused. `BEAGLE_EXECUTION=generated` measures the generated network,
//! operator by operator; `BEAGLE_PRECISION` (f32, bf16, int8), `BEAGLE_THREADS` and
//! `BEAGLE_PIN_THREADS` (true, false) are the fused network's. `BEAGLE_PROFILE` names another profile.
//!
//! cargo bench --bench forward
//! `benches/compare.py` prints it beside ONNX Runtime.

use std::sync::OnceLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use model_import::classifier::{Classifier, Execution, Options};
use model_import::quantize::decide;
use model_import::{device, fetch, provision, registry};

fn main() {
    divan::main();
}

/// What the environment says.
fn given(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The classifier of a profile, as the environment asks for it.
fn classifier() -> Classifier {
    let name = given("BEAGLE_DEVICE").unwrap_or_else(|| "flex".to_owned());
    let found = device::find(name.parse().expect("a device's name")).expect("the device is there");
    let profile = given("BEAGLE_PROFILE").unwrap_or_else(|| "imagenet".to_owned());
    let profile = registry::profile(&profile).expect("it is built in");
    let model = registry::model(&profile.model).expect("it is built in");
    let fetcher = fetch::Fetcher::new(fetch::home().expect("there is a home for the weights"));
    let record = provision::record(&model, &fetcher).expect("the weights can be had");
    let execution = match given("BEAGLE_EXECUTION").as_deref() {
        None | Some("fused") => Execution::Fused,
        Some("generated") => Execution::Generated,
        Some(other) => panic!("BEAGLE_EXECUTION is fused or generated, not {other}"),
    };
    let choice = given("BEAGLE_PRECISION").map(|name| name.parse().expect("a precision's name"));
    let choice = choice.unwrap_or_default();
    let decision = decide(choice, &model, &profile, &found.device, &fetcher.home)
        .expect("int8 has ranges once `beagle model quantize` has run");
    let options = Options {
        execution,
        precision: decision.precision,
        ranges: decision.ranges.as_ref(),
        threads: given("BEAGLE_THREADS").map(|count| count.parse().expect("a number of threads")),
        pin_threads: given("BEAGLE_PIN_THREADS").is_some_and(|said| said == "true"),
        ..Options::default()
    };
    Classifier::load_with(&model, &profile, &record, &found.device, &options)
        .expect("the weights fit")
}

#[divan::bench(args = [1, 8, 32], sample_count = 10, sample_size = 1, min_time = 1)]
fn batch(bencher: Bencher, images: usize) {
    // One classifier a thread that benches, and there is one.
    thread_local!(static CLASSIFIER: OnceLock<Classifier> = const { OnceLock::new() });
    CLASSIFIER.with(|cell| {
        let classifier = cell.get_or_init(classifier);
        let levels = (0..classifier.image_bytes() * images).map(|at| (at * 31 % 251) as u8);
        let pixels: Vec<u8> = levels.collect();
        bencher
            .counter(ItemsCount::new(images))
            .with_inputs(|| pixels.clone())
            .bench_local_values(|pixels| classifier.probabilities(pixels).expect("the batch runs"));
    });
}
