//! A layers model of a few numbers, written as TensorFlow.js writes it, in two shards.

use std::fs;
use std::path::PathBuf;

use model_import::convert::{self, ConvertError, LayersModel, Topology};
use onnx_ir::ModelProto;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::runner::Runner;

/// A network in the making; it reads `photo`, of one height, width and number of channels.
pub(crate) struct Net {
    folder: TempDir,
    input: [usize; 3],
    layers: Vec<Value>,
    manifest: Vec<Value>,
    bytes: Vec<u8>,
}

impl Net {
    pub(crate) fn reads(input: [usize; 3]) -> Self {
        let [height, width, channels] = input;
        let config = json!({ "batch_input_shape": [null, height, width, channels] });
        let net = Self {
            folder: tempfile::tempdir().unwrap(),
            input,
            layers: Vec::new(),
            manifest: Vec::new(),
            bytes: Vec::new(),
        };
        net.layer("InputLayer", "photo", &[], config)
    }

    /// Adds a layer; the last one is the output.
    pub(crate) fn layer(mut self, class: &str, name: &str, inputs: &[&str], config: Value) -> Self {
        let reads: Vec<Value> = inputs
            .iter()
            .map(|input| json!([input, 0, 0, {}]))
            .collect();
        let calls = if reads.is_empty() {
            json!([])
        } else {
            json!([reads])
        };
        self.layers.push(json!({
            "name": name,
            "class_name": class,
            "config": config,
            "inbound_nodes": calls,
        }));
        self
    }

    /// Adds a weight of the layer and part that the name says.
    pub(crate) fn weight(mut self, name: &str, shape: &[usize], data: &[f32]) -> Self {
        let entry = json!({ "name": name, "shape": shape, "dtype": "float32" });
        self.manifest.push(entry);
        self.bytes
            .extend(data.iter().flat_map(|value| value.to_le_bytes()));
        self
    }

    /// Applies the last layer once more.
    pub(crate) fn again(mut self, input: &str) -> Self {
        let calls = self.layers.last_mut().unwrap()["inbound_nodes"].as_array_mut();
        calls.unwrap().push(json!([[input, 0, 0, {}]]));
        self
    }

    /// A convolution with a kernel of height x width x inputs x outputs and no bias.
    pub(crate) fn convolution(
        self,
        input: &str,
        shape: [usize; 4],
        kernel: &[f32],
        mut config: Value,
    ) -> Self {
        config["use_bias"] = json!(false);
        let net = self.layer("Conv2D", "conv", &[input], config);
        net.weight("conv/kernel", &shape, kernel)
    }

    /// A mean over height and width as the last layer: an output of one row of numbers.
    pub(crate) fn mean(self, input: &str) -> Self {
        self.layer("GlobalAveragePooling2D", "mean", &[input], json!({}))
    }

    /// Writes the files and says where `model.json` is; the folder goes with `self`.
    pub(crate) fn write(&self) -> PathBuf {
        let output = self.layers.last().unwrap()["name"].clone();
        let file = json!({
            "modelTopology": { "model_config": { "class_name": "Model", "config": {
                "layers": self.layers,
                "input_layers": [["photo", 0, 0]],
                "output_layers": [[output, 0, 0]],
            }}},
            "weightsManifest": [{ "paths": ["shard1", "shard2"], "weights": self.manifest }],
        });
        // Two shards that part in the middle of a number: they are one stream.
        let (first, second) = self
            .bytes
            .split_at(self.bytes.len() / 2 + self.bytes.len() / 4 % 2);
        fs::write(self.path("shard1"), first).unwrap();
        fs::write(self.path("shard2"), second).unwrap();
        let path = self.path("model.json");
        fs::write(&path, file.to_string()).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn onnx(&self) -> Result<ModelProto, ConvertError> {
        convert::to_onnx(&LayersModel::read(&self.write())?, Topology::Package)
    }

    /// The value of that name for one photo of height x width x channels; two-dimensional values
    /// and images of one channel come out in Keras' order, others channel by channel.
    pub(crate) fn run(&self, value: &str, photo: &[f32]) -> Vec<f32> {
        let [height, width, channels] = self.input;
        let planes = to_planes(photo, channels);
        let runner = Runner::until(&self.onnx().unwrap(), value);
        runner.run([1, channels, height, width], &planes)
    }
}

/// Pixels of several channels to one plane a channel.
pub(crate) fn to_planes(pixels: &[f32], channels: usize) -> Vec<f32> {
    let plane = |channel: usize| pixels.iter().skip(channel).step_by(channels);
    (0..channels).flat_map(plane).copied().collect()
}

/// The operators of a model, in order.
pub(crate) fn operators(model: &ModelProto) -> Vec<&str> {
    let nodes = model.graph.node.iter();
    nodes.map(|node| node.op_type.as_str()).collect()
}
