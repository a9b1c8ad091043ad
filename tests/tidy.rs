//! The invariants of ARCHITECTURE.md, as tests: what a file must hold and must not know.

use std::fs;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

/// Longest source file, tests left out.
const MOST_LINES: usize = 400;
/// Largest file that may be committed.
const MOST_BYTES: u64 = 1024 * 1024;

/// A crate and the only places that may name it.
const DOORS: &[(&str, &[&str])] = &[
    (
        "image",
        &["src/decode/", "benches/decode.rs", "tests/decode"],
    ),
    ("burn", &["model_import/src/"]),
    (
        "fused",
        &[
            "model_import/src/",
            "model_import/fused/",
            "model_import/tests/",
        ],
    ),
    ("burn_onnx", &["model_import/src/generate.rs"]),
    (
        "clap",
        &["src/cli/", "src/config/", "src/main.rs", "xtask/"],
    ),
    (
        "ureq",
        &[
            "model_import/src/fetch/https.rs",
            "src/cli/predict.rs",
            "src/webhook/caller.rs",
            "src/webhook/target.rs",
            "tests/",
        ],
    ),
    (
        "redis",
        &["src/store/redis/", "tests/store/redis", "benches/redis.rs"],
    ),
    ("hmac", &["src/webhook/sign.rs"]),
    ("prometheus", &["src/metrics/"]),
    ("opentelemetry", &["src/traces/"]),
    ("opentelemetry_otlp", &["src/traces/"]),
    ("opentelemetry_sdk", &["src/traces/"]),
    ("rusqlite", &["src/store/sqlite/", "tests/store/"]),
    (
        "actix_web",
        &["src/http/", "src/app.rs", "src/admin/socket.rs"],
    ),
    ("actix_multipart", &["src/http/upload.rs"]),
    (
        "base64",
        &[
            "src/access/secret.rs",
            "src/http/listed.rs",
            "src/http/oip/json.rs",
            "src/load/send/oip.rs",
            "src/webhook/sign.rs",
            "tests/",
        ],
    ),
    ("utoipa", &["src/http/"]),
    ("utoipa_swagger_ui", &["src/http/page.rs"]),
    ("actix_cors", &["src/http/headers.rs"]),
    ("actix_http", &["src/http/listen.rs"]),
    ("actix_server", &["src/http/listen.rs", "src/app.rs"]),
    ("actix_service", &["src/http/listen.rs"]),
    ("getrandom", &["src/access/secret.rs"]),
    ("governor", &["src/access/"]),
    ("rustls", &["src/tls.rs", "src/store/redis/", "tests/"]),
    ("subtle", &["src/access/"]),
    ("tokio_rustls", &["src/gate/"]),
    (
        "tonic",
        &["src/grpc/", "tests/oip/", "tests/fleet/traces.rs"],
    ),
    ("prost", &["src/grpc/", "tests/oip/bare.rs"]),
    ("h2", &["tests/oip/bare.rs"]),
    ("hyper", &["src/load/send/"]),
    ("hyper_util", &["src/load/send/connections.rs"]),
    ("http_body_util", &["src/load/send/connections.rs"]),
    ("hdrhistogram", &["src/load/tally.rs"]),
    ("plotters", &["src/load/plot.rs"]),
];

/// The beginning of a path and words that no file below it may hold: what it must not know.
const MUST_NOT_KNOW: &[(&str, &[&str])] = &[
    ("model_import/src/", &["actix", "redis::", "beagle::"]),
    ("model_import/src/fetch/", &["burn::", "onnx"]),
    (
        "model_import/fused/",
        &["burn::", "onnx", "std::fs", "model_import::"],
    ),
    ("src/decode/", &["mean", "cli::", "classify::", "respond::"]),
    ("src/decode/photo.rs", &["actix", "Instant", "store"]),
    ("src/decode/resize.rs", &["actix", "Instant", "store"]),
    (
        "src/batch/",
        &["burn", "image::", "cli::", "http::", "respond::"],
    ),
    ("src/batch/policy.rs", &["actix", "Instant", "pixels"]),
    (
        "src/classify/",
        &["burn::", "cli::", "redis", "http::", "respond::"],
    ),
    ("src/respond/", &["redis", "http::", "cli::", "decode::"]),
    ("src/store/", &["actix", "ticket", "http::", "classify::"]),
    (
        "src/access/",
        &["actix", "http::", "tonic", "cli::", "redis", "sqlite"],
    ),
    (
        "src/gate/",
        &["actix", "http::", "tonic", "cli::", "store::"],
    ),
    ("src/tls.rs", &["actix", "http::", "tonic", "cli::"]),
    ("src/edge/", &["actix_web", "http::", "decode::", "batch::"]),
    ("src/http/", &["redis", "sqlite", "burn", "cli::"]),
    (
        "src/oip/",
        &["actix", "http::", "tonic", "grpc::", "serde", "decode::"],
    ),
    (
        "src/grpc/",
        &["actix", "crate::http", "redis", "decode::", "batch::"],
    ),
    ("src/metrics/", &["actix", "http::", "redis", "batch::"]),
    (
        "src/webhook/",
        &["actix_web", "crate::http", "redis", "sqlite", "cli::"],
    ),
    (
        "src/load/",
        &[
            "actix",
            "crate::http",
            "store::",
            "cli::",
            "clap",
            "indicatif",
        ],
    ),
    ("src/load/arrivals.rs", &["tokio", "Instant", "hyper"]),
    ("src/load/tally.rs", &["tokio", "Instant", "hyper"]),
    ("src/load/search.rs", &["tokio", "Instant", "hyper"]),
    ("src/load/report.rs", &["tokio", "Instant", "hyper"]),
    ("src/load/plot.rs", &["tokio", "Instant", "hyper", "fs::"]),
    ("src/load/drive.rs", &["hyper", "send::", "hdrhistogram"]),
    ("src/message.rs", &["fn "]),
    ("src/error.rs", &["http::", "StatusCode"]),
];

/// A source file, read once.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_generated(&self) -> bool {
        self.path.starts_with("model_import/src/generated/")
    }

    /// The lines that are not tests.
    fn code(&self) -> impl Iterator<Item = &str> {
        self.text.lines().take_while(|line| *line != "#[cfg(test)]")
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Files of the checkout, without build output and what tools keep beside it.
fn files() -> impl Iterator<Item = DirEntry> {
    let wanted = |entry: &DirEntry| {
        let name = entry.file_name().to_string_lossy();
        entry.depth() == 0 || !(name == "target" || name == ".git" || name.ends_with(".orig"))
    };
    let entries = WalkDir::new(root()).into_iter().filter_entry(wanted);
    entries
        .map(|entry| entry.expect("the checkout can be read"))
        .filter(|entry| entry.file_type().is_file())
}

fn relative(path: &Path) -> String {
    let path = path.strip_prefix(root()).expect("files are below the root");
    path.to_string_lossy().replace('\\', "/")
}

fn sources() -> Vec<Source> {
    let rust = files().filter(|entry| {
        entry
            .path()
            .extension()
            .is_some_and(|ending| ending == "rs")
    });
    rust.map(|entry| Source {
        path: relative(entry.path()),
        text: fs::read_to_string(entry.path()).expect("sources are text"),
    })
    .collect()
}

/// Fails with every offence at once.
fn assert_none(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}

#[test]
fn there_are_sources_to_check() {
    let paths: Vec<String> = sources().into_iter().map(|source| source.path).collect();
    for known in [
        "src/main.rs",
        "src/batch/policy.rs",
        "model_import/src/lib.rs",
        "xtask/src/main.rs",
        "tests/tidy.rs",
    ] {
        assert!(
            paths.iter().any(|path| path == known),
            "{known} is not among the sources"
        );
    }
}

#[test]
fn every_file_says_what_it_holds() {
    let silent = |source: &Source| !source.text.starts_with("//! ") && !source.is_generated();
    let offences: Vec<String> = sources()
        .into_iter()
        .filter(silent)
        .map(|source| source.path)
        .collect();
    assert_none("a file starts with //! and a sentence", &offences);
}

#[test]
fn files_stay_small() {
    let offences: Vec<String> = sources()
        .iter()
        .filter(|source| !source.is_generated() && source.code().count() > MOST_LINES)
        .map(|source| format!("{} has {} lines", source.path, source.code().count()))
        .collect();
    assert_none("a file is one thing", &offences);
}

#[test]
fn outside_crates_enter_by_their_own_door() {
    let mut offences = Vec::new();
    for source in sources() {
        for (name, doors) in DOORS {
            let names = |line: &&str| {
                let line = line.trim_start();
                !line.starts_with("//") && mentions(line, name)
            };
            let allowed = doors.iter().any(|door| source.path.starts_with(door));
            if !allowed && source.path != "tests/tidy.rs" && source.code().any(|line| names(&line))
            {
                offences.push(format!("{} names {name}", source.path));
            }
        }
    }
    assert_none("a crate is named only where it enters", &offences);
}

/// Whether a line of code uses the crate: its name as a whole word before `::`.
fn mentions(line: &str, name: &str) -> bool {
    line.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_' && letter != ':')
    })
}

#[test]
fn nobody_knows_what_they_must_not() {
    let mut offences = Vec::new();
    for source in sources() {
        for (folder, words) in MUST_NOT_KNOW {
            let code = || {
                source
                    .code()
                    .filter(|line| !line.trim_start().starts_with("//"))
            };
            let known = words
                .iter()
                .find(|word| code().any(|line| line.contains(*word)));
            if let (true, Some(word)) = (source.path.starts_with(folder), known) {
                offences.push(format!("{} knows {word}", source.path));
            }
        }
    }
    assert_none("a folder knows its own business", &offences);
}

#[test]
fn no_test_is_switched_off_and_no_work_is_left_open() {
    let marks = [
        "#[ignore",
        "#[should_panic",
        "todo!(",
        "unimplemented!(",
        "FIXME",
        "XXX",
    ];
    let mut offences = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.path != "tests/tidy.rs")
    {
        let found = marks.iter().filter(|mark| source.text.contains(*mark));
        offences.extend(found.map(|mark| format!("{} holds {mark}", source.path)));
    }
    assert_none("tests run and work is finished", &offences);
}

#[test]
fn nothing_is_called_utils() {
    let names = ["utils", "util", "helpers", "misc", "common"];
    let vague = |path: &String| {
        let stem = Path::new(path)
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned());
        stem.is_some_and(|stem| names.contains(&stem.as_str()))
    };
    let offences: Vec<String> = sources()
        .into_iter()
        .map(|source| source.path)
        .filter(vague)
        .collect();
    assert_none("a file name tells what is inside", &offences);
}

#[test]
fn no_weights_and_no_large_files_are_committed() {
    let weights = [
        "bpk",
        "onnx",
        "safetensors",
        "npz",
        "h5",
        "pt",
        "bin",
        "tgz",
    ];
    let mut offences = Vec::new();
    for entry in files() {
        let ending = entry
            .path()
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let bytes = entry
            .metadata()
            .expect("files can be asked for their size")
            .len();
        if weights.contains(&ending.as_str()) || bytes > MOST_BYTES {
            offences.push(format!("{} ({bytes} bytes)", relative(entry.path())));
        }
    }
    assert_none("weights live in the cache", &offences);
}

#[test]
fn no_line_ends_in_a_space() {
    let mut offences = Vec::new();
    for source in sources().iter().filter(|source| !source.is_generated()) {
        let lines = source.text.lines().enumerate();
        let spaced = lines.filter(|(_, line)| line.ends_with([' ', '\t']));
        offences.extend(spaced.map(|(at, _)| format!("{}:{}", source.path, at + 1)));
    }
    assert_none("lines end where their text does", &offences);
}
