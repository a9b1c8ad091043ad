//! Normalisation, sums, means and the layers that end a classifier, checked by hand.

use model_import::onnx;
use model_import::optimize::fold_batch_norm;
use serde_json::json;

use crate::net::{Net, operators};
use crate::runner::{Runner, furthest};

fn normed(config: serde_json::Value) -> Net {
    let net = Net::reads([1, 1, 2]);
    let net = net.layer("BatchNormalization", "norm", &["photo"], config);
    net.weight("norm/gamma", &[2], &[2.0, 3.0])
        .weight("norm/beta", &[2], &[1.0, 0.0])
        .weight("norm/moving_mean", &[2], &[3.0, -1.0])
        .weight("norm/moving_variance", &[2], &[3.0, 0.0])
        .mean("norm")
}

/// `gamma * (x - mean) / sqrt(variance + epsilon) + beta`.
#[test]
fn the_epsilon_of_a_norm_comes_from_its_configuration() {
    let net = normed(json!({ "epsilon": 1.0 }));
    // 2 * (5 - 3) / 2 + 1 and 3 * (5 + 1) / 1.
    assert_eq!(net.run("mean", &[5.0, 5.0]), [3.0, 18.0]);
}

#[test]
fn a_norm_that_names_no_epsilon_has_that_of_keras() {
    let given = normed(json!({})).run("mean", &[5.0, 5.0]);
    let second = 18.0 / 0.001_f32.sqrt();
    assert!((given[1] / second - 1.0).abs() < 1e-5, "{given:?}");
}

#[test]
fn a_folded_norm_has_the_epsilon_of_its_configuration_too() {
    let config = json!({ "padding": "valid", "strides": [1, 1] });
    let net = Net::reads([1, 1, 1]).convolution("photo", [1, 1, 1, 1], &[4.0], config);
    let net = net.layer(
        "BatchNormalization",
        "norm",
        &["conv"],
        json!({ "epsilon": 1.0 }),
    );
    let net = net
        .weight("norm/gamma", &[1], &[2.0])
        .weight("norm/beta", &[1], &[1.0])
        .weight("norm/moving_mean", &[1], &[3.0])
        .weight("norm/moving_variance", &[1], &[3.0])
        .mean("norm");
    let mut model = net.onnx().unwrap();
    assert_eq!(fold_batch_norm(&mut model).unwrap(), 1);
    assert_eq!(operators(&model), ["Conv", "GlobalAveragePool", "Flatten"]);
    // 2 * (4 * 5 - 3) / 2 + 1.
    assert_eq!(Runner::new(&model).run([1, 1, 1, 1], &[5.0]), [18.0]);
}

#[test]
fn two_values_are_added_and_rectified() {
    let net = Net::reads([1, 2, 1]);
    let config = json!({ "padding": "valid", "strides": [1, 1] });
    let net = net.convolution("photo", [1, 1, 1, 1], &[-2.0], config);
    let net = net.layer("Add", "sum", &["photo", "conv"], json!({}));
    let net = net.layer(
        "Activation",
        "relu",
        &["sum"],
        json!({ "activation": "relu" }),
    );
    let net = net.mean("relu");
    assert_eq!(net.run("sum", &[3.0, -5.0]), [-3.0, 5.0]);
    assert_eq!(net.run("mean", &[3.0, -5.0]), [2.5]);
}

fn head(config: serde_json::Value) -> Net {
    let net = Net::reads([1, 2, 2]).mean("photo");
    net.layer("Dense", "scores", &["mean"], config).weight(
        "scores/kernel",
        &[2, 3],
        &[1.0, 2.0, 0.0, 10.0, 20.0, 0.0],
    )
}

/// Means of the two channels: 2 and 3. The kernel is inputs x outputs.
#[test]
fn a_dense_layer_multiplies_by_its_kernel_and_adds_its_bias() {
    let photo = [1.0, 2.0, 3.0, 4.0];
    let net = head(json!({})).weight("scores/bias", &[3], &[0.5, 0.25, 7.0]);
    let model = net.onnx().unwrap();
    assert_eq!(
        Runner::new(&model).run([1, 2, 1, 2], &[1.0, 3.0, 2.0, 4.0]),
        [32.5, 64.25, 7.0]
    );
    let without = head(json!({ "use_bias": false }));
    assert_eq!(without.run("scores/linear", &photo), [32.0, 64.0, 0.0]);
}

#[test]
fn a_softmax_gives_shares_of_one_for_every_photo_of_a_batch() {
    let net = Net::reads([1, 1, 2]).mean("photo");
    let net = net.layer(
        "Dense",
        "shares",
        &["mean"],
        json!({ "activation": "softmax" }),
    );
    let net = net
        .weight("shares/kernel", &[2, 2], &[1.0, 0.0, 0.0, 1.0])
        .weight("shares/bias", &[2], &[0.0, 0.0]);
    let model = net.onnx().unwrap();
    let (three, nine) = (3.0_f32.ln(), 9.0_f32.ln());
    let given = Runner::new(&model).run([2, 2, 1, 1], &[0.0, three, nine, 0.0]);
    assert!(
        furthest(&given, &[0.25, 0.75, 0.9, 0.1]) < 1e-6,
        "{given:?}"
    );
}

#[test]
fn the_model_says_what_it_reads_and_gives() {
    let net = head(json!({})).weight("scores/bias", &[3], &[0.0; 3]);
    let model = net.onnx().unwrap();
    let (input, output) = (&model.graph.input[0], &model.graph.output[0]);
    assert_eq!(onnx::value_dims(input), [None, Some(2), Some(1), Some(2)]);
    assert_eq!(onnx::value_dims(output), [None, Some(3)]);
    assert!(onnx::is_float(input) && onnx::is_float(output));
    assert!(model.opset_import[0].version >= 16);
}
