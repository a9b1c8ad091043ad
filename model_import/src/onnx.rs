//! ONNX files: reading, writing, and the small vocabulary to build and inspect graphs.
//!
//! The protobuf types are onnx-ir's, so what is written here is what the code generator reads.
//! Must not know: Keras, burn, profiles, where a file came from.

use std::collections::HashMap;
use std::path::Path;

use onnx_ir::{AttributeProto, AttributeType, GraphProto, Message as _, ModelProto, NodeProto};
use onnx_ir::{TensorProto, ValueInfoProto};
use thiserror::Error;

use crate::envelope;

/// The operator set written by [`model`]: 17 is the lowest that every reader used here supports.
pub const OPSET: i64 = 17;
/// ONNX IR version that belongs to opset 17 (ONNX `VERSION_TABLE`, release 1.12).
const IR_VERSION: i64 = 8;
/// `TensorProto.DataType.FLOAT`.
const FLOAT: i32 = 1;
/// `TensorProto.DataType.INT64`.
const INT64: i32 = 7;
/// Element types that are half as wide: `TensorProto.DataType.FLOAT16` and `BFLOAT16`.
const HALVES: [(i32, &str); 2] = [(10, "float16"), (16, "bfloat16")];
/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

/// What can be wrong with an ONNX file before its operators are looked at.
#[derive(Debug, Error)]
pub enum OnnxError {
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are not an ONNX model.
    #[error(
        "{path} is not an ONNX model ({reason}): export it again, or check that the download is whole"
    )]
    NotOnnx {
        /// The file.
        path: String,
        /// What the parser said.
        reason: String,
    },
    /// Weights live in a second file.
    #[error(
        "{path}: tensor '{tensor}' keeps its data in another file: export the model again as a single .onnx file"
    )]
    ExternalData {
        /// The file.
        path: String,
        /// The tensor.
        tensor: String,
    },
    /// Weights of half the width.
    #[error("{path}: tensor '{tensor}' is {kind}: export the model again in float32")]
    Half {
        /// The file.
        path: String,
        /// The tensor.
        tensor: String,
        /// Its element type.
        kind: &'static str,
    },
    /// A tensor is not float32 where float32 is needed, or its size does not fit its shape.
    #[error(
        "tensor '{tensor}' is not a float32 tensor of {expected} elements: export the model in float32"
    )]
    NotFloat {
        /// The initializer.
        tensor: String,
        /// Elements its shape asks for.
        expected: usize,
    },
}

/// Reads an ONNX model whose weights are all in the file, and none of them in half precision.
///
/// # Errors
/// [`OnnxError`], naming the file and the tensor.
pub fn read(path: &Path) -> Result<ModelProto, OnnxError> {
    let bytes = std::fs::read(path).map_err(|source| io(path, source))?;
    let refuse = |reason: String| OnnxError::NotOnnx {
        path: path.display().to_string(),
        reason,
    };
    let model = ModelProto::parse_from_bytes(&bytes).map_err(|error| refuse(error.to_string()))?;
    if !envelope::is_whole(&bytes) {
        return Err(refuse("it ends in the middle".to_owned()));
    }
    if model.graph.node.is_empty() {
        return Err(refuse("it holds no operators".to_owned()));
    }
    if model.opset_import.is_empty() {
        return Err(refuse("it names no operator set".to_owned()));
    }
    for tensor in tensors(&model.graph) {
        check(tensor, path)?;
    }
    Ok(model)
}

/// The graph's initializers and its operators' constants.
fn tensors(graph: &GraphProto) -> impl Iterator<Item = &TensorProto> {
    let attributes = graph.node.iter().flat_map(|node| &node.attribute);
    let constants = attributes.filter_map(|attribute| attribute.t.as_ref());
    graph.initializer.iter().chain(constants)
}

fn check(tensor: &TensorProto, path: &Path) -> Result<(), OnnxError> {
    let (path, name) = (path.display().to_string(), tensor.name.clone());
    if tensor.data_location.value() == EXTERNAL {
        return Err(OnnxError::ExternalData { path, tensor: name });
    }
    match HALVES.iter().find(|(code, _)| *code == tensor.data_type) {
        Some(&(_, kind)) => Err(OnnxError::Half {
            path,
            tensor: name,
            kind,
        }),
        None => Ok(()),
    }
}

/// Writes an ONNX model.
///
/// # Errors
/// [`OnnxError::Io`] naming the file.
pub fn write(model: &ModelProto, path: &Path) -> Result<(), OnnxError> {
    let bytes = model.write_to_bytes().map_err(|error| OnnxError::NotOnnx {
        path: path.display().to_string(),
        reason: error.to_string(),
    })?;
    std::fs::write(path, bytes).map_err(|source| io(path, source))
}

fn io(path: &Path, source: std::io::Error) -> OnnxError {
    OnnxError::Io {
        path: path.display().to_string(),
        source,
    }
}

// === building ===

/// A model of one graph at opset [`OPSET`].
#[must_use]
pub fn model(graph: GraphProto) -> ModelProto {
    let mut model = ModelProto::new();
    model.ir_version = IR_VERSION;
    model.producer_name = "beagle".to_owned();
    model.opset_import.resize_with(1, Default::default);
    model.opset_import[0].version = OPSET;
    model.graph = Some(graph).into();
    model
}

/// A float32 graph input or output. `None` is a dynamic dimension, named `N`.
#[must_use]
pub fn value(name: &str, dims: &[Option<i64>]) -> ValueInfoProto {
    let mut info = ValueInfoProto::new();
    info.name = name.to_owned();
    let tensor = info.type_.mut_or_insert_default().mut_tensor_type();
    tensor.elem_type = FLOAT;
    let shape = tensor.shape.mut_or_insert_default();
    shape.dim.resize_with(dims.len(), Default::default);
    for (slot, dim) in shape.dim.iter_mut().zip(dims) {
        match dim {
            Some(size) => slot.set_dim_value(*size),
            None => slot.set_dim_param("N".to_owned()),
        }
    }
    info
}

/// A float32 initializer, row-major.
#[must_use]
pub fn tensor(name: &str, dims: &[usize], data: &[f32]) -> TensorProto {
    let mut tensor = TensorProto::new();
    tensor.name = name.to_owned();
    tensor.data_type = FLOAT;
    tensor.dims = dims.iter().map(|&dim| dim as i64).collect();
    set_floats(&mut tensor, data);
    tensor
}

/// Replaces a float32 tensor's elements; its shape stays.
pub fn set_floats(tensor: &mut TensorProto, data: &[f32]) {
    tensor.float_data.clear();
    let bytes: Vec<u8> = data.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor.raw_data = bytes.into();
}

/// An operator of the default domain.
#[must_use]
pub fn node(op: &str, name: &str, inputs: &[&str], output: &str) -> NodeProto {
    let mut node = NodeProto::new();
    node.op_type = op.to_owned();
    node.name = name.to_owned();
    node.input = inputs.iter().map(|&input| input.to_owned()).collect();
    node.output = vec![output.to_owned()];
    node
}

/// Gives `node` an attribute of integers.
#[must_use]
pub fn with_ints(mut node: NodeProto, name: &str, values: &[i64]) -> NodeProto {
    let mut attribute = attribute(name, AttributeType::INTS);
    attribute.ints = values.to_vec();
    node.attribute.push(attribute);
    node
}

/// Gives `node` an integer attribute.
#[must_use]
pub fn with_int(mut node: NodeProto, name: &str, value: i64) -> NodeProto {
    let mut attribute = attribute(name, AttributeType::INT);
    attribute.i = value;
    node.attribute.push(attribute);
    node
}

/// Gives `node` a float attribute.
#[must_use]
pub fn with_float(mut node: NodeProto, name: &str, value: f32) -> NodeProto {
    let mut attribute = attribute(name, AttributeType::FLOAT);
    attribute.f = value;
    node.attribute.push(attribute);
    node
}

/// Gives `node` an attribute of text.
#[must_use]
pub fn with_string(mut node: NodeProto, name: &str, value: &str) -> NodeProto {
    let mut attribute = attribute(name, AttributeType::STRING);
    attribute.s = value.as_bytes().to_vec().into();
    node.attribute.push(attribute);
    node
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    let mut attribute = AttributeProto::new();
    attribute.name = name.to_owned();
    attribute.type_ = kind.into();
    attribute
}

// === inspecting ===

/// The node's integer attribute, if it has one of that name.
#[must_use]
pub fn int(node: &NodeProto, name: &str) -> Option<i64> {
    find(node, name).map(|attribute| attribute.i)
}

/// The node's float attribute, if it has one of that name.
#[must_use]
pub fn float(node: &NodeProto, name: &str) -> Option<f32> {
    find(node, name).map(|attribute| attribute.f)
}

/// The node's list of integers, if it has one of that name.
#[must_use]
pub fn ints<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [i64]> {
    find(node, name).map(|attribute| attribute.ints.as_slice())
}

/// The node's text, if it has an attribute of that name.
#[must_use]
pub fn string(node: &NodeProto, name: &str) -> Option<String> {
    find(node, name).map(|attribute| String::from_utf8_lossy(&attribute.s).into_owned())
}

/// The node's tensor, if it has an attribute of that name.
#[must_use]
pub fn tensor_of<'a>(node: &'a NodeProto, name: &str) -> Option<&'a TensorProto> {
    find(node, name)?.t.as_ref()
}

/// The version of ONNX's own operator set that the model is written in.
#[must_use]
pub fn opset(model: &ModelProto) -> i64 {
    let mut sets = model.opset_import.iter();
    let own = sets.find(|set| matches!(set.domain.as_str(), "" | "ai.onnx"));
    own.map_or(OPSET, |set| set.version)
}

fn find<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute
        .iter()
        .find(|attribute| attribute.name == name)
}

/// How often each value of the graph is read, graph outputs included.
#[must_use]
pub fn uses(graph: &GraphProto) -> HashMap<String, usize> {
    let mut uses = HashMap::new();
    let read = graph.node.iter().flat_map(|node| &node.input);
    let given = graph.output.iter().map(|output| &output.name);
    for name in read.chain(given) {
        *uses.entry(name.clone()).or_insert(0) += 1;
    }
    uses
}

/// The shape of a tensor; a negative dimension counts as zero.
#[must_use]
pub fn dims(tensor: &TensorProto) -> Vec<usize> {
    tensor
        .dims
        .iter()
        .map(|&dim| usize::try_from(dim).unwrap_or(0))
        .collect()
}

/// The elements of a float32 tensor, row-major.
///
/// # Errors
/// [`OnnxError::NotFloat`], naming the tensor.
pub fn floats(tensor: &TensorProto) -> Result<Vec<f32>, OnnxError> {
    let expected = dims(tensor).iter().product();
    let data: Vec<f32> = if tensor.raw_data.is_empty() {
        tensor.float_data.clone()
    } else {
        let chunks = tensor.raw_data.chunks_exact(size_of::<f32>());
        chunks
            .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
            .collect()
    };
    if tensor.data_type != FLOAT || data.len() != expected {
        return Err(OnnxError::NotFloat {
            tensor: tensor.name.clone(),
            expected,
        });
    }
    Ok(data)
}

/// The elements of an int64 tensor, row-major.
#[must_use]
pub fn integers(tensor: &TensorProto) -> Option<Vec<i64>> {
    if tensor.data_type != INT64 {
        return None;
    }
    if tensor.raw_data.is_empty() {
        return Some(tensor.int64_data.clone());
    }
    let (chunks, rest) = tensor.raw_data.as_chunks::<8>();
    let values = chunks.iter().map(|bytes| i64::from_le_bytes(*bytes));
    rest.is_empty().then(|| values.collect())
}

/// The dimensions of a graph input or output; `None` where dynamic or unknown.
#[must_use]
pub fn value_dims(info: &ValueInfoProto) -> Vec<Option<i64>> {
    let shape = &info.type_.tensor_type().shape;
    shape
        .dim
        .iter()
        .map(|dim| dim.has_dim_value().then(|| dim.dim_value()))
        .collect()
}

/// Whether a graph input or output holds float32.
#[must_use]
pub fn is_float(info: &ValueInfoProto) -> bool {
    info.type_.tensor_type().elem_type == FLOAT
}

/// The graph's inputs that are not initializers: what a caller must supply.
pub fn free_inputs(graph: &GraphProto) -> impl Iterator<Item = &ValueInfoProto> {
    graph.input.iter().filter(|input| {
        graph
            .initializer
            .iter()
            .all(|weight| weight.name != input.name)
    })
}
