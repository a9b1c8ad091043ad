//! Small graphs, and the layers that they become.

mod net;

use fused::{Activation, Convolution, Operation, Plan, Pool, WeightLayout};
use net::Net;
use onnx_ir::{ModelProto, NodeProto};

use super::constants::Constants;
use super::{NoPlan, layers};
use crate::onnx::{node, value, with_int, with_ints};

const RELU6: Activation = Activation::Clip {
    low: 0.0,
    high: 6.0,
};

fn planned(model: &ModelProto) -> Plan {
    read(model).unwrap()
}

fn read(model: &ModelProto) -> Result<Plan, NoPlan> {
    layers(model, &Constants::of(&model.graph)).map(|(plan, _)| plan)
}

#[track_caller]
fn assert_refused(model: &ModelProto, reason: &str) {
    assert_eq!(read(model).unwrap_err().to_string(), reason);
}

#[track_caller]
fn convolution(plan: &Plan, layer: usize) -> &Convolution {
    match &plan.layers[layer].operation {
        Operation::Convolution(convolution) => convolution,
        other => panic!("{other:?}"),
    }
}

fn operations(plan: &Plan) -> Vec<&'static str> {
    let layers = plan.layers.iter();
    layers.map(|layer| layer.operation.name()).collect()
}

#[test]
fn a_row_of_operators_becomes_a_row_of_layers() {
    let model = Net::new()
        .conv("photo", "c", [4, 3])
        .add("Relu", &["c"], "r")
        .add("Identity", &["r"], "i")
        .node(with_ints(
            with_ints(node("MaxPool", "p", &["i"], "p"), "kernel_shape", &[2, 2]),
            "strides",
            &[2, 2],
        ))
        .head("p", 4);
    let mut model = model;
    let graph = model.graph.mut_or_insert_default();
    graph.node.last_mut().unwrap().output[0] = "raw".to_owned();
    graph
        .node
        .push(node("Dropout", "drop", &["raw"], "dropped"));
    graph
        .node
        .push(node("Softmax", "soft", &["dropped"], "scores"));

    let plan = planned(&model);
    assert_eq!(
        operations(&plan),
        [
            "convolution",
            "max-pool",
            "average-pool",
            "convolution",
            "softmax"
        ]
    );
    let inputs: Vec<usize> = plan.layers.iter().map(|layer| layer.input).collect();
    assert_eq!(inputs, [0, 1, 2, 3, 4]);
    let first = convolution(&plan, 0);
    assert_eq!(
        (first.weights.as_str(), first.bias.as_deref()),
        ("c.w", Some("c.b"))
    );
    assert_eq!(
        (first.kernel, first.padding, first.groups),
        ([3, 3], [1; 4], 1)
    );
    assert_eq!(first.activation, Activation::Relu);
    let linear = convolution(&plan, 3);
    assert_eq!((linear.kernel, linear.outputs), ([1, 1], 5));
    assert_eq!(linear.weight_layout, WeightLayout::Oihw);
}

#[test]
fn a_sum_and_the_activation_after_it_join_the_later_convolution() {
    let model = Net::new()
        .conv("photo", "a", [4, 3])
        .add("Relu", &["a"], "ar")
        .conv("ar", "b", [4, 4])
        .add("Add", &["b", "ar"], "sum")
        .add("Relu", &["sum"], "sr")
        .head("sr", 4);
    let plan = planned(&model);
    assert_eq!(plan.layers.len(), 4);
    let second = convolution(&plan, 1);
    assert_eq!(
        (second.residual, second.activation),
        (Some(1), Activation::Relu)
    );
}

#[test]
fn a_sum_joins_an_earlier_convolution_when_the_later_value_is_none() {
    let model = Net::new()
        .conv("photo", "early", [4, 3])
        .conv("photo", "late", [4, 3])
        .add("Relu", &["late"], "lr")
        .add("Add", &["early", "lr"], "sum")
        .head("sum", 4);
    let plan = planned(&model);
    // The early one now runs last, so that what it adds is there.
    assert_eq!(plan.layers.len(), 4);
    assert_eq!(convolution(&plan, 0).weights, "late.w");
    let early = convolution(&plan, 1);
    assert_eq!(
        (early.weights.as_str(), early.residual),
        ("early.w", Some(1))
    );
    assert_eq!(early.activation, Activation::None);
    assert_eq!(plan.layers[1].input, 0);
}

#[test]
fn what_others_read_too_is_not_joined() {
    let model = Net::new()
        .conv("photo", "c", [4, 3])
        .add("Relu", &["c"], "r")
        .add("Add", &["c", "r"], "sum")
        .add("Relu", &["sum"], "sr")
        .add("Add", &["sr", "sr"], "twice")
        .head("twice", 4);
    let plan = planned(&model);
    assert_eq!(
        operations(&plan)[..4],
        ["convolution", "activate", "add", "add"]
    );
    let add = |other, activation| Operation::Add { other, activation };
    assert_eq!(plan.layers[2].operation, add(2, Activation::Relu));
    assert_eq!(plan.layers[3].operation, add(3, Activation::None));
}

#[test]
fn clips_and_sigmoid_products_are_activations() {
    let model = Net::new()
        .conv("photo", "a", [4, 3])
        .add("Clip", &["a", "zero", "six"], "ac")
        .conv("ac", "b", [4, 4])
        .add("Sigmoid", &["b"], "bs")
        .add("Mul", &["bs", "b"], "bm")
        .conv("bm", "c", [4, 4])
        .add("Clip", &["c", "zero"], "cc")
        .head("cc", 4);
    let plan = planned(&model);
    let activations: Vec<Activation> = (0..3).map(|at| convolution(&plan, at).activation).collect();
    assert_eq!(activations, [RELU6, Activation::Silu, Activation::Relu]);
    assert_eq!(plan.layers.len(), 5);
}

#[test]
fn a_flattened_image_is_read_by_a_kernel_of_its_size() {
    let linear = node("Gemm", "linear", &["flat", "w"], "scores");
    let net = Net::new().weight("w", &[192, 5]).node(linear);
    let flatten = |mut net: Net, flat: NodeProto| {
        net.0.node.insert(0, flat);
        net.model()
    };
    let plan = planned(&flatten(net, node("Flatten", "flat", &["photo"], "flat")));
    let linear = convolution(&plan, 0);
    assert_eq!(
        (linear.kernel, linear.weight_layout),
        ([8, 8], WeightLayout::Io)
    );

    for (shape, fits) in [([0, -1], true), ([-1, 192], true), ([1, -1], false)] {
        let linear = node("Gemm", "linear", &["flat", "w"], "scores");
        let net = Net::new().weight("w", &[192, 5]).integers("shape", &shape);
        let reshape = node("Reshape", "flat", &["photo", "shape"], "flat");
        let model = flatten(net.node(linear), reshape);
        assert_eq!(read(&model).is_ok(), fits, "{shape:?}");
    }
}

#[test]
fn images_whose_channels_come_last_and_products_with_a_bias() {
    let turn = node("Transpose", "turn", &["photo"], "turned");
    let mean = with_ints(node("ReduceMean", "mean", &["cr"], "mean"), "axes", &[2, 3]);
    let mut net = Net::new()
        .node(with_ints(turn, "perm", &[0, 3, 1, 2]))
        .weight("w", &[4, 3, 1, 1])
        .add("Conv", &["turned", "w"], "c")
        .weight("c.b", &[1, 4, 1, 1])
        .add("Add", &["c", "c.b"], "cb")
        .add("Relu", &["cb"], "cr")
        .node(with_int(mean, "keepdims", 0))
        .weight("m", &[4, 5])
        .add("MatMul", &["mean", "m"], "product")
        .weight("m.b", &[5])
        .add("Add", &["m.b", "product"], "scores");
    net.0.input[0] = value("photo", &[None, Some(6), Some(8), Some(3)]);
    let plan = planned(&net.model());
    assert_eq!((plan.input.height, plan.input.width), (6, 8));
    assert_eq!(
        operations(&plan),
        ["convolution", "average-pool", "convolution"]
    );
    let first = convolution(&plan, 0);
    assert_eq!(
        (first.bias.as_deref(), first.activation),
        (Some("c.b"), Activation::Relu)
    );
    let last = convolution(&plan, 2);
    assert_eq!(
        (last.bias.as_deref(), last.weight_layout),
        (Some("m.b"), WeightLayout::Io)
    );
}

/// What Keras' ResNet50 does: zeros around, then a convolution or a maximum without padding.
#[test]
fn padding_before_a_window_becomes_its_own() {
    let pool = |input: &str| {
        let pool = node("MaxPool", "pool", &[input], "pool");
        with_ints(pool, "kernel_shape", &[3, 3])
    };
    let padded = |activation: &str| {
        Net::new()
            .integers("pads", &[0, 0, 1, 0, 0, 0, 2, 2])
            .add("Pad", &["photo", "pads"], "wide")
            .weight("w", &[4, 3, 3, 3])
            .add("Conv", &["wide", "w"], "c")
            .add(activation, &["c"], "r")
            .add("Pad", &["r", "pads"], "rp")
            .node(pool("rp"))
            .head("pool", 4)
    };
    let plan = planned(&padded("Relu"));
    assert_eq!(convolution(&plan, 0).padding, [1, 0, 2, 2]);
    let Operation::MaxPool(Pool { padding, .. }) = plan.layers[1].operation else {
        panic!("{plan:?}");
    };
    assert_eq!(padding, [1, 0, 2, 2]);
    assert_refused(
        &padded("Identity"),
        "MaxPool 'pool' pools a value padded with zeros that may be negative",
    );
}

#[test]
fn a_mean_counts_the_padding_that_it_takes_over() {
    let pool = |counted: i64, pads: &[i64]| {
        let pool = node("AveragePool", "pool", &["wide"], "pool");
        let pool = with_ints(with_ints(pool, "kernel_shape", &[2, 2]), "pads", pads);
        let pool = with_int(pool, "count_include_pad", counted);
        Net::new()
            .integers("pads", &[0, 0, 0, 0, 0, 0, 1, 1])
            .add("Pad", &["photo", "pads"], "wide")
            .node(pool)
            .head("pool", 3)
    };
    for (counted, pads, padding) in [(0, [0; 4], [0, 0, 1, 1]), (1, [1, 0, 0, 0], [1, 0, 1, 1])] {
        let plan = planned(&pool(counted, &pads));
        let expected = Operation::AveragePool(Pool {
            kernel: [2, 2],
            stride: [1, 1],
            padding,
            count_padding: true,
        });
        assert_eq!(plan.layers[0].operation, expected);
    }
    assert_refused(
        &pool(0, &[1, 0, 0, 0]),
        "AveragePool 'pool' counts some of its padding and some not",
    );
}

#[test]
fn operators_without_a_layer_are_refused_by_name() {
    let with = |operator: &str, inputs: &[&str]| {
        Net::new()
            .conv("photo", "c", [3, 3])
            .weight("v", &[3])
            .add(operator, inputs, "odd")
            .head("odd", 3)
    };
    for (operator, inputs, reason) in [
        ("Concat", &["c", "photo"][..], "has no fused form"),
        ("Tanh", &["c"], "has no fused form"),
        (
            "BatchNormalization",
            &["photo", "v", "v", "v", "v"],
            "does not follow a convolution that it could be folded into",
        ),
        (
            "Mul",
            &["c", "photo"],
            "multiplies other than a value by its own sigmoid",
        ),
        (
            "Sigmoid",
            &["c"],
            "reads a sigmoid; only a product with the same value may",
        ),
        (
            "Add",
            &["photo", "v"],
            "adds 'v', which is not the bias of a convolution",
        ),
        (
            "Conv",
            &["c", "photo"],
            "reads 'photo', which is not a constant",
        ),
        ("Transpose", &["c"], "orders axes by []"),
    ] {
        let place = if operator == "Sigmoid" {
            "GlobalAveragePool 'pooled'".to_owned()
        } else {
            format!("{operator} 'odd'")
        };
        assert_refused(&with(operator, inputs), &format!("{place} {reason}"));
    }
}

#[test]
fn an_operator_that_nothing_needs_stands_in_no_way() {
    let model = Net::new()
        .conv("photo", "c", [3, 3])
        .add("Tanh", &["c"], "unread")
        .add("Relu", &["c"], "read")
        .head("read", 3);
    let plan = planned(&model);
    assert_eq!(convolution(&plan, 0).activation, Activation::Relu);
    assert_eq!(plan.layers.len(), 3);
}

#[test]
fn weights_that_do_not_fit_are_refused() {
    let groups = with_int(node("Conv", "c", &["photo", "w"], "c"), "group", 2);
    let model = Net::new()
        .weight("w", &[4, 3, 1, 1])
        .node(groups)
        .head("c", 4);
    assert_refused(
        &model,
        "Conv 'c' has weights [4, 3, 1, 1] in 2 groups for 3 channels",
    );
    let large = Net::new().weight("w", &[4, 3, 9, 9]);
    let model = large.add("Conv", &["photo", "w"], "c").head("c", 4);
    let reason = read(&model).unwrap_err().to_string();
    assert!(
        reason.starts_with("Conv 'c' cannot be a layer: "),
        "{reason}"
    );
    assert_refused(
        &Net::new().head("photo", 4),
        "Gemm 'linear' has weights [5, 4] for other than rows of 4",
    );
}
