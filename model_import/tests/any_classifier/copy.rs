//! A copy of the checkout that is built by itself, out of what the tests' own build left.
//!
//! The copy's program is an example under another name, so the build folder's own program stays
//! as it is. An example has the development dependencies' features, and so, like the tests, finds
//! burn and everything else from the registry built when all of the workspace is tested. The copy
//! always lies in the same place: a second run builds what has changed and leaves nothing more
//! behind. Must not know: which model is registered.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The program's name in the copy.
const PROGRAM: &str = "beagle_imported";
/// Build output and version control: no part of the sources.
const LEFT_OUT: [&str; 2] = ["target", ".git"];
/// What cargo tells a test about its own crate. Build scripts (ring's, for one) run again when these
/// change, so the copy's build must not see them.
const ABOUT_THE_TEST: [&str; 4] = [
    "CARGO_PKG_",
    "CARGO_MANIFEST_",
    "CARGO_CRATE_",
    "CARGO_BIN_",
];
/// Backends, as `model_import`'s features name them.
const FEATURES: [(&str, bool); 7] = [
    ("flex", cfg!(feature = "flex")),
    ("wgpu", cfg!(feature = "wgpu")),
    ("vulkan", cfg!(feature = "vulkan")),
    ("metal", cfg!(feature = "metal")),
    ("cuda", cfg!(feature = "cuda")),
    ("rocm", cfg!(feature = "rocm")),
    ("tch", cfg!(feature = "tch")),
];

/// Beagle's own checkout.
pub(crate) fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The copy while it is being changed.
pub(crate) struct Copy(TempDir);

impl Copy {
    pub(crate) fn make() -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        mirror(checkout(), copy.source());
        fs::create_dir_all(copy.source().join("examples")).unwrap();
        let example = copy.source().join(format!("examples/{PROGRAM}.rs"));
        fs::copy(copy.source().join("src/main.rs"), example).unwrap();
        copy.tell_apart("model_import/fused/Cargo.toml");
        copy
    }

    /// Gives a crate of the copy a version of its own. One without features would have the name in
    /// the build folder that the checkout's own has, and cargo would take the copy's for it.
    fn tell_apart(&self, manifest: &str) {
        let path = self.source().join(manifest);
        let text = fs::read_to_string(&path).unwrap();
        let other = text.replace("\nversion.workspace = true", "\nversion = \"0.0.0\"");
        assert_ne!(text, other, "{manifest} has the workspace's version");
        fs::write(path, other).unwrap();
    }

    /// The folder to change.
    pub(crate) fn source(&self) -> &Path {
        self.0.path()
    }

    /// Builds the copy, without a network, and says where its program is.
    pub(crate) fn build(&self) -> PathBuf {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (place, target) = (scratch.join("imported"), scratch.parent().unwrap());
        // Two runs of the tests at once would build in the same place.
        let lock = File::create(scratch.join("imported.lock")).unwrap();
        lock.lock().unwrap();
        mirror(self.source(), &place);

        let exe = env::current_exe().unwrap();
        let folder = exe.ancestors().nth(2).unwrap();
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            profile => profile,
        };
        let features = FEATURES.iter().filter(|(_, on)| *on);
        let features: Vec<&str> = features.map(|(name, _)| *name).collect();
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if ABOUT_THE_TEST.iter().any(|about| name.starts_with(about)) {
                cargo.env_remove(name.as_ref());
            }
        }
        let output = cargo
            .args(["build", "--offline", "--workspace", "--example", PROGRAM])
            .args(["--profile", profile, "--no-default-features"])
            .args(["--features", &features.join(",")])
            .env("CARGO_TARGET_DIR", target)
            .current_dir(&place)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let program = format!("{PROGRAM}{}", env::consts::EXE_SUFFIX);
        folder.join("examples").join(program)
    }
}

/// Makes one folder like the other; what is the same already keeps its date, by which cargo knows
/// that it is built.
fn mirror(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, name) = (entry.file_type().unwrap(), entry.file_name());
        if LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        let copy = to.join(&name);
        if kind.is_dir() {
            mirror(&entry.path(), &copy);
        } else if kind.is_file() {
            let content = fs::read(entry.path()).unwrap();
            if fs::read(&copy).ok().as_ref() != Some(&content) {
                fs::write(copy, content).unwrap();
            }
        } else {
            continue;
        }
        names.insert(name);
    }
    for entry in fs::read_dir(to).unwrap() {
        let entry = entry.unwrap();
        if names.contains(&entry.file_name()) {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            fs::remove_dir_all(entry.path()).unwrap();
        } else {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}
