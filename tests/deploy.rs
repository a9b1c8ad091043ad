//! The examples in deploy/ against the program itself: settings, times, names, metrics.
//!
//! What a file says is found as text, and what it means is asked of `beagle serve`.

#![expect(
    clippy::unwrap_used,
    reason = "in a test a failed step should stop it on the spot"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytesize::ByteSize;
use walkdir::WalkDir;

/// Variables that are read elsewhere than on the command line, and where.
const ELSEWHERE: [(&str, &str); 1] = [("BEAGLE_HOME", "model_import/src/fetch/home.rs")];

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files of a folder with their text, comments left out.
fn files(folder: &str) -> Vec<(String, String)> {
    let entries = WalkDir::new(at(folder)).sort_by_file_name().into_iter();
    let files = entries
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file());
    files
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).unwrap();
            (entry.path().display().to_string(), without_comments(&text))
        })
        .collect()
}

fn without_comments(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Every name in a text that begins so.
fn names<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(start).filter_map(|(at, _)| {
        let whole = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let before = text[..at].chars().next_back();
        let end = text[at..].find(|letter| !whole(letter));
        (!before.is_some_and(whole)).then(|| &text[at..end.map_or(text.len(), |end| at + end)])
    })
}

/// Names and values of variables: `NAME=value`, `NAME: value`, or `name: NAME` above `value: value`.
fn variables(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        for name in names(line, "BEAGLE_") {
            let rest = &line[line.find(name).unwrap() + name.len()..];
            let value = if let Some(rest) = rest.strip_prefix('=') {
                rest.split_whitespace().next()
            } else if let Some(rest) = rest.strip_prefix(": ") {
                Some(rest.trim())
            } else {
                let next = lines.get(number + 1).copied().unwrap_or_default();
                next.trim().strip_prefix("value: ")
            };
            let value = value.unwrap_or_else(|| panic!("{line}: {name} has no value"));
            found.push((name.to_owned(), value.to_owned()));
        }
    }
    found
}

/// What the program would use under these variables.
fn config(variables: &[(String, String)]) -> toml::Table {
    let mut command = Command::new(env!("CARGO_BIN_EXE_beagle"));
    command.args(["serve", "--print-config"]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BEAGLE_")) {
        command.env_remove(name);
    }
    let output = command
        .env_remove("REDIS_URL")
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let (out, error) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{variables:?}: {error}");
    out.parse().unwrap()
}

fn time(config: &toml::Table, name: &str) -> Duration {
    humantime::parse_duration(config[name].as_str().unwrap()).unwrap()
}

/// The number that follows the first of these words.
fn number_after(text: &str, words: &[&str]) -> Option<u64> {
    let rest = words
        .iter()
        .find_map(|word| Some(text.split_once(word)?.1))?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Each process that an example starts: where, its role, and what is said about it.
fn processes() -> Vec<(String, &'static str, String)> {
    let mut all = Vec::new();
    for role in ["web", "worker"] {
        for path in [
            format!("deploy/systemd/beagle-{role}.service"),
            format!("deploy/kubernetes/{role}.yaml"),
        ] {
            all.push((path.clone(), role, without_comments(&read(&path))));
        }
        let compose = without_comments(&read("deploy/compose/compose.yaml"));
        let part = compose.split_once(&format!("x-{role}:")).unwrap().1;
        let part = part.split("\n\n").next().unwrap();
        // In a container the image says the rest.
        let image = without_comments(&read("deploy/docker/Dockerfile"));
        let stage = image.split_once(&format!(" AS {role}\n")).unwrap().1;
        let stage = stage.split("\nFROM").next().unwrap();
        all.push((format!("compose, {role}"), role, format!("{part}\n{stage}")));
    }
    all
}

#[test]
fn every_variable_is_one_of_the_program() {
    let help = Command::new(env!("CARGO_BIN_EXE_beagle"))
        .args(["serve", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let mut known: BTreeSet<&str> = names(&help, "BEAGLE_").collect();
    for (name, path) in ELSEWHERE {
        assert!(
            read(path).contains(&format!("\"{name}\"")),
            "{path}: {name}"
        );
        known.insert(name);
    }
    let mut used = 0;
    for (path, text) in files("deploy") {
        for name in names(&text, "BEAGLE_") {
            assert!(known.contains(name), "{path}: {name}");
            used += 1;
        }
    }
    assert!(used > 20, "{used}");
}

#[test]
fn every_process_starts_as_it_is_told_and_may_take_its_time_to_end() {
    for (what, role, text) in processes() {
        let config = config(&variables(&text));
        assert_eq!(config["role"].as_str(), Some(role), "{what}");
        let stop = number_after(
            &text,
            &[
                "TimeoutStopSec=",
                "terminationGracePeriodSeconds: ",
                "stop_grace_period: ",
            ],
        );
        let stop = Duration::from_secs(stop.unwrap_or_else(|| panic!("{what}: no time to stop")));
        let needs = time(&config, "drain-delay") + time(&config, "grace");
        assert!(stop > needs, "{what}: {stop:?} are not more than {needs:?}");
    }
}

#[test]
fn readiness_is_withdrawn_longer_than_it_takes_to_notice() {
    let text = without_comments(&read("deploy/kubernetes/web.yaml"));
    let probe = text.split_once("readinessProbe:").unwrap().1;
    let probe = probe.split("livenessProbe:").next().unwrap();
    let period = number_after(probe, &["periodSeconds: "]).unwrap();
    let failures = number_after(probe, &["failureThreshold: "]).unwrap();
    let delay = time(&config(&variables(&text)), "drain-delay");
    assert!(delay > Duration::from_secs(period * failures), "{delay:?}");
}

#[test]
fn proxies_let_through_what_the_program_takes() {
    let config = config(&[]);
    let body: ByteSize = config["max-body"].as_str().unwrap().parse().unwrap();
    let patience = time(&config, "request-timeout").as_secs();
    let nginx = without_comments(&read("deploy/nginx/beagle.conf"));
    let mebibytes = number_after(&nginx, &["client_max_body_size "]).unwrap();
    assert_eq!(ByteSize::mib(mebibytes), body);
    assert!(number_after(&nginx, &["proxy_read_timeout "]).unwrap() > patience);
    let apache = without_comments(&read("deploy/apache/beagle.conf"));
    assert_eq!(number_after(&apache, &["LimitRequestBody "]), Some(body.0));
    assert!(number_after(&apache, &["ProxyTimeout "]).unwrap() > patience);
}

#[test]
fn the_scaler_looks_at_the_streams_and_the_group_that_are() {
    let keys = read("src/store/redis/keys.rs");
    let constant = |name: &str| {
        let line = keys
            .split_once(&format!("const {name}: &str = \""))
            .unwrap()
            .1;
        line.split('"').next().unwrap().to_owned()
    };
    let keda = without_comments(&read("deploy/kubernetes/keda.yaml"));
    let said = |key: &str| -> Vec<String> {
        let values = keda
            .lines()
            .filter_map(|line| line.trim().strip_prefix(key));
        values
            .map(|value| value.trim_matches('"').to_owned())
            .collect()
    };
    let streams = ["high", "normal", "low"].map(|name| format!("{}s:{name}", constant("PREFIX")));
    assert_eq!(said("stream: "), streams);
    assert_eq!(said("consumerGroup: "), vec![constant("GROUP"); 3]);
}

#[test]
fn both_redis_are_configured_alike_and_hold_the_whole_queue() {
    let settings = |text: &str| -> BTreeSet<String> {
        text.lines()
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect()
    };
    let compose = settings(&without_comments(&read("deploy/compose/redis.conf")));
    let kubernetes = read("deploy/kubernetes/redis.yaml");
    let inner = kubernetes.split_once("redis.conf: |").unwrap().1;
    assert_eq!(settings(inner.split("---").next().unwrap()), compose);
    assert!(compose.contains("appendonly yes") && compose.contains("maxmemory-policy noeviction"));
    let memory = compose
        .iter()
        .find_map(|line| line.strip_prefix("maxmemory "))
        .unwrap();
    let memory: ByteSize = memory.parse().unwrap();
    for (what, _, text) in processes()
        .into_iter()
        .filter(|(what, ..)| !what.contains("systemd"))
    {
        let queue: ByteSize = config(&variables(&text))["max-queue-bytes"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            memory.0 > queue.0 + queue.0 / 2,
            "{what}: {queue} of {memory}"
        );
    }
}

#[test]
fn images_have_the_version_that_is_built() {
    let mut seen = 0;
    for (path, text) in files("deploy") {
        for image in ["beagle-web:", "beagle-worker:"] {
            for (at, _) in text.match_indices(image).filter(|_| path.ends_with("yaml")) {
                let tag = text[at + image.len()..].split_whitespace().next().unwrap();
                assert_eq!(tag, env!("CARGO_PKG_VERSION"), "{path}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 4);
}

#[test]
fn the_dashboard_shows_all_the_metrics_there_are_and_no_others() {
    let table = read("docs/metrics.md");
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `beagle_"));
    let there: BTreeSet<String> = rows
        .map(|row| format!("beagle_{}", row.split(['`', '{']).next().unwrap()))
        .collect();
    assert!(there.len() > 20);
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("deploy/grafana/beagle.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let expressions: Vec<&str> = targets
        .map(|target| target["expr"].as_str().unwrap())
        .collect();
    let family = |name: &str| {
        let parts = ["_bucket", "_sum", "_count"].iter();
        let mut whole = parts.filter_map(|part| name.strip_suffix(part));
        whole
            .find(|whole| there.contains(*whole))
            .unwrap_or(name)
            .to_owned()
    };
    let shown: BTreeSet<String> = expressions
        .iter()
        .flat_map(|expression| names(expression, "beagle_"))
        .map(family)
        .collect();
    assert_eq!(shown, there);
}
