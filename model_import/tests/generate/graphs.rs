//! Small ONNX classifiers: a few operators, then a mean and a linear layer.

use model_import::onnx::{self, node, tensor, value};
use onnx_ir::{GraphProto, ModelProto, NodeProto};

/// What each graph reads: N x 3 x 8 x 8.
pub(crate) const PHOTO: &str = "photo";
/// What [`classifier`] takes the mean of.
pub(crate) const LAST: &str = "last";
/// Outputs of each graph.
pub(crate) const CLASSES: usize = 4;

/// A classifier that runs these operators from [`PHOTO`] to [`LAST`], three channels, first.
pub(crate) fn classifier(operators: Vec<NodeProto>) -> ModelProto {
    let mut graph = GraphProto::new();
    graph.name = "small".to_owned();
    let (side, classes) = (Some(8), Some(CLASSES as i64));
    graph.input.push(value(PHOTO, &[None, Some(3), side, side]));
    graph.output.push(value("scores", &[None, classes]));
    graph.node = operators;
    graph
        .node
        .push(node("GlobalAveragePool", "mean", &[LAST], "mean"));
    let flat = node("Flatten", "flat", &["mean"], "flat");
    graph.node.push(onnx::with_int(flat, "axis", 1));
    let scores = node("Gemm", "scores", &["flat", "kernel", "bias"], "scores");
    let scores = onnx::with_float(onnx::with_float(scores, "alpha", 1.0), "beta", 1.0);
    graph.node.push(onnx::with_int(scores, "transB", 1));
    let kernel: Vec<f32> = (0..12_u8).map(f32::from).collect();
    graph
        .initializer
        .push(tensor("kernel", &[CLASSES, 3], &kernel));
    graph
        .initializer
        .push(tensor("bias", &[CLASSES], &[0.5; CLASSES]));
    onnx::model(graph)
}

/// A classifier that can be served.
pub(crate) fn good() -> ModelProto {
    classifier(vec![node("Relu", "relu", &[PHOTO], LAST)])
}

/// The graph of a model, to be spoilt.
pub(crate) fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.mut_or_insert_default()
}

#[track_caller]
pub(crate) fn assert_says(error: &impl ToString, parts: &[&str]) {
    let error = error.to_string();
    for part in parts {
        assert!(error.contains(part), "no `{part}` in: {error}");
    }
}
