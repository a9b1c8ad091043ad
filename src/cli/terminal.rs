//! What a person sees: lines on standard output, errors on standard error, colours only on a
//! terminal that wants them.
//!
//! The one place that prints. Must not know: what is printed.

use std::io::{self, IsTerminal as _, Write as _};

/// Writes a line to standard output. A reader that has gone (`beagle ... | head`) ends the
/// program quietly, as other filters do.
pub(crate) fn line(text: &str) {
    if let Err(error) = writeln!(io::stdout().lock(), "{text}") {
        let quiet = error.kind() == io::ErrorKind::BrokenPipe;
        std::process::exit(if quiet { 0 } else { 74 });
    }
}

/// Writes a line to standard error; if that fails there is nobody left to tell.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes an error and its causes to standard error.
pub(crate) fn error(error: &anyhow::Error) {
    let label = if is_coloured(&io::stderr()) {
        "\u{1b}[1;31merror\u{1b}[0m"
    } else {
        "error"
    };
    note(&format!("{label}: {error:#}"));
}

/// Whether a stream may be coloured: a terminal, and the user did not set `NO_COLOR`
/// (no-color.org).
pub(crate) fn is_coloured(stream: &impl io::IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether standard error is a terminal, where progress bars go.
pub(crate) fn has_person() -> bool {
    io::stderr().is_terminal()
}
