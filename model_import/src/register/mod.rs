//! Puts a model into a source tree: its Rust, its manifest, its plan and ranges if it has them, its
//! labels and the list of them all; its record goes into the cache. After the next build it is served
//! under its name.
//!
//! `tree` writes the files. Must not know: where the ONNX file came from, the command line.

mod tree;

use std::fs;
use std::path::Path;

use fused::{Plan, Ranges};
use onnx_ir::{GraphProto, ModelProto};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::dequantize::{DequantizeError, dequantize};
use crate::generate::{self, GenerateError};
use crate::labels::{Labels, LabelsError};
use crate::onnx::{self, OnnxError};
use crate::optimize;
use crate::plan::{self, NoPlan};
use crate::profile::{Filter, Fit, Geometry, Normalisation, Output, Profile};
use crate::record::{self, RecordError, Tensors};
use crate::registry::{Layout, Manifest};
use tree::Tree;

/// What a user says about an ONNX classifier that the file does not: the `--profile` file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileFile {
    /// How a photo is fitted to the input.
    pub fit: Fit,
    /// Interpolation of the resize.
    pub filter: Filter,
    /// Pixels to floats.
    pub normalisation: Normalisation,
    /// What the network gives.
    pub output: Output,
}

/// A model to register.
pub struct Registration<'a> {
    /// Its name, and its profile's: lower-case letters, digits and underscores.
    pub name: &'a str,
    /// The model; BatchNorm is folded here, and quantization taken out of it.
    pub model: ModelProto,
    /// File of `assets/labels` without its ending, and the text to write there if it is new.
    pub labels: (&'a str, Option<&'a str>),
    /// `None` for the models whose profiles are built in.
    pub profile: Option<ProfileFile>,
}

/// A model that was registered.
#[derive(Debug)]
pub struct Imported {
    /// What it needs and gives.
    pub manifest: Manifest,
    /// How the processor will run it fused, or why it will run it operator by operator.
    pub plan: Result<Plan, NoPlan>,
    /// The ranges with which it computes in bytes, where the ONNX file was quantized and had one for
    /// every value.
    pub ranges: Option<Ranges>,
    /// Whether the ONNX file was quantized.
    pub quantized: bool,
}

/// Why a model was not registered.
#[derive(Debug, Error)]
pub enum RegisterError {
    /// The name would not be a Rust module.
    #[error(
        "'{0}' cannot be a model's name: use lower-case letters, digits and underscores, a letter first"
    )]
    Name(String),
    /// The graph is not an image classifier.
    #[error("the model is not an image classifier that can be served: {0}")]
    NotAClassifier(String),
    /// The tree is not Beagle's source.
    #[error(
        "{0} is not a checkout of Beagle: run this where Beagle's Cargo.toml is, or name the folder with --source"
    )]
    NotACheckout(String),
    /// The ONNX model is damaged.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// It was quantized in a way that cannot be undone.
    #[error(transparent)]
    Dequantize(#[from] DequantizeError),
    /// It cannot be turned into Rust.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The labels do not fit.
    #[error(transparent)]
    Labels(#[from] LabelsError),
    /// The record cannot be read or written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The profile or a manifest cannot be read.
    #[error("{path}: {reason}")]
    Toml {
        /// The file.
        path: String,
        /// What the parser said.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Writes everything, and returns what was written.
///
/// # Errors
/// [`RegisterError`]; nothing of the source tree is changed before the model is known to be
/// servable.
pub fn register(
    source: &Path,
    home: &Path,
    registration: Registration,
) -> Result<Imported, RegisterError> {
    let tree = Tree::open(source)?;
    let Registration {
        name,
        mut model,
        labels,
        profile,
    } = registration;
    check_name(name)?;
    let shape = Shape::of(&model.graph)?;
    let text = tree.label_text(labels)?;
    let labels_read = Labels::parse(&text, shape.classes.unwrap_or_else(|| text.lines().count()))?;
    let quantized = dequantize(&mut model)?;
    optimize::fold_batch_norm(&mut model)?;

    let records = home.join("records");
    create_folder(&records)?;
    let scratch = tempfile::tempdir_in(&records).map_err(|error| io(&records, error))?;
    let code = generate::generate(&model, name, scratch.path())?;
    let made = scratch.path().join(format!("{name}.bpk"));
    let digest = record::digest(&made)?;
    let planned = plan::of(&model, &Tensors::read(&made)?, &quantized);
    let (plan, ranges) = match planned {
        Ok((plan, ranges)) => (Ok(plan), ranges),
        Err(reason) => (Err(reason), None),
    };
    let kept = records.join(format!("{digest}.bpk"));
    fs::rename(&made, &kept).map_err(|error| io(&kept, error))?;

    let manifest = Manifest {
        name: name.to_owned(),
        labels: labels.0.to_owned(),
        classes: labels_read.count(),
        width: shape.width,
        height: shape.height,
        layout: shape.layout,
        record_sha256: digest,
        profile: profile.map(|file| shape.profile(name, file)),
    };
    let imported = Imported {
        manifest,
        plan,
        ranges,
        quantized: !quantized.is_empty(),
    };
    tree.write(&imported, &code, &text)?;
    Ok(imported)
}

/// What the graph itself says of its input and output.
struct Shape {
    width: u32,
    height: u32,
    layout: Layout,
    classes: Option<usize>,
}

impl Shape {
    fn of(graph: &GraphProto) -> Result<Self, RegisterError> {
        let refuse = |reason: String| Err(RegisterError::NotAClassifier(reason));
        let inputs: Vec<_> = onnx::free_inputs(graph).collect();
        let ([input], [output]) = (inputs.as_slice(), graph.output.as_slice()) else {
            return refuse(format!(
                "it has {} inputs and {} outputs, not one of each",
                inputs.len(),
                graph.output.len()
            ));
        };
        if !onnx::is_float(input) || !onnx::is_float(output) {
            return refuse("its input and output are not both float32".to_owned());
        }
        let dims = onnx::value_dims(input);
        let (layout, height, width) = match dims.as_slice() {
            [_, Some(3), Some(height), Some(width)] => (Layout::Nchw, *height, *width),
            [_, Some(height), Some(width), Some(3)] => (Layout::Nhwc, *height, *width),
            _ => {
                return refuse(format!(
                    "input '{}' is {dims:?}, not N x 3 x height x width or N x height x width x 3 with a fixed size",
                    input.name
                ));
            }
        };
        let classes = match onnx::value_dims(output).as_slice() {
            [_, Some(classes)] => usize::try_from(*classes).ok(),
            [_, None] => None,
            dims => {
                return refuse(format!(
                    "output '{}' is {dims:?}, not N x classes",
                    output.name
                ));
            }
        };
        match (u32::try_from(width), u32::try_from(height)) {
            (Ok(width), Ok(height)) if width > 0 && height > 0 => Ok(Self {
                width,
                height,
                layout,
                classes,
            }),
            _ => refuse(format!("its input is {width} x {height} pixels")),
        }
    }

    fn profile(&self, name: &str, file: ProfileFile) -> Profile {
        Profile {
            name: name.to_owned(),
            model: name.to_owned(),
            geometry: Geometry {
                width: self.width,
                height: self.height,
                fit: file.fit,
                filter: file.filter,
            },
            normalisation: file.normalisation,
            output: file.output,
        }
    }
}

fn check_name(name: &str) -> Result<(), RegisterError> {
    let starts = name.starts_with(|first: char| first.is_ascii_lowercase());
    let plain =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let reserved = [
        "mod", "crate", "self", "super", "fn", "use", "type", "match", "move", "ref", "impl",
        "enum", "for", "loop", "while", "where", "struct", "trait", "static", "const", "async",
        "await", "dyn", "else", "extern", "false", "true", "if", "in", "let", "mut", "pub",
        "return", "unsafe", "as", "break", "continue", "gen",
    ];
    if starts && name.chars().all(plain) && !reserved.contains(&name) {
        Ok(())
    } else {
        Err(RegisterError::Name(name.to_owned()))
    }
}

fn create_folder(path: &Path) -> Result<(), RegisterError> {
    fs::create_dir_all(path).map_err(|error| io(path, error))
}

fn io(path: &Path, source: std::io::Error) -> RegisterError {
    RegisterError::Io {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_modules() {
        for good in ["mobile", "resnet50_v2"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "2net", "Mobile", "my-net", "../x", "mod", "_x"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_graph_that_is_no_classifier_is_refused_with_the_reason() {
        let mut graph = GraphProto::new();
        graph
            .input
            .push(onnx::value("x", &[None, Some(3), None, Some(8)]));
        graph.output.push(onnx::value("y", &[None, Some(2)]));
        let error = Shape::of(&graph).err().unwrap().to_string();
        assert!(
            error.contains("input 'x'") && error.contains("fixed size"),
            "{error}"
        );
    }
}
