//! The network of `tests/reference/mobile.py`, built with the same steps from the same numbers.

use model_import::onnx::{self, node, tensor, value, with_float, with_int, with_ints};
use onnx_ir::{GraphProto, ModelProto, NodeProto};
use sha2::{Digest as _, Sha256};

/// Height and width of the input.
pub(crate) const SIDE: u32 = 96;
/// Outputs.
pub(crate) const CLASSES: usize = 10;

/// Takes off what every photo scores alike, so that each has a class of its own.
const SCORES_BIAS: [f32; CLASSES] = [0.0, 0.5, 2.0, 3.5, -1.5, -5.0, 1.0, 0.5, 7.0, 0.5];

/// The model, and the SHA-256 of its weights in the order they were made.
pub(crate) struct Mobile {
    pub(crate) model: ModelProto,
    pub(crate) digest: String,
}

/// Nodes and weights as they are added; a weight's seed is how many came before it.
struct Network {
    graph: GraphProto,
    value: String,
    digest: Sha256,
}

/// How a convolution slides.
#[derive(Clone, Copy)]
struct Slide {
    kernel: usize,
    stride: i64,
    group: usize,
}

const POINT: Slide = Slide {
    kernel: 1,
    stride: 1,
    group: 1,
};

const fn depthwise(channels: usize, stride: i64) -> Slide {
    Slide {
        kernel: 3,
        stride,
        group: channels,
    }
}

pub(crate) fn build() -> Mobile {
    let mut net = Network::new();
    let stem = Slide {
        kernel: 3,
        stride: 2,
        group: 1,
    };
    net.convolution("stem", [8, 3], stem, 1.0);
    net.norm("stem_norm", 8);
    net.relu6("stem_relu6");
    net.convolution("deep1", [8, 8], depthwise(8, 1), 1.5);
    net.relu6("deep1_relu6");
    net.convolution("flat1", [16, 8], POINT, 1.5);
    net.convolution("wide2", [32, 16], POINT, 1.25);
    net.relu6("wide2_relu6");
    net.convolution("deep2", [32, 32], depthwise(32, 2), 1.5);
    net.relu6("deep2_relu6");
    net.convolution("flat2", [24, 32], POINT, 0.75);
    let shortcut = net.value.clone();
    net.convolution("wide3", [48, 24], POINT, 1.0);
    net.norm("wide3_norm", 48);
    net.relu6("wide3_relu6");
    net.convolution("deep3", [48, 48], depthwise(48, 1), 1.5);
    net.relu6("deep3_relu6");
    net.convolution("flat3", [24, 48], POINT, 0.5);
    net.add("Add", "sum3", &[&shortcut], |node| node);
    net.add("AveragePool", "half", &[], |node| {
        with_ints(with_ints(node, "kernel_shape", &[2, 2]), "strides", &[2, 2])
    });
    net.convolution("head", [64, 24], POINT, 1.0);
    net.relu6("head_relu6");
    net.add("ReduceMean", "mean", &[], |node| {
        with_int(with_ints(node, "axes", &[2, 3]), "keepdims", 0)
    });
    net.weight("scores_kernel", &[CLASSES, 64], 0.0, 1.0);
    net.constant("scores_bias", &[CLASSES], &SCORES_BIAS);
    net.add(
        "Gemm",
        "scores",
        &["scores_kernel", "scores_bias"],
        |node| {
            with_int(
                with_float(with_float(node, "alpha", 1.0), "beta", 1.0),
                "transB",
                1,
            )
        },
    );
    net.finish()
}

impl Network {
    fn new() -> Self {
        let mut graph = GraphProto::new();
        graph.name = "mobile".to_owned();
        let side = Some(i64::from(SIDE));
        graph
            .input
            .push(value("photo", &[None, Some(3), side, side]));
        Self {
            graph,
            value: "photo".to_owned(),
            digest: Sha256::new(),
        }
    }

    fn finish(mut self) -> Mobile {
        let scores = value(&self.value, &[None, Some(CLASSES as i64)]);
        self.graph.output.push(scores);
        for (name, bound) in [("zero", 0.0), ("six", 6.0)] {
            self.graph.initializer.push(tensor(name, &[], &[bound]));
        }
        let digest = self.digest.finalize();
        Mobile {
            model: onnx::model(self.graph),
            digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// An operator that reads the last value and these others.
    fn add(
        &mut self,
        kind: &str,
        name: &str,
        others: &[&str],
        set: impl FnOnce(NodeProto) -> NodeProto,
    ) {
        let inputs = [&[self.value.as_str()], others].concat();
        self.graph.node.push(set(node(kind, name, &inputs, name)));
        name.clone_into(&mut self.value);
    }

    fn convolution(&mut self, name: &str, channels: [usize; 2], slide: Slide, spread: f32) {
        let [outputs, inputs] = channels;
        let Slide {
            kernel,
            stride,
            group,
        } = slide;
        let (weight, bias) = (format!("{name}_kernel"), format!("{name}_bias"));
        self.weight(
            &weight,
            &[outputs, inputs / group, kernel, kernel],
            0.0,
            spread,
        );
        self.weight(&bias, &[outputs], 0.0, 0.5);
        let (side, half) = (kernel as i64, kernel as i64 / 2);
        self.add("Conv", name, &[&weight, &bias], |node| {
            let node = with_ints(node, "kernel_shape", &[side; 2]);
            let node = with_ints(node, "strides", &[stride; 2]);
            let node = with_ints(node, "pads", &[half; 4]);
            with_int(node, "group", group as i64)
        });
    }

    fn norm(&mut self, name: &str, channels: usize) {
        let parts = [
            ("gamma", 1.0, 1.0),
            ("beta", 0.25, 0.5),
            ("mean", 0.0, 0.5),
            ("variance", 1.0, 1.0),
        ];
        let names = parts.map(|(part, centre, spread)| {
            let weight = format!("{name}_{part}");
            self.weight(&weight, &[channels], centre, spread);
            weight
        });
        let names = names.each_ref().map(String::as_str);
        self.add("BatchNormalization", name, &names, |node| {
            with_float(node, "epsilon", 0.001)
        });
    }

    fn relu6(&mut self, name: &str) {
        self.add("Clip", name, &["zero", "six"], |node| node);
    }

    /// Uniform in centre +- spread / 2; every step is exact or one rounding to float32.
    fn weight(&mut self, name: &str, shape: &[usize], centre: f32, spread: f32) {
        let seed = self.graph.initializer.len() as u32;
        let unit = |number: u32| (number >> 8) as f32 / 16_777_216.0 - 0.5;
        let data: Vec<f32> = noise(seed, shape.iter().product())
            .map(|number| centre + spread * unit(number))
            .collect();
        self.constant(name, shape, &data);
    }

    fn constant(&mut self, name: &str, shape: &[usize], data: &[f32]) {
        for value in data {
            self.digest.update(value.to_le_bytes());
        }
        self.graph.initializer.push(tensor(name, shape, data));
    }
}

/// An integer hash ("lowbias32") of place and seed.
pub(crate) fn noise(seed: u32, count: usize) -> impl Iterator<Item = u32> {
    (0..count as u32).map(move |place| {
        let start = place.wrapping_mul(0x9E37_79B9);
        let mut x = start.wrapping_add(seed.wrapping_mul(0x85EB_CA6B));
        x = (x ^ (x >> 16)).wrapping_mul(0x7FEB_352D);
        x = (x ^ (x >> 15)).wrapping_mul(0x846C_A68B);
        x ^ (x >> 16)
    })
}
