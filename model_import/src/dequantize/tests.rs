//! Small quantized graphs, and the float graphs that they become.

use super::*;
use crate::onnx::{node, tensor, value};

const INT8: i32 = 3;

fn integers(name: &str, dims: &[usize], kind: i32, values: &[i32]) -> TensorProto {
    let mut tensor = TensorProto::new();
    tensor.name = name.to_owned();
    tensor.data_type = kind;
    tensor.dims = dims.iter().map(|&dim| dim as i64).collect();
    tensor.int32_data = values.to_vec();
    tensor
}

/// A graph from `photo` to `scores` with these operators and, beside its own, the constants `scale`
/// (0.5), `other` (0.25), `zero` (byte 0) and `middle` (byte 100).
fn model(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> ModelProto {
    let mut graph = GraphProto::new();
    let side = Some(1);
    graph
        .input
        .push(value("photo", &[None, Some(1), side, side]));
    graph
        .output
        .push(value("scores", &[None, Some(2), side, side]));
    graph.node = nodes;
    graph.initializer = constants;
    graph.initializer.push(tensor("scale", &[], &[0.5]));
    graph.initializer.push(tensor("other", &[], &[0.25]));
    graph
        .initializer
        .push(integers("zero", &[], integers::UINT8, &[0]));
    graph
        .initializer
        .push(integers("middle", &[], integers::UINT8, &[100]));
    onnx::model(graph)
}

/// `from` through bytes to `to`.
fn pair(from: &str, to: &str, zero: &str) -> [NodeProto; 2] {
    let bytes = format!("{to}.bytes");
    [
        node(QUANTIZE, &bytes, &[from, "scale", zero], &bytes),
        node(DEQUANTIZE, to, &[&bytes, "scale", zero], to),
    ]
}

fn text(model: &ModelProto) -> Vec<String> {
    let line = |node: &NodeProto| {
        format!(
            "{} {} -> {}",
            node.op_type,
            node.input.join(" "),
            node.output.join(" ")
        )
    };
    model.graph.node.iter().map(line).collect()
}

const fn range(low: f32, high: f32) -> Range {
    Range { low, high }
}

#[test]
fn a_float_model_stays_as_it_is() {
    let mut model = model(vec![node("Relu", "r", &["photo"], "scores")], Vec::new());
    let before = model.clone();
    assert!(dequantize(&mut model).unwrap().is_empty());
    assert_eq!(model, before);
}

#[test]
fn weights_become_floats_by_channel_and_pairs_go() {
    let mut nodes = Vec::from(pair("photo", "p", "middle"));
    let weight = node(DEQUANTIZE, "w", &["w.bytes", "w.scale", "w.zero"], "w");
    nodes.push(onnx::with_int(weight, "axis", 0));
    nodes.push(node(DEQUANTIZE, "b", &["b.bytes", "w.scale"], "b"));
    nodes.push(node("Conv", "conv", &["p", "w", "b"], "c"));
    nodes.extend(pair("c", "scores", "middle"));
    let constants = vec![
        integers("w.bytes", &[2, 1, 1, 1], INT8, &[3, -4]),
        integers("w.zero", &[2], INT8, &[0, 1]),
        tensor("w.scale", &[2], &[2.0, 10.0]),
        integers("b.bytes", &[2], 6, &[1000, -1000]),
    ];
    let mut bad_axis = model(nodes.clone(), constants.clone());
    let mut model = model(nodes, constants);
    let error = dequantize(&mut bad_axis).unwrap_err();
    // Without an axis the bias' scales lie along axis 1, which it has not.
    assert_eq!(
        (error.operator.as_str(), error.node.as_str()),
        (DEQUANTIZE, "b")
    );
    let bias = &mut model.graph.mut_or_insert_default().node[3];
    *bias = onnx::with_int(bias.clone(), "axis", 0);
    let ranges = dequantize(&mut model).unwrap();
    assert_eq!(text(&model), ["Conv photo w b -> scores"]);
    let known = range(-50.0, 77.5);
    let expected = [("photo", known), ("scores", known)];
    assert_eq!(
        ranges,
        expected
            .map(|(name, range)| (name.to_owned(), range))
            .into()
    );
    let floats = |name: &str| {
        let mut constants = model.graph.initializer.iter();
        onnx::floats(constants.find(|tensor| tensor.name == name).unwrap()).unwrap()
    };
    assert_eq!(floats("w"), [6.0, -50.0]);
    assert_eq!(floats("b"), [2000.0, -10_000.0]);
}

#[test]
fn an_activation_that_bytes_alone_kept_comes_back() {
    let mut nodes = vec![node("Neg", "neg", &["photo"], "n")];
    nodes.extend(pair("n", "m", "zero"));
    nodes.push(node("MaxPool", "pool", &["m"], "k"));
    nodes.extend(pair("k", "scores", "zero"));
    let mut model = model(nodes, Vec::new());
    let ranges = dequantize(&mut model).unwrap();
    let expected = [
        "Neg photo -> n",
        "Clip n m.bytes/least m.bytes/most -> m.bytes",
        // What is pooled is not negative: nothing is added after it.
        "MaxPool m.bytes -> scores",
    ];
    assert_eq!(text(&model), expected);
    let known = range(0.0, 127.5);
    let names = ["m.bytes", "scores"];
    assert_eq!(ranges, names.map(|name| (name.to_owned(), known)).into());
    let most = model
        .graph
        .initializer
        .iter()
        .find(|tensor| tensor.name.ends_with("most"));
    assert_eq!(onnx::floats(most.unwrap()).unwrap(), [127.5]);
}

#[test]
fn what_is_used_in_another_way_is_named() {
    let mut reader = Vec::from(pair("photo", "p", "zero"));
    reader[1] = node("Relu", "relu", &["p.bytes"], "scores");
    let mut mismatch = Vec::from(pair("photo", "scores", "zero"));
    mismatch[1].input[1] = "other".to_owned();
    let mut dynamic = Vec::from(pair("photo", "scores", "zero"));
    dynamic[0].input[1] = "photo".to_owned();
    let mut channels = Vec::from(pair("photo", "scores", "zero"));
    channels[0].input[1..].clone_from_slice(&["scales".to_owned(), "zeros".to_owned()]);
    let alone = vec![node(DEQUANTIZE, "d", &["photo", "scale", "zero"], "scores")];
    let cases = [
        (reader, "Relu 'relu' reads 'p.bytes', which is in bytes"),
        (mismatch, "DequantizeLinear 'scores' has another scale"),
        (
            dynamic,
            "QuantizeLinear 'scores.bytes' has no constant float32 scale",
        ),
        (channels, "has a scale for each channel of a value"),
        (alone, "reads 'photo', which no QuantizeLinear gives"),
    ];
    for (nodes, reason) in cases {
        let constants = vec![
            tensor("scales", &[2], &[1.0, 2.0]),
            integers("zeros", &[2], integers::UINT8, &[0, 0]),
        ];
        let error = dequantize(&mut model(nodes, constants))
            .unwrap_err()
            .to_string();
        assert!(error.contains(reason), "{error}");
        assert!(error.contains("quantize_static"), "{error}");
    }
}
