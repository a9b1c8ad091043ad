//! How a server process of a test and its parent talk: lines with a mark on stdout, orders on stdin.
//!
//! Must not know: what is served, what is checked.

use std::io::{self, BufRead as _};
use std::sync::Arc;
use std::thread;

use crate::fake::Stage;
use crate::say;

/// What every line for the parent begins with; the test harness has lines of its own.
pub(crate) const MARK: &str = "@";
/// Told on stdin: whatever waits in the model goes on.
pub(crate) const OPEN: &str = "open";

/// The model's stage, its gate open or opened at the parent's word. Says when a batch waits there.
pub(crate) fn stage(gate_open: bool) -> Arc<Stage> {
    let stage = Arc::new(Stage::default());
    if gate_open {
        stage.open();
    } else {
        let stage = stage.clone();
        thread::spawn(move || {
            stage.wait_for_batches(1);
            say(&format!("{MARK} holding"));
        });
    }
    let listener = stage.clone();
    thread::spawn(move || listen(&listener));
    stage
}

/// Does as it is told; a parent that is gone needs no process.
fn listen(stage: &Stage) {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        if line == OPEN {
            stage.open();
        }
    }
    std::process::exit(1);
}
