//! Zero padding moves into the operator that reads it, where that is right, and is refused where
//! it is not.

use serde_json::{Value, json};

use crate::keras::{Image, Slide, noise};
use crate::net::{Net, operators, to_planes};
use crate::runner::furthest;

const THREE: Slide = Slide {
    kernel: [3, 3],
    strides: [2, 2],
    dilations: [1, 1],
    same: false,
};

fn window(padding: &str) -> Value {
    json!({ "padding": padding, "strides": [2, 2], "dilation_rate": [1, 1], "pool_size": [3, 3] })
}

fn padded(net: Net, name: &str, input: &str, sides: [[usize; 2]; 2]) -> Net {
    net.layer("ZeroPadding2D", name, &[input], json!({ "padding": sides }))
}

#[test]
fn a_convolution_takes_uneven_padding_over_and_no_pad_is_left() {
    let mut random = fastrand::Rng::with_seed(1);
    let photo = Image::noise([6, 5], 2, &mut random);
    let kernel = noise(3 * 3 * 2 * 2, &mut random);
    for same in [false, true] {
        let net = padded(Net::reads([6, 5, 2]), "pad", "photo", [[1, 2], [0, 3]]);
        let config = window(if same { "same" } else { "valid" });
        let net = net
            .convolution("pad", [3, 3, 2, 2], &kernel, config)
            .mean("conv");
        let expected = photo.zero_padded([[1, 2], [0, 3]]);
        let expected = expected.convolved(Slide { same, ..THREE }, &kernel, 2);
        let given = net.run("conv", &photo.pixels);
        assert!(furthest(&given, &to_planes(&expected.pixels, 2)) < 1e-5);
        let model = net.onnx().unwrap();
        assert_eq!(operators(&model), ["Conv", "GlobalAveragePool", "Flatten"]);
    }
}

#[test]
fn paddings_in_a_row_add_up() {
    let photo = Image {
        size: [1, 1],
        channels: 1,
        pixels: vec![1.0],
    };
    let net = padded(Net::reads([1, 1, 1]), "first", "photo", [[1, 0], [0, 1]]);
    let net = padded(net, "second", "first", [[0, 1], [2, 0]]);
    // The only one among zeros is in the second row and third column of 3 x 4.
    let kernel: Vec<f32> = (0..12_u8).map(f32::from).collect();
    let config = json!({ "padding": "valid", "strides": [1, 1] });
    let net = net
        .convolution("second", [3, 4, 1, 1], &kernel, config)
        .mean("conv");
    assert_eq!(net.run("conv", &photo.pixels), [6.0]);
}

#[test]
fn a_pool_takes_over_the_padding_of_a_value_that_is_not_negative() {
    let mut random = fastrand::Rng::with_seed(2);
    let photo = Image::noise([6, 5], 2, &mut random);
    let net = Net::reads([6, 5, 2]);
    let net = net.layer(
        "Activation",
        "relu",
        &["photo"],
        json!({ "activation": "relu" }),
    );
    let net = padded(net, "pad", "relu", [[1, 1], [2, 1]]);
    let net = net
        .layer("MaxPooling2D", "pool", &["pad"], window("valid"))
        .mean("pool");
    let expected = photo
        .clone()
        .relu()
        .zero_padded([[1, 1], [2, 1]])
        .max_pooled(THREE);
    assert_eq!(
        net.run("pool", &photo.pixels),
        to_planes(&expected.pixels, 2)
    );
    assert!(!operators(&net.onnx().unwrap()).contains(&"Pad"));
}

#[track_caller]
fn assert_refused(net: &Net, reason: &str) {
    let error = net.onnx().unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
    assert!(error.contains("model.json"), "{error}");
}

/// ONNX pads a maximum with minus infinity, so a zero of Keras' padding would be missed.
#[test]
fn a_padded_pool_of_a_value_that_may_be_negative_is_refused() {
    let net = padded(Net::reads([6, 5, 2]), "pad", "photo", [[1, 1], [1, 1]]);
    let net = net
        .layer("MaxPooling2D", "pool", &["pad"], window("valid"))
        .mean("pool");
    assert_refused(
        &net,
        "layer 'pool' pools a zero-padded value that may be negative",
    );
}

#[test]
fn a_pool_whose_window_may_see_nothing_but_padding_is_refused() {
    let net = Net::reads([6, 5, 2]);
    let net = net.layer(
        "Activation",
        "relu",
        &["photo"],
        json!({ "activation": "relu" }),
    );
    let net = padded(net, "pad", "relu", [[0, 0], [0, 3]]);
    let net = net
        .layer("MaxPooling2D", "pool", &["pad"], window("valid"))
        .mean("pool");
    assert_refused(&net, "layer 'pool' pools padding as wide as its window");
}

#[test]
fn whatever_else_reads_padding_is_refused() {
    let reason = "'reader' reads a zero-padded value; only convolutions and pools may";
    for class in ["BatchNormalization", "GlobalAveragePooling2D", "Activation"] {
        let net = padded(Net::reads([2, 2, 1]), "pad", "photo", [[1, 1], [1, 1]]);
        assert_refused(&net.layer(class, "reader", &["pad"], json!({})), reason);
    }
    // Both sides have the same size, but not their zeros in the same places.
    let net = padded(Net::reads([2, 2, 1]), "low", "photo", [[0, 1], [0, 0]]);
    let net = padded(net, "high", "photo", [[1, 0], [0, 0]]);
    let net = net
        .layer("Add", "reader", &["low", "high"], json!({}))
        .mean("reader");
    assert_refused(&net, reason);
}
