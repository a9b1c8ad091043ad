//! A file in QDQ form: registered with its ranges, it answers in bytes and in floats as ONNX Runtime
//! does when it runs the pairs one by one. (tract is no reference here: it is some steps off.)
//!
//! After a change of the network: `BEAGLE_QUANTIZED_FILES=FOLDER cargo nextest run --release
//! --workspace quantized` writes it for `python tests/reference/quantized.py FOLDER`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use fused::{
    Convolution, Engine, Normalise, Operation, Options, Plan, Precision, Ranges, WeightLayout,
    Weights,
};
use model_import::onnx::{self, node, tensor, with_int, with_ints};
use model_import::record::Tensors;
use model_import::register::{Imported, register};
use onnx_ir::{ModelProto, NodeProto, TensorProto};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::graphs::{CLASSES, LAST, PHOTO, classifier, graph};
use crate::registering::{LABELS, registration};
use crate::tree::{Tree, checkout};

const SIDE: usize = 8;
const IMAGES: usize = 20;
/// Element types, as ONNX numbers them.
const UINT8: i32 = 2;
const INT8: i32 = 3;
const INT32: i32 = 6;
/// The pixels as the network takes them: levels over 255.
const LEVEL: f32 = 1.0 / 255.0;

/// A record's tensors as a plan's weights.
struct Record<'a>(&'a Tensors, &'a Plan);

impl Weights for Record<'_> {
    fn get(&self, name: &str) -> Option<(Vec<usize>, Cow<'_, [f32]>)> {
        let mut tensors = self.0.iter();
        let (_, stored) = tensors.find(|(found, _)| *found == name)?;
        let kernel = |layer: &Convolution| {
            let [height, width] = layer.kernel;
            let inputs = stored.data.len() / (layer.outputs * height * width);
            vec![layer.outputs, inputs, height, width]
        };
        let layers = self.1.layers.iter();
        let mut shapes = layers.filter_map(|layer| match &layer.operation {
            Operation::Convolution(layer)
                if layer.weights == name && layer.weight_layout == WeightLayout::Oihw =>
            {
                Some(kernel(layer))
            }
            _ => None,
        });
        let shape = shapes.next().unwrap_or_else(|| stored.shape.clone());
        Some((shape, Cow::Borrowed(&stored.data)))
    }
}

fn integers(name: &str, dims: &[usize], kind: i32, values: &[i32]) -> TensorProto {
    let mut tensor = TensorProto::new();
    tensor.name = name.to_owned();
    tensor.data_type = kind;
    tensor.dims = dims.iter().map(|&dim| dim as i64).collect();
    tensor.int32_data = values.to_vec();
    tensor
}

/// A graph in which everything passes through bytes.
struct Quantized {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    drawn: u32,
}

/// Numbers without a pattern: an integer hash of their place, 0 to 255.
const fn scattered(place: u32) -> u8 {
    let mixed = (place ^ (place >> 7)).wrapping_mul(0x9E37_79B1);
    ((mixed ^ (mixed >> 15)).wrapping_mul(0x85EB_CA77) >> 24) as u8
}

impl Quantized {
    /// The next number, 0 to 255.
    const fn draw(&mut self) -> u8 {
        self.drawn += 1;
        scattered(self.drawn)
    }

    /// `from` in bytes of this type that reach from `low` to `high`, as `<from>.float`.
    fn pair(&mut self, from: &str, kind: i32, [low, high]: [f32; 2]) -> String {
        let scale = (high - low) / 255.0;
        let least = if kind == INT8 { -128 } else { 0 };
        let zero = least - (low / scale).round() as i32;
        let [scales, zeros] = ["scale", "zero"].map(|part| format!("{from}.{part}"));
        let (bytes, float) = (format!("{from}.bytes"), format!("{from}.float"));
        self.constants.push(tensor(&scales, &[], &[scale]));
        self.constants.push(integers(&zeros, &[], kind, &[zero]));
        let down = node("QuantizeLinear", &bytes, &[from, &scales, &zeros], &bytes);
        let up = node(
            "DequantizeLinear",
            &float,
            &[&bytes, &scales, &zeros],
            &float,
        );
        self.nodes.extend([down, up]);
        float
    }

    /// A constant of integers up to `most`, with a scale for each of the first axis' indices.
    fn constant(&mut self, name: &str, dims: &[usize], kind: i32, most: i32) -> String {
        let count = dims.iter().product();
        let values: Vec<i32> = (0..count)
            .map(|_| (i32::from(self.draw()) - 128) * most / 128)
            .collect();
        let scales: Vec<f32> = (0..dims[0])
            .map(|_| 0.001 + f32::from(self.draw()) / 128_000.0)
            .collect();
        let (bytes, scale) = (format!("{name}.bytes"), format!("{name}.scale"));
        self.constants.push(integers(&bytes, dims, kind, &values));
        self.constants.push(tensor(&scale, &[dims[0]], &scales));
        let zero = format!("{name}.zero");
        self.constants
            .push(integers(&zero, &[dims[0]], kind, &vec![0; dims[0]]));
        let up = node("DequantizeLinear", name, &[&bytes, &scale, &zero], name);
        self.nodes.push(with_int(up, "axis", 0));
        name.to_owned()
    }

    fn convolution(&mut self, from: &str, name: &str, [outputs, inputs]: [usize; 2]) -> String {
        let weight = self.constant(&format!("{name}.w"), &[outputs, inputs, 3, 3], INT8, 127);
        let bias = self.constant(&format!("{name}.b"), &[outputs], INT32, 500);
        let slide = node("Conv", name, &[from, &weight, &bias], name);
        self.nodes.push(with_ints(slide, "pads", &[1; 4]));
        name.to_owned()
    }
}

/// Two convolutions, the first with a ReLU of which only the bytes' range is left, a sum, a ReLU, a
/// mean and a linear layer.
fn quantized(kind: i32) -> ModelProto {
    let mut net = Quantized {
        nodes: Vec::new(),
        constants: Vec::new(),
        drawn: 0,
    };
    let photo = net.pair(PHOTO, kind, [0.0, 1.0]);
    let first = net.convolution(&photo, "first", [3, 3]);
    let first = net.pair(&first, kind, [0.0, 2.0]);
    let second = net.convolution(&first, "second", [3, 3]);
    let second = net.pair(&second, kind, [-3.0, 3.0]);
    net.nodes
        .push(node("Add", "sum", &[&second, &first], "sum"));
    net.nodes.push(node("Relu", "relu", &["sum"], "relu"));
    let last = net.pair("relu", kind, [0.0, 4.0]);
    let mut model = classifier(std::mem::take(&mut net.nodes));
    let graph = graph(&mut model);
    for node in &mut graph.node {
        for input in &mut node.input {
            if input == LAST {
                input.clone_from(&last);
            }
        }
    }
    let kernel: Vec<f32> = (0..CLASSES * 3)
        .map(|_| f32::from(net.draw()) / 256.0 - 0.5)
        .collect();
    onnx::set_floats(&mut graph.initializer[0], &kernel);
    graph.initializer.append(&mut net.constants);
    net.nodes = std::mem::take(&mut graph.node);
    let scores = net.pair("scores", kind, [-2.0, 2.0]);
    graph.node = net.nodes;
    graph.initializer.extend(net.constants);
    graph.output[0].name = scores;
    model
}

/// What ONNX Runtime answers: see `tests/reference/quantized.py`.
#[derive(Deserialize)]
struct Reference {
    /// SHA-256 of the model's file and of the input's.
    model: String,
    input: String,
    /// Row by row.
    scores: Vec<f32>,
}

/// The model and the input as files, for the reference to read.
fn write(folder: &Path, name: &str, model: &ModelProto, planes: &[f32]) -> [String; 2] {
    let [onnx, input] = ["onnx", "f32"].map(|ending| folder.join(format!("{name}.{ending}")));
    onnx::write(model, &onnx).unwrap();
    let bytes: Vec<u8> = planes
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    fs::write(&input, bytes).unwrap();
    [onnx, input].map(|path| {
        let digest = Sha256::digest(fs::read(path).unwrap());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    })
}

fn furthest(left: &[f32], right: &[f32]) -> f32 {
    assert_eq!(left.len(), right.len());
    let differences = left
        .iter()
        .zip(right)
        .map(|(left, right)| (left - right).abs());
    differences.fold(0.0, f32::max)
}

fn scores(
    (plan, ranges): (&Plan, &Ranges),
    record: &Tensors,
    precision: Precision,
    pixels: &[u8],
) -> Vec<f32> {
    let normalise = Normalise {
        order: [0, 1, 2],
        factor: [LEVEL; 3],
        offset: [0.0; 3],
    };
    let options = Options::new(precision, 2);
    let weights = Record(record, plan);
    let mut engine = Engine::new(plan, &weights, &normalise, Some(ranges), &options).unwrap();
    let mut scores = Vec::new();
    engine.run_levels(pixels, &mut scores).unwrap();
    scores
}

#[test]
fn a_quantized_model_answers_in_bytes_as_its_pairs_do() {
    let pixels: Vec<u8> = (0..(IMAGES * SIDE * SIDE * 3) as u32)
        .map(|place| scattered(place + 1_000_000))
        .collect();
    let plane = |image: &[u8], channel: usize| {
        let levels = image[channel..].iter().step_by(3);
        levels
            .map(|&level| f32::from(level) * LEVEL)
            .collect::<Vec<_>>()
    };
    let images = pixels.chunks(SIDE * SIDE * 3);
    let planes: Vec<f32> = images
        .flat_map(|image| (0..3).flat_map(move |channel| plane(image, channel)))
        .collect();
    let text = fs::read_to_string(checkout().join("tests/reference/quantized.json")).unwrap();
    let references: BTreeMap<String, Reference> = serde_json::from_str(&text).unwrap();
    let kinds = [("uint8", UINT8), ("int8", INT8)];
    if let Some(folder) = std::env::var_os("BEAGLE_QUANTIZED_FILES") {
        for (name, kind) in kinds {
            write(Path::new(&folder), name, &quantized(kind), &planes);
        }
        return;
    }
    for (name, kind) in kinds {
        let model = quantized(kind);
        let tree = Tree::copy();
        let digests = write(&tree.source(), name, &model, &planes);
        let Reference {
            model: of,
            input,
            scores: expected,
        } = &references[name];
        assert_eq!(
            digests,
            [of.clone(), input.clone()],
            "quantized.py must run again"
        );
        let given = registration("small", model, LABELS);
        let imported = register(&tree.source(), &tree.home(), given).unwrap();
        let Imported {
            manifest,
            plan,
            ranges,
            quantized,
        } = imported;
        assert!(quantized);
        let (plan, ranges) = (plan.unwrap(), ranges.unwrap());
        let layers: Vec<&str> = plan
            .layers
            .iter()
            .map(|layer| layer.operation.name())
            .collect();
        assert_eq!(
            layers,
            ["convolution", "convolution", "average-pool", "convolution"]
        );
        let text = fs::read_to_string(tree.generated("small.ranges.toml")).unwrap();
        assert_eq!(toml::from_str::<Ranges>(&text).unwrap(), ranges);
        let index = fs::read_to_string(tree.generated("mod.rs")).unwrap();
        assert!(index.contains("ranges: Some(include_str!(\"small.ranges.toml\"))"));
        let highs = ranges.values.iter().map(|range| range.high);
        let difference = furthest(&highs.take(3).collect::<Vec<_>>(), &[1.0, 2.0, 4.0]);
        assert!(difference < 0.01, "{ranges:?}");

        let record = tree
            .home()
            .join(format!("records/{}.bpk", manifest.record_sha256));
        let record = Tensors::read(&record).unwrap();
        let spread = expected.iter().copied().fold(f32::MIN, f32::max)
            - expected.iter().copied().fold(f32::MAX, f32::min);
        assert!(spread > 0.1, "the scores differ: {expected:?}");
        // The scores pass through bytes in ONNX Runtime alone: half a step of theirs, and a little.
        let step = 4.0 / 255.0;
        for (precision, most) in [(Precision::Int8, step), (Precision::F32, 1.5 * step)] {
            let found = scores((&plan, &ranges), &record, precision, &pixels);
            let difference = furthest(&found, expected);
            assert!(
                difference < most,
                "{name}, {precision:?}: {difference} of {spread}"
            );
        }
    }
}
