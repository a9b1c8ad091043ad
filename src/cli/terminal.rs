//! Lines on standard output, errors on standard error.
//!
//! The one place that prints. Colours are the crate `console`'s, which leaves them out where the
//! stream is no terminal or `NO_COLOR` is set. Must not know: what is printed.

use std::io::{self, IsTerminal as _, Write as _};

/// Writes a line to standard output. A reader that has gone (`beagle ... | head`) ends the
/// program quietly, as other filters do.
pub(crate) fn line(text: &str) {
    if let Err(error) = writeln!(io::stdout().lock(), "{text}") {
        let quiet = error.kind() == io::ErrorKind::BrokenPipe;
        std::process::exit(if quiet { 0 } else { 74 });
    }
}

/// Whether a person sees standard output, and not a file or a program.
pub(crate) fn is_seen() -> bool {
    io::stdout().is_terminal()
}

/// Writes a line to standard error; if that fails there is nobody left to tell.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes an error and its causes to standard error.
pub(crate) fn error(error: &anyhow::Error) {
    let label = console::style("error").for_stderr().red().bold();
    note(&format!("{label}: {error:#}"));
}
