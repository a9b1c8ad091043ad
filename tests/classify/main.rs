//! `beagle classify` as people and programs run it, on the real weights.

mod command;
mod golden;
mod layers;
mod precision;
#[cfg(target_os = "linux")]
mod resident;
mod samples;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;

/// One line of `--json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    file: String,
    #[serde(default)]
    predictions: Vec<Prediction>,
    error: Option<Error>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prediction {
    label: String,
    probability: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Error {
    code: String,
    message: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The command, on the processor: other devices round otherwise, and have their own suite.
fn beagle() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beagle"));
    command.current_dir(root()).env("BEAGLE_DEVICE", "flex");
    command
}

fn classify<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    let mut command = beagle();
    command.arg("classify").args(arguments);
    command.output().expect("the program starts")
}

/// Classifies files as JSON, all of which must have an answer.
#[track_caller]
fn answers(profile: &str, files: &[PathBuf]) -> Vec<Line> {
    let output = classify(
        ["--json", "--profile", profile]
            .map(AsRef::as_ref)
            .into_iter()
            .chain(files.iter().map(|file| file.as_os_str())),
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    lines(&output)
}

#[track_caller]
fn lines(output: &Output) -> Vec<Line> {
    let text = std::str::from_utf8(&output.stdout).expect("the answer is text");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Compares one photo's answer with a reference: the same labels in the same order, every
/// probability within `tolerance`.
#[track_caller]
fn assert_close(what: &str, found: &Line, wanted: &[(String, f64)], tolerance: f64) {
    let labels: Vec<&str> = found.predictions.iter().map(|p| p.label.as_str()).collect();
    let wanted_labels: Vec<&str> = wanted.iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(labels, wanted_labels, "{what}: {:?}", found.predictions);
    for (prediction, (label, probability)) in found.predictions.iter().zip(wanted) {
        let difference = (prediction.probability - probability).abs();
        assert!(
            difference <= tolerance,
            "{what}: {label} has {}, {probability} was wanted",
            prediction.probability
        );
    }
}

fn sample(name: &str) -> PathBuf {
    Path::new("assets/samples").join(name)
}
