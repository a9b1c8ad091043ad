//! The page at `/` in a real browser, on the real model: `browser.py` drives Debian's Chromium, one
//! scenario a test.
//!
//! `BEAGLE_TEST_PYTHON` is the interpreter that has what `tests/requirements.txt` names; `cargo xtask
//! test` makes it and says so. `BEAGLE_SCREENSHOTS=docs/images` keeps the pictures for the
//! documentation.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Runs a scenario of `browser.py`.
#[track_caller]
fn browse(scenario: &str) {
    let python = env::var_os("BEAGLE_TEST_PYTHON");
    let python = python.expect("BEAGLE_TEST_PYTHON: run cargo xtask test, which sets it");
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python);
    command
        .arg(root.join("tests/page/browser.py"))
        .args([scenario, env!("CARGO_BIN_EXE_beagle")])
        .args(env::var_os("BEAGLE_SCREENSHOTS"))
        .current_dir(root);
    let output = command.output().expect("the interpreter starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{}: {said}", output.status);
}

#[test]
fn photos_come_by_picker_by_drop_and_by_paste() {
    browse("picker_drop_and_paste");
}

#[test]
fn many_photos_at_once_are_all_answered() {
    browse("many_at_once");
}

#[test]
fn a_broken_and_a_large_file_are_told_kindly() {
    browse("broken_and_too_large");
}

#[test]
fn a_server_that_is_killed_in_the_middle_loses_no_photo() {
    browse("restart_in_the_middle");
}

#[test]
fn a_full_server_is_waited_for() {
    browse("overload");
}

#[test]
fn a_phone_and_the_dark_are_at_home() {
    browse("phone");
}

#[test]
fn a_keyboard_is_enough() {
    browse("keyboard_only");
}

#[test]
fn the_page_is_small_and_keeps_to_itself() {
    browse("cost");
}
