//! Puts a model into a source tree: its Rust, its manifest, its plan if it has one, its labels and
//! the list of them all; its record goes into the cache. After the next build it is served under
//! its name.
//!
//! Must not know: where the ONNX file came from, the command line.

use std::fs;
use std::path::{Path, PathBuf};

use fused::Plan;
use onnx_ir::{GraphProto, ModelProto};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::generate::{self, GenerateError};
use crate::labels::{Labels, LabelsError};
use crate::onnx::{self, OnnxError};
use crate::optimize;
use crate::plan::{self, NoPlan};
use crate::profile::{Filter, Fit, Geometry, Normalisation, Output, Profile};
use crate::record::{self, RecordError, Tensors};
use crate::registry::{Layout, Manifest};

/// What the name of a plan's file adds to the model's.
const PLAN: &str = ".plan.toml";

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
    /// The model; BatchNorm is folded here.
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

/// Files of a source tree that this module writes.
struct Tree {
    generated: PathBuf,
    labels: PathBuf,
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
    optimize::fold_batch_norm(&mut model)?;

    let records = home.join("records");
    create_folder(&records)?;
    let scratch = tempfile::tempdir_in(&records).map_err(|error| io(&records, error))?;
    let code = generate::generate(&model, name, scratch.path())?;
    let made = scratch.path().join(format!("{name}.bpk"));
    let digest = record::digest(&made)?;
    let plan = plan::of(&model, &Tensors::read(&made)?);
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
    let imported = Imported { manifest, plan };
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

impl Tree {
    fn open(source: &Path) -> Result<Self, RegisterError> {
        let generated = source.join("model_import/src/generated");
        let labels = source.join("assets/labels");
        if generated.join("mod.rs").is_file() && labels.is_dir() {
            Ok(Self { generated, labels })
        } else {
            Err(RegisterError::NotACheckout(source.display().to_string()))
        }
    }

    fn label_text(&self, (name, text): (&str, Option<&str>)) -> Result<String, RegisterError> {
        let path = self.labels.join(format!("{name}.txt"));
        text.map_or_else(
            || fs::read_to_string(&path).map_err(|error| io(&path, error)),
            |text| Ok(text.to_owned()),
        )
    }

    fn write(&self, imported: &Imported, code: &str, labels: &str) -> Result<(), RegisterError> {
        let Imported { manifest, plan } = imported;
        let name = &manifest.name;
        let plan_path = self.generated.join(format!("{name}{PLAN}"));
        let toml = to_toml(&format!("{name}.toml"), manifest)?;
        let plan = match plan {
            Ok(plan) => Some(to_toml(&format!("{name}{PLAN}"), plan)?),
            Err(_) => None,
        };
        // The last thing that can fail but the writing itself.
        let mut manifests = self.others(name)?;
        manifests.push((manifest.clone(), plan.is_some()));
        manifests.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        put(
            &self.labels.join(format!("{}.txt", manifest.labels)),
            labels,
        )?;
        put(&self.generated.join(format!("{name}.rs")), code)?;
        put(&self.generated.join(format!("{name}.toml")), &toml)?;
        match plan {
            Some(plan) => put(&plan_path, &plan)?,
            None if plan_path.exists() => {
                fs::remove_file(&plan_path).map_err(|error| io(&plan_path, error))?;
            }
            None => {}
        }
        put(&self.generated.join("mod.rs"), &index(&manifests))
    }

    /// The manifest of every other model of the tree, and whether it has a plan.
    fn others(&self, added: &str) -> Result<Vec<(Manifest, bool)>, RegisterError> {
        let entries = fs::read_dir(&self.generated).map_err(|error| io(&self.generated, error))?;
        let mut manifests = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            if file.ends_with(".toml") && !file.ends_with(PLAN) {
                let text = fs::read_to_string(&path).map_err(|error| io(&path, error))?;
                let manifest: Manifest =
                    toml::from_str(&text).map_err(|error| RegisterError::Toml {
                        path: path.display().to_string(),
                        reason: error.to_string(),
                    })?;
                if manifest.name != added {
                    let plan = self.generated.join(format!("{}{PLAN}", manifest.name));
                    manifests.push((manifest, plan.is_file()));
                }
            }
        }
        Ok(manifests)
    }
}

fn to_toml(file: &str, content: &impl Serialize) -> Result<String, RegisterError> {
    toml::to_string(content).map_err(|error| RegisterError::Toml {
        path: file.to_owned(),
        reason: error.to_string(),
    })
}

/// The Rust source of `generated/mod.rs`: one module and one entry a model.
fn index(manifests: &[(Manifest, bool)]) -> String {
    let names: Vec<&str> = manifests
        .iter()
        .map(|(manifest, _)| manifest.name.as_str())
        .collect();
    let entries: String = manifests
        .iter()
        .map(|(Manifest { name, labels, .. }, has_plan)| {
            let plan = if *has_plan {
                format!("Some(include_str!(\"{name}{PLAN}\"))")
            } else {
                "None".to_owned()
            };
            format!(
                "    Registered {{\n        manifest: include_str!(\"{name}.toml\"),\n        \
                 plan: {plan},\n        \
                 labels: include_str!(\"../../../assets/labels/{labels}.txt\"),\n        \
                 load: load::<{name}::Model>,\n    }},\n"
            )
        })
        .collect();
    format!(
        "//! The models of this build. Written by `beagle model import`; do not edit.\n\n\
         #![allow(\n    missing_docs,\n    unreachable_pub,\n    clippy::all,\n    clippy::allow_attributes,\n    \
         reason = \"burn-onnx's code is as it is\"\n)]\n\n\
         use crate::network::{{generated, load}};\nuse crate::registry::Registered;\n\n\
         generated!({});\n\npub(crate) static MODELS: &[Registered] = &[\n{entries}];\n",
        names.join(" ")
    )
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

fn put(path: &Path, text: &str) -> Result<(), RegisterError> {
    fs::write(path, text).map_err(|error| io(path, error))
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
