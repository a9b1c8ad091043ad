//! The files of a source tree that a registered model has.
//!
//! Must not know: ONNX, records.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Imported, RegisterError, io};
use crate::registry::Manifest;

/// What the name of a plan's file adds to the model's.
const PLAN: &str = ".plan.toml";
/// The same of its ranges' file.
const RANGES: &str = ".ranges.toml";

/// A source tree's folders.
pub(super) struct Tree {
    generated: PathBuf,
    labels: PathBuf,
}

/// A model as `generated/mod.rs` lists it.
struct Listed {
    manifest: Manifest,
    has_plan: bool,
    has_ranges: bool,
}

impl Tree {
    pub(super) fn open(source: &Path) -> Result<Self, RegisterError> {
        let generated = source.join("model_import/src/generated");
        let labels = source.join("assets/labels");
        if generated.join("mod.rs").is_file() && labels.is_dir() {
            Ok(Self { generated, labels })
        } else {
            Err(RegisterError::NotACheckout(source.display().to_string()))
        }
    }

    pub(super) fn label_text(
        &self,
        (name, text): (&str, Option<&str>),
    ) -> Result<String, RegisterError> {
        let path = self.labels.join(format!("{name}.txt"));
        text.map_or_else(
            || fs::read_to_string(&path).map_err(|error| io(&path, error)),
            |text| Ok(text.to_owned()),
        )
    }

    pub(super) fn write(
        &self,
        imported: &Imported,
        code: &str,
        labels: &str,
    ) -> Result<(), RegisterError> {
        let manifest = &imported.manifest;
        let name = &manifest.name;
        let toml = to_toml(&format!("{name}.toml"), manifest)?;
        let plan = imported.plan.as_ref().ok();
        let plan = plan.map(|plan| to_toml(&format!("{name}{PLAN}"), plan));
        let ranges = imported.ranges.as_ref();
        let ranges = ranges.map(|ranges| to_toml(&format!("{name}{RANGES}"), ranges));
        let (plan, ranges) = (plan.transpose()?, ranges.transpose()?);
        // The last thing that can fail but the writing itself.
        let mut listed = self.others(name)?;
        listed.push(Listed {
            manifest: manifest.clone(),
            has_plan: plan.is_some(),
            has_ranges: ranges.is_some(),
        });
        listed.sort_by(|a, b| a.manifest.name.cmp(&b.manifest.name));
        put(
            &self.labels.join(format!("{}.txt", manifest.labels)),
            labels,
        )?;
        put(&self.generated.join(format!("{name}.rs")), code)?;
        put(&self.generated.join(format!("{name}.toml")), &toml)?;
        self.put_or_remove(&format!("{name}{PLAN}"), plan.as_deref())?;
        self.put_or_remove(&format!("{name}{RANGES}"), ranges.as_deref())?;
        put(&self.generated.join("mod.rs"), &index(&listed))
    }

    /// Writes a file that a model may have or not; an older one of its name goes.
    fn put_or_remove(&self, file: &str, text: Option<&str>) -> Result<(), RegisterError> {
        let path = self.generated.join(file);
        match text {
            Some(text) => put(&path, text),
            None if path.exists() => fs::remove_file(&path).map_err(|error| io(&path, error)),
            None => Ok(()),
        }
    }

    /// Every other model of the tree.
    fn others(&self, added: &str) -> Result<Vec<Listed>, RegisterError> {
        let entries = fs::read_dir(&self.generated).map_err(|error| io(&self.generated, error))?;
        let mut listed = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let is_other = file.ends_with(PLAN) || file.ends_with(RANGES);
            if file.ends_with(".toml") && !is_other {
                let text = fs::read_to_string(&path).map_err(|error| io(&path, error))?;
                let manifest: Manifest =
                    toml::from_str(&text).map_err(|error| RegisterError::Toml {
                        path: path.display().to_string(),
                        reason: error.to_string(),
                    })?;
                if manifest.name != added {
                    let has = |ending: &str| {
                        let file = format!("{}{ending}", manifest.name);
                        self.generated.join(file).is_file()
                    };
                    let (has_plan, has_ranges) = (has(PLAN), has(RANGES));
                    listed.push(Listed {
                        manifest,
                        has_plan,
                        has_ranges,
                    });
                }
            }
        }
        Ok(listed)
    }
}

fn to_toml(file: &str, content: &impl Serialize) -> Result<String, RegisterError> {
    toml::to_string(content).map_err(|error| RegisterError::Toml {
        path: file.to_owned(),
        reason: error.to_string(),
    })
}

/// The Rust source of `generated/mod.rs`: one module and one entry a model.
fn index(listed: &[Listed]) -> String {
    let names: Vec<&str> = listed
        .iter()
        .map(|model| model.manifest.name.as_str())
        .collect();
    let entries: String = listed
        .iter()
        .map(|model| {
            let Manifest { name, labels, .. } = &model.manifest;
            let optional = |has: bool, ending: &str| {
                if has {
                    format!("Some(include_str!(\"{name}{ending}\"))")
                } else {
                    "None".to_owned()
                }
            };
            let plan = optional(model.has_plan, PLAN);
            let ranges = optional(model.has_ranges, RANGES);
            format!(
                "    Registered {{\n        manifest: include_str!(\"{name}.toml\"),\n        \
                 plan: {plan},\n        ranges: {ranges},\n        \
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

fn put(path: &Path, text: &str) -> Result<(), RegisterError> {
    fs::write(path, text).map_err(|error| io(path, error))
}
