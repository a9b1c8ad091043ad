//! The list of what conforms, held to the tests that show it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Names of the tests here, in Rust and in Python.
fn tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for entry in fs::read_dir(root().join("tests/oip")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut is_test = false;
        for line in text.lines() {
            let line = line.trim_start_matches("async ");
            let name = |start: &str| {
                let rest = line.strip_prefix(start)?;
                Some(rest.split_once('(')?.0.to_owned())
            };
            match name("fn ").filter(|_| is_test) {
                Some(name) => {
                    tests.insert(name);
                }
                None => tests.extend(name("def check_").map(|name| format!("check_{name}"))),
            }
            is_test = line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        }
    }
    tests
}

/// The rows of the list: what, the result, the tests.
fn rows() -> Vec<[String; 3]> {
    let text = fs::read_to_string(root().join("docs/open-inference.md")).unwrap();
    let list = text.split("## What conforms").nth(1).unwrap();
    let rows = list.lines().filter(|line| line.starts_with("| "));
    let cells = |row: &str| -> Vec<String> {
        let inside = row.trim_start_matches("| ").trim_end_matches(" |");
        inside.split(" | ").map(str::to_owned).collect()
    };
    let rows = rows.map(|row| {
        <[String; 3]>::try_from(cells(row)).unwrap_or_else(|_| panic!("not three cells: {row}"))
    });
    rows.filter(|[what, ..]| what != "what").collect()
}

#[test]
fn every_row_has_a_result_and_tests_that_are_there_and_no_test_is_left_out() {
    let (rows, tests) = (rows(), tests());
    assert!(rows.len() > 60, "{} rows", rows.len());
    let mut named = BTreeSet::new();
    for [what, result, shown] in &rows {
        let fails = result.starts_with("fail");
        assert!(
            result == "pass" || (fails && result.len() > 6),
            "{what}: {result}"
        );
        for test in shown.split(", ") {
            let test = test.trim_matches('`');
            assert!(tests.contains(test), "{what}: there is no test {test}");
            named.insert(test.to_owned());
        }
    }
    let own = "every_row_has_a_result_and_tests_that_are_there_and_no_test_is_left_out";
    let others =
        |test: &&String| ![own, "every_call_of_the_service_is_in_the_list"].contains(&&test[..]);
    let left: Vec<&String> = tests.difference(&named).filter(others).collect();
    assert!(left.is_empty(), "not in the list: {left:?}");
}

#[test]
fn every_call_of_the_service_is_in_the_list() {
    let proto = fs::read_to_string(root().join("src/grpc/open_inference.proto")).unwrap();
    let calls = proto
        .lines()
        .filter_map(|line| line.trim().strip_prefix("rpc "));
    let calls: Vec<&str> = calls
        .filter_map(|call| Some(call.split_once('(')?.0))
        .collect();
    assert_eq!(calls.len(), 8, "{calls:?}");
    let rows = rows();
    for call in calls {
        let named = |[what, ..]: &[String; 3]| what.contains(&format!("`{call}`"));
        assert!(rows.iter().any(named), "{call} is not in the list");
    }
}
