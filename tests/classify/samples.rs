//! The sample photos against ONNX Runtime on the same weights; `tests/reference/resnet50.py`
//! wrote `expected.json` without a line of Beagle's.

use std::collections::BTreeMap;
use std::fs;

use crate::{answers, assert_close, root, sample};

type Expected = BTreeMap<String, BTreeMap<String, Vec<(String, f64)>>>;

#[track_caller]
fn check(profile: &str, tolerance: f64) {
    let text = fs::read_to_string(root().join("tests/reference/expected.json"));
    let expected: Expected = serde_json::from_str(&text.expect("it is committed"))
        .expect("it is what the script writes");
    let wanted = &expected[profile];
    let files: Vec<_> = wanted.keys().map(|name| sample(name)).collect();
    let found = answers(profile, &files);
    assert_eq!(found.len(), wanted.len());
    for (line, (name, wanted)) in found.iter().zip(wanted) {
        assert_eq!(line.file, sample(name).to_string_lossy());
        assert_close(&format!("{profile}, {name}"), line, wanted, tolerance);
    }
}

#[test]
fn imagenet_is_what_onnx_runtime_says() {
    check("imagenet", 1e-3);
}

#[test]
fn keras_is_what_onnx_runtime_says() {
    check("keras", 1e-3);
}

/// Nearest takes single pixels, where decoders of JPEG differ by a level or two and nothing evens
/// it out; the article's own photos are PNG and held to 1e-4.
#[test]
fn article_is_what_onnx_runtime_says() {
    check("article", 2e-3);
}

#[test]
fn every_sample_has_a_reference_and_a_credit() {
    let text = fs::read_to_string(root().join("tests/reference/expected.json"));
    let expected: Expected = serde_json::from_str(&text.expect("it is committed"))
        .expect("it is what the script writes");
    let credits = fs::read_to_string(root().join("assets/samples/CREDITS.md"));
    let credits = credits.expect("the credits are committed");
    let mut photos = 0;
    for entry in fs::read_dir(root().join("assets/samples")).expect("samples are committed") {
        let name = entry.expect("the folder can be read").file_name();
        let name = name.to_string_lossy().into_owned();
        if name == "CREDITS.md" {
            continue;
        }
        photos += 1;
        assert!(credits.contains(&format!("`{name}`")), "{name}: no credit");
        for (profile, wanted) in &expected {
            assert!(wanted.contains_key(&name), "{name}: not in {profile}");
        }
    }
    assert_eq!(photos, 4);
}
