//! How long one photo takes from file to the network's input, on one thread.
//!
//! cargo bench --bench decode

use std::fs;
use std::path::Path;

use beagle::decode::{Limits, decode};
use divan::Bencher;
use divan::counter::BytesCount;
use model_import::registry;

const PHOTOS: [&str; 4] = ["cat.jpg", "coffee.jpg", "raccoon.webp", "rocket.png"];
const PROFILES: [&str; 3] = ["imagenet", "keras", "article"];

fn main() {
    divan::main();
}

#[divan::bench(args = PHOTOS, consts = [0, 1, 2])]
fn photo<const PROFILE: usize>(bencher: Bencher, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("assets/samples")
        .join(name);
    let bytes = fs::read(path).expect("the samples are committed");
    let profile = registry::profile(PROFILES[PROFILE]).expect("it is built in");
    let limits = Limits::default();
    bencher
        .counter(BytesCount::of_slice(&bytes))
        .bench(|| decode(divan::black_box(&bytes), &limits, &profile.geometry));
}
