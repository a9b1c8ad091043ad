//! Layers models that are damaged, or ask for what has no translation: each error names the file,
//! the layer and what to do.

use std::fs;

use model_import::convert::LayersModel;
use serde_json::json;

use crate::net::Net;

fn head() -> Net {
    let net = Net::reads([1, 1, 2]).mean("photo");
    net.layer("Dense", "scores", &["mean"], json!({}))
}

fn whole() -> Net {
    head()
        .weight("scores/kernel", &[2, 3], &[0.0; 6])
        .weight("scores/bias", &[3], &[0.0; 3])
}

#[track_caller]
fn assert_says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "no `{part}` in: {error}");
    }
}

#[test]
fn layers_without_a_translation_are_listed_all_at_once() {
    let net = Net::reads([2, 2, 1]);
    let net = net.layer("Conv2DTranspose", "up", &["photo"], json!({}));
    let net = net.layer(
        "Activation",
        "swish1",
        &["up"],
        json!({ "activation": "swish" }),
    );
    let config = json!({ "activation": { "class_name": "LeakyReLU" } });
    let net = net.layer("Dense", "leaky", &["swish1"], config);
    let config = json!({ "data_format": "channels_first" });
    let net = net.layer("Conv2D", "planes", &["leaky"], config);
    let net = net.layer("Lambda", "mystery", &["planes"], json!({}));
    let net = net.layer(
        "Activation",
        "shared",
        &["photo"],
        json!({ "activation": "relu" }),
    );
    let net = net.again("mystery");
    let error = net.onnx().unwrap_err().to_string();
    assert_says(
        &error,
        &[
            "model.json has layers without an ONNX translation",
            "Conv2DTranspose 'up'",
            "Activation 'swish1' with activation \"swish\"",
            "Dense 'leaky' with activation {\"class_name\":\"LeakyReLU\"}",
            "Conv2D 'planes' with data_format \"channels_first\"",
            "Lambda 'mystery'",
            "Activation 'shared' applied 2 times",
            "import the ONNX file",
        ],
    );
    assert!(!error.contains("photo"), "{error}");
}

#[test]
fn a_shard_that_is_cut_short_or_too_long_is_refused_with_its_sizes() {
    let net = whole();
    net.onnx().unwrap();
    let shard = net.path("shard2");
    let good = fs::read(&shard).unwrap();
    let longer = [good.as_slice(), b"more"].concat();
    for (bytes, found) in [(&good[1..], 35), (&[], 36 - good.len()), (&longer, 40)] {
        fs::write(&shard, bytes).unwrap();
        let error = LayersModel::read(&net.path("model.json")).unwrap_err();
        let sizes = format!("hold {found} bytes where the manifest asks for 36");
        assert_says(
            &error.to_string(),
            &["model.json", &sizes, "fetch them again"],
        );
    }
}

#[test]
fn a_missing_shard_or_model_is_named() {
    let net = whole();
    net.write();
    fs::remove_file(net.path("shard2")).unwrap();
    let error = LayersModel::read(&net.path("model.json")).unwrap_err();
    assert_says(&error.to_string(), &["shard2", "fetch the weights again"]);
    fs::remove_file(net.path("model.json")).unwrap();
    let error = LayersModel::read(&net.path("model.json")).unwrap_err();
    assert_says(
        &error.to_string(),
        &["model.json", "fetch the weights again"],
    );
}

#[test]
fn a_missing_weight_is_named_with_file_and_layer() {
    let net = head().weight("scores/kernel", &[2, 3], &[0.0; 6]);
    let error = net.onnx().unwrap_err().to_string();
    let what = "layer 'scores' has no weight 'scores/bias' in the shards";
    assert_says(&error, &["model.json", what, "fetch the weights again"]);
}

#[test]
fn a_weight_of_the_wrong_shape_is_named_with_file_and_layer() {
    let kernels: [(&[usize], &str); 2] = [
        (&[3, 2], "layer 'scores' reads 2 features, its kernel 3"),
        (
            &[6],
            "layer 'scores' has a weight 'scores/kernel' of 1 dimensions, not 2",
        ),
    ];
    for (shape, what) in kernels {
        let net = head().weight("scores/kernel", shape, &[0.0; 6]);
        let net = net.weight("scores/bias", &[3], &[0.0; 3]);
        assert_says(&net.onnx().unwrap_err().to_string(), &["model.json", what]);
    }
    let net = head().weight("scores/kernel", &[2, 3], &[0.0; 6]);
    let net = net.weight("scores/bias", &[2], &[0.0; 2]);
    let what = "layer 'scores' has a weight 'scores/bias' of 2 elements, not 3";
    assert_says(&net.onnx().unwrap_err().to_string(), &["model.json", what]);

    let config = json!({ "padding": "valid", "strides": [1, 1] });
    let net = Net::reads([1, 1, 2]).convolution("photo", [1, 1, 3, 1], &[0.0; 3], config);
    let error = net.mean("conv").onnx().unwrap_err().to_string();
    assert_says(
        &error,
        &["model.json", "layer 'conv' reads 2 channels, its kernel 3"],
    );
}

#[test]
fn a_shape_beyond_all_memory_is_an_error_of_size() {
    let net = head().weight("scores/kernel", &[1 << 62, 1 << 62, 4], &[0.0; 6]);
    let error = net.onnx().unwrap_err().to_string();
    assert_says(&error, &["model.json", "hold 24 bytes"]);
}

#[test]
fn values_of_the_wrong_rank_are_named_with_their_reader() {
    let net = Net::reads([2, 2, 1]).layer("Dense", "scores", &["photo"], json!({}));
    let net = net.weight("scores/kernel", &[1, 3], &[0.0; 3]);
    let error = net
        .weight("scores/bias", &[3], &[0.0; 3])
        .onnx()
        .unwrap_err();
    assert_says(
        &error.to_string(),
        &["layer 'scores' reads a value that still has height"],
    );

    let net = Net::reads([2, 2, 1]).mean("photo");
    let net = net.layer("GlobalAveragePooling2D", "again", &["mean"], json!({}));
    let error = net.onnx().unwrap_err().to_string();
    assert_says(
        &error,
        &["layer 'again' reads a value without height and width"],
    );

    let net = Net::reads([2, 2, 1]);
    let net = net.layer(
        "Activation",
        "relu",
        &["photo"],
        json!({ "activation": "relu" }),
    );
    let error = net.onnx().unwrap_err().to_string();
    assert_says(
        &error,
        &["layer 'relu' is the output, but gives more than one row"],
    );
}

#[test]
fn a_sum_of_different_shapes_is_refused() {
    let config = json!({ "padding": "valid", "strides": [1, 1] });
    let net = Net::reads([2, 2, 1]).convolution("photo", [2, 1, 1, 1], &[0.0; 2], config);
    let net = net
        .layer("Add", "sum", &["photo", "conv"], json!({}))
        .mean("sum");
    let error = net.onnx().unwrap_err().to_string();
    assert_says(&error, &["layer 'sum' adds values of different shapes"]);
}

#[test]
fn a_layer_that_reads_what_comes_later_is_refused() {
    let net = Net::reads([2, 2, 1]).mean("nowhere");
    let error = net.onnx().unwrap_err().to_string();
    assert_says(
        &error,
        &["layer 'mean' reads 'nowhere', which does not come before it"],
    );
}

#[test]
fn what_is_not_a_layers_model_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.json");
    let topology = |outputs| {
        json!({
            "modelTopology": { "model_config": { "config": {
                "layers": [], "output_layers": outputs,
            }}},
            "weightsManifest": [],
        })
        .to_string()
    };
    let two = json!([["a", 0, 0], ["b", 0, 0]]);
    for (text, reason) in [
        ("<html>".to_owned(), "expected value at line 1"),
        (
            "{\"format\": \"graph-model\"}".to_owned(),
            "missing field `modelTopology`",
        ),
        (topology(json!([])), "it has 0 outputs, not one"),
        (topology(two), "it has 2 outputs, not one"),
    ] {
        fs::write(&path, text).unwrap();
        let error = LayersModel::read(&path).unwrap_err().to_string();
        let what = "model.json is not a TensorFlow.js layers model";
        assert_says(&error, &[what, reason]);
    }
}

#[test]
fn weights_that_are_not_plain_float32_are_refused() {
    let net = whole();
    let path = net.write();
    let text = fs::read_to_string(&path).unwrap();
    let quantized = text.replacen("\"float32\"", "\"float32\",\"quantization\":{}", 1);
    for other in [text.replacen("\"float32\"", "\"int32\"", 1), quantized] {
        fs::write(&path, other).unwrap();
        let error = LayersModel::read(&path).unwrap_err().to_string();
        assert_says(&error, &["weight 'scores/kernel' is not plain float32"]);
    }
}
