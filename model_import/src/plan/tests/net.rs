//! Small graphs, written down operator by operator.

use onnx_ir::{GraphProto, ModelProto, NodeProto, TensorProto};

use crate::onnx::{self, node, tensor, value, with_int, with_ints};

const SIDE: i64 = 8;

/// A graph from `photo`, N x 3 x 8 x 8, to `scores`; every weight is zero.
pub(super) struct Net(pub(super) GraphProto);

impl Net {
    pub(super) fn new() -> Self {
        let mut graph = GraphProto::new();
        let side = Some(SIDE);
        graph
            .input
            .push(value("photo", &[None, Some(3), side, side]));
        graph.output.push(value("scores", &[None, Some(5)]));
        graph.initializer.push(tensor("zero", &[], &[0.0]));
        graph.initializer.push(tensor("six", &[], &[6.0]));
        Self(graph)
    }

    pub(super) fn node(mut self, node: NodeProto) -> Self {
        self.0.node.push(node);
        self
    }

    /// An operator that is named after what it gives.
    pub(super) fn add(self, operator: &str, inputs: &[&str], output: &str) -> Self {
        self.node(node(operator, output, inputs, output))
    }

    pub(super) fn weight(mut self, name: &str, dims: &[usize]) -> Self {
        let zeros = vec![0.0; dims.iter().product()];
        self.0.initializer.push(tensor(name, dims, &zeros));
        self
    }

    pub(super) fn integers(mut self, name: &str, values: &[i64]) -> Self {
        let mut constant = TensorProto::new();
        constant.name = name.to_owned();
        constant.data_type = 7;
        constant.dims = vec![values.len() as i64];
        constant.int64_data = values.to_vec();
        self.0.initializer.push(constant);
        self
    }

    /// A convolution of 3x3, padded by one, with a bias.
    pub(super) fn conv(self, input: &str, output: &str, channels: [usize; 2]) -> Self {
        let (weight, bias) = (format!("{output}.w"), format!("{output}.b"));
        let [outputs, inputs] = channels;
        let slide = node("Conv", output, &[input, &weight, &bias], output);
        self.weight(&weight, &[outputs, inputs, 3, 3])
            .weight(&bias, &[outputs])
            .node(with_ints(slide, "pads", &[1; 4]))
    }

    /// The mean over height and width, and a linear layer from these channels to the scores.
    pub(super) fn head(self, input: &str, channels: usize) -> ModelProto {
        let linear = node(
            "Gemm",
            "linear",
            &["flat", "linear.w", "linear.b"],
            "scores",
        );
        self.add("GlobalAveragePool", &[input], "pooled")
            .add("Flatten", &["pooled"], "flat")
            .weight("linear.w", &[5, channels])
            .weight("linear.b", &[5])
            .node(with_int(linear, "transB", 1))
            .model()
    }

    pub(super) fn model(self) -> ModelProto {
        onnx::model(self.0)
    }
}
