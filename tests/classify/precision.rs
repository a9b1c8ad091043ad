//! `beagle model quantize` and what follows from it: photos named by a network in bytes.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use model_import::{fetch, provision, registry};
use serde::Deserialize;

use crate::{Line, beagle, lines};

/// What `--json` says, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Told {
    measured: usize,
    checked: usize,
    methods: Vec<Tried>,
    chosen: String,
    winograd: Option<Winograd>,
    good: bool,
    file: String,
}

#[derive(Debug, Deserialize)]
struct Winograd {
    layers: usize,
    top1: f64,
    difference: f64,
}

#[derive(Debug, Deserialize)]
struct Tried {
    method: String,
    top1: f64,
    difference: f64,
}

/// A home with the weights and without ranges.
fn home() -> tempfile::TempDir {
    let fetcher = fetch::Fetcher::new(fetch::home().expect("there is a home for the weights"));
    let model = registry::model("resnet50").expect("it is built in");
    let record = provision::record(&model, &fetcher).expect("the weights can be had");
    let home = tempfile::tempdir().expect("a scratch folder");
    let here = provision::record_path(home.path(), &model);
    fs::create_dir(here.parent().expect("it lies in a folder")).expect("it can be made");
    if fs::hard_link(&record, &here).is_err() {
        fs::copy(&record, &here).expect("there is room for a copy");
    }
    home
}

fn at(home: &Path, arguments: &[&str]) -> Command {
    let mut command = beagle();
    command.env("BEAGLE_HOME", home).args(arguments);
    command
}

fn run(home: &Path, arguments: &[&str]) -> Output {
    at(home, arguments).output().expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The samples' first labels in some precision, and what was said beside them.
#[track_caller]
fn named(home: &Path, precision: &str) -> (Vec<Line>, String) {
    let arguments = ["classify", "--json", "--top", "1", "--precision", precision];
    let output = run(home, &[&arguments[..], &["assets/samples"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    (lines(&output), said(&output))
}

#[test]
fn a_quantized_network_names_the_samples_as_the_exact_one_does() {
    let home = home();
    let home = home.path();

    let asked = ["classify", "--precision", "int8", "assets/samples/cat.jpg"];
    let output = run(home, &asked);
    assert_eq!(output.status.code(), Some(70));
    let wanted = "run `beagle model quantize --profile imagenet`";
    assert!(said(&output).contains(wanted), "{}", said(&output));
    let (_, why) = named(home, "auto");
    assert!(why.contains("precision f32: nothing faster"), "{why}");

    let quantize = ["model", "quantize", "--method", "mse", "--json"];
    let output = run(home, &quantize);
    assert!(output.status.success(), "{}", said(&output));
    let told: Told = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((told.measured, told.checked), (100, 200));
    assert_eq!(told.chosen, "mse");
    let [
        Tried {
            method,
            top1,
            difference,
        },
    ] = &told.methods[..]
    else {
        panic!("one method was asked for: {told:?}");
    };
    assert_eq!(method, "mse");
    assert!(*top1 >= 0.96 && *difference <= 0.02, "{told:?}");
    let is_good = |top1: f64, difference: f64| top1 >= 0.98 && difference <= 0.02;
    // The faster form is kept only where it is good enough.
    let faster = told.winograd.as_ref();
    assert!(faster.is_none_or(|one| one.layers > 0 && is_good(one.top1, one.difference)));
    let good = is_good(*top1, *difference) || faster.is_some();
    assert_eq!(told.good, good, "{told:?}");

    let (exact, why) = named(home, "f32");
    assert!(why.is_empty(), "{why}");
    for precision in ["int8", "auto"] {
        let (bytes, why) = named(home, precision);
        let is_int8 = why.starts_with("precision int8: ");
        // What is not quicker here, auto does not take.
        let worth = told.good && !why.contains("int8 is not quicker");
        assert_eq!(is_int8, precision == "int8" || worth, "{why}");
        assert_eq!(bytes.len(), 4);
        for (exact, bytes) in exact.iter().zip(&bytes) {
            let [exact_first, first] = [exact, bytes].map(|line| &line.predictions[0]);
            assert_eq!(
                first.label, exact_first.label,
                "{precision}, {}",
                exact.file
            );
            let difference = (first.probability - exact_first.probability).abs();
            assert!(
                difference < 0.06,
                "{precision}, {}: {difference}",
                exact.file
            );
        }
    }

    let started = start_line(home);
    assert!(started.contains("resnet50: int8, as asked"), "{started}");

    fs::write(&told.file, "form = 1\n").expect("it can be written");
    let output = run(home, &asked);
    assert_eq!(output.status.code(), Some(70));
    assert!(said(&output).contains(&told.file), "{}", said(&output));
    assert!(said(&output).contains(wanted), "{}", said(&output));
}

/// What a server in bytes says about its numbers before it is ready.
fn start_line(home: &Path) -> String {
    let arguments = ["serve", "--bind", "127.0.0.1:0", "--store", "memory:"];
    let more = ["--profile", "imagenet", "--precision", "int8"];
    let mut command = at(
        home,
        &[
            arguments,
            [more[0], more[1], more[2], more[3], "--threads=2"],
        ]
        .concat(),
    );
    let mut server = command
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let stderr = server.stderr.take().expect("it is piped");
    let lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let told: Vec<String> = lines
        .take_while(|line| !line.starts_with("ready"))
        .collect();
    server.kill().expect("it can be ended");
    server.wait().expect("it ends");
    let line = told.iter().find(|line| line.starts_with("numbers"));
    line.cloned().unwrap_or_else(|| told.join("\n"))
}

#[test]
fn what_is_asked_for_wrongly_is_named() {
    let home = tempfile::tempdir().expect("a scratch folder");
    let empty = home.path().join("empty");
    fs::create_dir(&empty).expect("it can be made");
    let empty = empty.to_string_lossy().into_owned();
    let cases: [(&[&str], i32, &str); 5] = [
        (
            &["model", "quantize", "--method", "entropy"],
            2,
            "percentile, mse or max",
        ),
        (
            &["model", "quantize", "--profile", "vgg"],
            70,
            "imagenet, keras, article",
        ),
        (
            &["classify", "--precision", "half", "x.jpg"],
            2,
            "auto, f32, bf16 or int8",
        ),
        (
            &["serve", "--print-config", "--precision", "half"],
            2,
            "auto, f32, bf16 or int8",
        ),
        (
            &["serve", "--print-config", "--threads", "0"],
            64,
            "threads is 0",
        ),
    ];
    for (arguments, code, text) in cases {
        let output = run(Path::new(&empty), arguments);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            said(&output)
        );
        assert!(
            said(&output).contains(text),
            "{arguments:?}: {}",
            said(&output)
        );
    }
}

#[test]
fn the_configuration_shows_what_was_said() {
    let mut command = beagle();
    command.args(["serve", "--print-config", "--threads", "3", "--pin-threads"]);
    let output = command.env("BEAGLE_PRECISION", "auto").output();
    let output = output.expect("the program starts");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        shown.contains("precision = \"auto\"") && shown.contains("threads = 3"),
        "{shown}"
    );
    assert!(shown.contains("pin-threads = true"), "{shown}");
}
