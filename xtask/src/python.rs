//! The Python clients that tests speak to the server with, in an environment of their own below
//! the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, bail};

/// What is installed, each at one version.
const REQUIREMENTS: &str = "tests/requirements.txt";

/// Makes the environment, unless it is there and of these requirements; gives its interpreter.
///
/// # Errors
/// When it cannot be made, saying which command failed.
pub(crate) fn provide() -> anyhow::Result<PathBuf> {
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let folder = std::path::absolute(target.join("python"))?;
    let python = folder.join("bin/python");
    let wanted = fs::read_to_string(REQUIREMENTS).context(REQUIREMENTS)?;
    let mark = folder.join("requirements.txt");
    if fs::read_to_string(&mark).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    run(
        Path::new("python3"),
        &["-m", "venv", "--clear", &folder.to_string_lossy()],
    )?;
    run(
        &python,
        &[
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            REQUIREMENTS,
        ],
    )?;
    fs::write(&mark, wanted).with_context(|| mark.display().to_string())?;
    Ok(python)
}

fn run(program: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(program).args(arguments).status();
    let status = status.with_context(|| format!("{} did not start", program.display()))?;
    if !status.success() {
        bail!(
            "{} {} failed ({status})",
            program.display(),
            arguments.join(" ")
        );
    }
    Ok(())
}
