//! The document held against the server by schemathesis: what the one says the other does.
//!
//! `BEAGLE_SCHEMATHESIS_EXAMPLES` asks for more cases of each operation.

use std::env;
use std::process::Command;
use std::time::Duration;

use crate::app::TestApp;
use crate::fake::Act;

/// Cases of each operation that are made at random, beside those made by rule.
const EXAMPLES: &str = "10";
/// The one check that is not made: after a DELETE there should be nothing. It takes a job back, and
/// what became of the job stays to be seen, which is its point.
const EXCLUDED: &str = "use_after_free";
/// Fewer cases than this in all, and something is wrong with the test.
const FEWEST: u64 = 200;

#[test]
fn schemathesis_finds_nothing() {
    let python = env::var("BEAGLE_TEST_PYTHON").expect(
        "BEAGLE_TEST_PYTHON must name a Python that has tests/requirements.txt installed: `cargo \
         xtask test` makes one in target/python",
    );
    let examples = env::var("BEAGLE_SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_owned());
    let app = TestApp::with(|wanted| {
        wanted.settings.times.request_timeout = Duration::from_millis(500);
        // No schema bounds a body's bytes.
        wanted.settings.body.bytes = 4 << 20;
        wanted.settings.admission.bytes = 16 << 20;
    });
    let folder = tempfile::tempdir().unwrap();
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openapi");
    let ran = Command::new(python)
        .args(["-m", "schemathesis.cli", "--no-color", "--config-file"])
        .arg(format!("{tests}/schemathesis.toml"))
        .args(["run", &app.url("/openapi.json")])
        .args(["--checks", "all", "--exclude-checks", EXCLUDED])
        .args(["--phases", "examples,coverage,fuzzing,stateful"])
        .args(["--max-examples", &examples, "--seed", "1", "--no-shrink"])
        .args(["--continue-on-failure", "--generation-database", "none"])
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", tests)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(folder.path())
        .output()
        .expect("python starts");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let cases = said
        .lines()
        .find_map(|line| line.trim().split_once(" generated")?.0.parse().ok());
    tell(&format!("schemathesis made {cases:?} cases\n{said}"));
    assert!(cases.is_some_and(|cases: u64| cases >= FEWEST), "{said}");
    app.classify(1, Act::Answer).assert_class(1);
}

#[expect(
    clippy::print_stdout,
    reason = "how many cases there were is worth knowing"
)]
fn tell(text: &str) {
    println!("{text}");
}
