//! A copy of the part of the checkout that a model is registered in.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

pub(crate) const GENERATED: &str = "model_import/src/generated";
const LABELS: &str = "assets/labels";

/// Beagle's own checkout.
pub(crate) fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The copy, and a home beside it for records.
pub(crate) struct Tree(TempDir);

impl Tree {
    pub(crate) fn copy() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (path, content) in files(checkout()) {
            let path = tree.source().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        tree
    }

    pub(crate) fn source(&self) -> PathBuf {
        self.0.path().join("source")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.0.path().join("home")
    }

    pub(crate) fn generated(&self, name: &str) -> PathBuf {
        self.source().join(GENERATED).join(name)
    }

    /// Every file with its content.
    pub(crate) fn files(&self) -> BTreeMap<String, String> {
        files(&self.source())
    }
}

/// The text of the part of a checkout, by path; both folders are flat.
pub(crate) fn files(root: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for folder in [GENERATED, LABELS] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            files.insert(format!("{folder}/{name}"), text);
        }
    }
    files
}
