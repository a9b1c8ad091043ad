//! Files, folders, standard input; bad files among good ones; the exit code.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use crate::{beagle, classify, lines, root, sample};

#[test]
fn a_bad_file_is_reported_and_the_rest_go_on() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let broken = folder.path().join("broken.jpg");
    fs::write(&broken, b"\xff\xd8\xff\xe0 cut off").expect("it can be written");
    let missing = folder.path().join("missing.png");
    let text = root().join("README.md");
    let good = sample("cat.jpg");
    let files = [&good, &broken, &missing, &text, &good];
    let output = classify(
        ["--json", "--top", "2", "--batch", "2"]
            .map(PathBuf::from)
            .iter()
            .chain(files),
    );
    assert_eq!(output.status.code(), Some(1), "some failed");
    let lines = lines(&output);
    let codes: Vec<Option<&str>> = lines
        .iter()
        .map(|line| line.error.as_ref().map(|error| error.code.as_str()))
        .collect();
    let wanted = [
        None,
        Some("malformed_image"),
        Some("unreadable_file"),
        Some("unsupported_format"),
        None,
    ];
    assert_eq!(codes, wanted, "{lines:?}");
    for (line, file) in lines.iter().zip(files) {
        assert_eq!(line.file, file.to_string_lossy());
        assert!(
            line.error
                .as_ref()
                .is_none_or(|error| !error.message.is_empty())
        );
    }
    let labels = |at: usize| lines[at].predictions.iter().map(|p| p.label.as_str());
    assert!(labels(0).eq(["Egyptian_cat", "tiger_cat"]));
    assert!(
        labels(4).eq(labels(0)),
        "the same photo has the same answer"
    );
}

#[test]
fn standard_input_is_a_photo_too() {
    let mut command = beagle();
    command.args(["classify", "--json", "--top", "1", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let photo = fs::read(root().join(sample("coffee.jpg"))).expect("it is committed");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(&photo).expect("the program reads");
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    let lines = lines(&output);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].file, "-");
    assert_eq!(lines[0].predictions[0].label, "espresso");
}

#[test]
fn a_folder_is_all_its_photos_and_a_person_gets_a_table() {
    let output = classify(["--top", "1", "assets/samples"]);
    assert!(output.status.success());
    let table = String::from_utf8(output.stdout).expect("the table is text");
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 8, "{table}");
    let names = ["cat.jpg", "coffee.jpg", "raccoon.webp", "rocket.png"];
    let labels = ["Egyptian_cat", "espresso", "grey_fox", "drilling_platform"];
    for (at, (name, label)) in names.iter().zip(labels).enumerate() {
        assert!(rows[2 * at].ends_with(name), "{table}");
        assert!(
            rows[2 * at + 1].contains(&format!(" %  {label} ")),
            "{table}"
        );
    }
    assert!(!table.contains('\u{1b}'), "colours are for terminals alone");
}

#[test]
fn what_is_asked_for_wrongly_is_named_before_anything_is_loaded() {
    let cases: [(&[&str], i32, &str); 5] = [
        (&[], 2, "FILES"),
        (&["--top", "0", "x.jpg"], 2, "--top"),
        (
            &["--profile", "vgg", "x.jpg"],
            70,
            "imagenet, keras, article",
        ),
        (
            &["--device", "abacus", "x.jpg"],
            2,
            "'abacus' is not a device",
        ),
        (&["--device", "flex:7", "x.jpg"], 70, "there is no flex:7"),
    ];
    for (arguments, code, text) in cases {
        let output = classify(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(text), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_folder_without_photos_is_an_error_that_names_it() {
    let output = classify(["src"]);
    assert_eq!(output.status.code(), Some(70));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("src holds no photos"), "{said}");
}
