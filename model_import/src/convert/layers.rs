//! A TensorFlow.js layers model as its files have it: layers in order, weights by name.
//!
//! Format: `model.json` holds Keras' configuration and a manifest; the shards are one stream of
//! little-endian tensors in the manifest's order. Must not know: ONNX, which network it is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// Why a layers model could not be read or converted.
#[derive(Debug, Error)]
pub enum ConvertError {
    /// A file could not be read.
    #[error("{path}: {source}: fetch the weights again with `beagle model fetch`")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// `model.json` is not what a layers model looks like.
    #[error("{path} is not a TensorFlow.js layers model: {reason}")]
    NotLayersModel {
        /// The file.
        path: String,
        /// What is missing or malformed.
        reason: String,
    },
    /// The shards do not hold the bytes that the manifest promises.
    #[error(
        "the weight shards beside {path} hold {found} bytes where the manifest asks for {expected}: fetch them again"
    )]
    ShardSize {
        /// The manifest's file.
        path: String,
        /// Bytes the manifest asks for.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// Layers that have no translation, all of them.
    #[error(
        "{path} has layers without an ONNX translation here: {}; convert the model with its own exporter and import the ONNX file",
        .layers.join("; ")
    )]
    Unsupported {
        /// The model's file.
        path: String,
        /// Each layer: class, name and what it asks for.
        layers: Vec<String>,
    },
    /// A layer's settings or weights are missing or contradict each other.
    #[error(
        "{path}: layer '{layer}' {reason}: fetch the weights again, or convert the model with its own exporter and import the ONNX file"
    )]
    Layer {
        /// The model's file.
        path: String,
        /// The layer's name.
        layer: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// One tensor of the shards: float32, row-major.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Vec<f32>,
}

/// One Keras layer as configured.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Layer {
    pub(crate) name: String,
    pub(crate) class_name: String,
    pub(crate) config: Value,
    #[serde(default)]
    inbound_nodes: Vec<Vec<(String, usize, usize, Value)>>,
    /// The file it was read from, for errors.
    #[serde(skip)]
    path: String,
}

impl Layer {
    /// How often the layer is applied; each time has inputs of its own.
    pub(crate) fn calls(&self) -> usize {
        self.inbound_nodes.len()
    }

    /// Names of the layers this one reads.
    pub(crate) fn inputs(&self) -> Vec<String> {
        let first = self.inbound_nodes.first();
        first.map_or_else(Vec::new, |nodes| {
            nodes.iter().map(|node| node.0.clone()).collect()
        })
    }

    /// Makes this layer read `to` wherever it read `from`.
    pub(crate) fn rewire(&mut self, from: &str, to: &str) {
        for node in self.inbound_nodes.iter_mut().flatten() {
            if node.0 == from {
                to.clone_into(&mut node.0);
            }
        }
    }

    /// An error about this layer.
    pub(crate) fn error(&self, reason: impl Into<String>) -> ConvertError {
        layer_error(&self.path, &self.name, reason)
    }
}

/// A whole layers model in memory.
#[derive(Clone, Debug)]
pub struct LayersModel {
    /// The file it was read from, for errors.
    pub(crate) path: String,
    pub(crate) layers: Vec<Layer>,
    pub(crate) output: String,
    pub(crate) weights: HashMap<String, Weight>,
}

impl LayersModel {
    /// Reads `model.json` and the shards beside it.
    ///
    /// # Errors
    /// [`ConvertError::Io`], [`ConvertError::NotLayersModel`] or [`ConvertError::ShardSize`].
    pub fn read(model_json: &Path) -> Result<Self, ConvertError> {
        let text = read(model_json)?;
        let file: File = serde_json::from_slice(&text)
            .map_err(|error| not_layers_model(model_json, format!("{error}")))?;
        let mut config = file.model_topology.model_config.config;
        let [(output, ..)] = config.output_layers.as_slice() else {
            let reason = format!("it has {} outputs, not one", config.output_layers.len());
            return Err(not_layers_model(model_json, reason));
        };
        let path = model_json.display().to_string();
        for layer in &mut config.layers {
            layer.path.clone_from(&path);
        }
        let mut weights = HashMap::new();
        for group in &file.weights_manifest {
            weights.extend(group.read(model_json)?);
        }
        Ok(Self {
            path,
            output: output.clone(),
            layers: config.layers,
            weights,
        })
    }
}

/// An error about a layer of that file.
pub(crate) fn layer_error(path: &str, layer: &str, reason: impl Into<String>) -> ConvertError {
    ConvertError::Layer {
        path: path.to_owned(),
        layer: layer.to_owned(),
        reason: reason.into(),
    }
}

// === the file's own shape ===

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    model_topology: Topology,
    weights_manifest: Vec<Group>,
}

#[derive(Deserialize)]
struct Topology {
    model_config: Model,
}

#[derive(Deserialize)]
struct Model {
    config: Config,
}

#[derive(Deserialize)]
struct Config {
    layers: Vec<Layer>,
    output_layers: Vec<(String, usize, usize)>,
}

#[derive(Deserialize)]
struct Group {
    paths: Vec<PathBuf>,
    weights: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    quantization: Option<Value>,
}

impl Group {
    fn read(&self, model_json: &Path) -> Result<Vec<(String, Weight)>, ConvertError> {
        let folder = model_json.parent().unwrap_or(Path::new("."));
        let mut bytes = Vec::new();
        for path in &self.paths {
            bytes.extend(read(&folder.join(path))?);
        }
        let sizes = self.weights.iter().map(Entry::bytes);
        let expected = sizes.fold(0, usize::saturating_add);
        if bytes.len() != expected {
            return Err(ConvertError::ShardSize {
                path: model_json.display().to_string(),
                expected,
                found: bytes.len(),
            });
        }
        let mut rest = bytes.as_slice();
        let mut weights = Vec::with_capacity(self.weights.len());
        for entry in &self.weights {
            if entry.dtype != "float32" || entry.quantization.is_some() {
                let reason = format!("weight '{}' is not plain float32", entry.name);
                return Err(not_layers_model(model_json, reason));
            }
            let (own, others) = rest.split_at(entry.bytes());
            rest = others;
            weights.push((entry.name.clone(), entry.decode(own)));
        }
        Ok(weights)
    }
}

impl Entry {
    /// Bytes the tensor takes; of a shape beyond all memory, the most there can be.
    fn bytes(&self) -> usize {
        let dims = self.shape.iter().copied();
        dims.fold(size_of::<f32>(), usize::saturating_mul)
    }

    fn decode(&self, bytes: &[u8]) -> Weight {
        let words = bytes.chunks_exact(size_of::<f32>());
        Weight {
            shape: self.shape.clone(),
            data: words
                .map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]))
                .collect(),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ConvertError> {
    std::fs::read(path).map_err(|source| ConvertError::Io {
        path: path.display().to_string(),
        source,
    })
}

fn not_layers_model(path: &Path, reason: impl Into<String>) -> ConvertError {
    ConvertError::NotLayersModel {
        path: path.display().to_string(),
        reason: reason.into(),
    }
}
