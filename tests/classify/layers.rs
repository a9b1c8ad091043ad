//! `beagle bench --layers` on the real weights.

use serde::Deserialize;

use crate::beagle;

#[derive(Debug, Deserialize)]
struct Told {
    model: String,
    precision: String,
    batch: usize,
    peak_gops: f64,
    images_per_second: f64,
    layers: Vec<Layer>,
}

#[derive(Debug, Deserialize)]
struct Layer {
    kind: String,
    ms: f64,
    gop: Option<f64>,
    share: Option<f64>,
}

fn bench(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = beagle();
    let output = command.arg("bench").args(arguments).output();
    let output = output.expect("the program starts");
    let [told, said] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), told, said)
}

#[test]
fn every_layer_of_the_network_has_its_time() {
    let quick = [
        "--layers",
        "--batch",
        "2",
        "--rounds",
        "1",
        "--precision",
        "bf16",
    ];
    let (code, told, said) = bench(&[&quick[..], &["--json"]].concat());
    assert_eq!(code, Some(0), "{said}");
    let told: Told = serde_json::from_str(&told).expect("it is JSON");
    assert_eq!(
        (told.model.as_str(), told.precision.as_str(), told.batch),
        ("resnet50", "bf16", 2)
    );
    assert_eq!(told.layers.len(), 57);
    assert!(told.layers.iter().all(|layer| layer.ms > 0.0), "{told:?}");
    let ms: f64 = told.layers.iter().map(|layer| layer.ms).sum();
    assert!((told.images_per_second * ms / 1000.0 - 1.0).abs() < 1e-6);
    assert!(told.peak_gops > 0.0);
    for layer in told.layers {
        let counted = layer.kind == "convolution";
        assert_eq!(
            counted,
            layer.gop.is_some() && layer.share.is_some(),
            "{layer:?}"
        );
    }

    let (code, told, said) = bench(&[&quick[..], &["--threads", "1", "--pin-threads"]].concat());
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("resnet50 bf16, batch 2: "), "{told}");
    assert_eq!(lines.len(), 57 + 3);
    assert!(!told.contains('█'), "a file has no bars");
}

#[test]
fn what_is_to_be_measured_must_be_said() {
    let (code, _, said) = bench(&[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--layers"), "{said}");
    let (code, _, said) = bench(&["--layers", "--profile", "vgg"]);
    assert_eq!(code, Some(70));
    assert!(said.contains("imagenet, keras, article"), "{said}");
}
