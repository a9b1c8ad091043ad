//! How long a batch takes from pixels to probabilities, weights loaded, on the device named by
//! `BEAGLE_DEVICE` (flex by default), with all cores.
//!
//! cargo bench --bench forward
//! `benches/compare.py` prints it beside ONNX Runtime.

use std::sync::OnceLock;

use divan::Bencher;
use divan::counter::ItemsCount;
use model_import::classifier::Classifier;
use model_import::{device, fetch, provision, registry};

fn main() {
    divan::main();
}

/// The classifier of the default profile, and one sample's worth of pixels.
fn classifier() -> Classifier {
    let name = std::env::var("BEAGLE_DEVICE").unwrap_or_else(|_| "flex".to_owned());
    let found = device::find(name.parse().expect("a device's name")).expect("the device is there");
    let profile = registry::profile("imagenet").expect("it is built in");
    let model = registry::model(&profile.model).expect("it is built in");
    let fetcher = fetch::Fetcher::new(fetch::home().expect("there is a home for the weights"));
    let record = provision::record(&model, &fetcher).expect("the weights can be had");
    Classifier::load(&model, &profile, &record, &found.device).expect("the weights fit")
}

#[divan::bench(args = [1, 8, 32], sample_count = 10, sample_size = 1)]
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
