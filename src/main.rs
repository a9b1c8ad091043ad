//! The program: parse, run, exit code. Everything else is in the library.

use std::process::ExitCode;

use beagle::cli::Cli;
use clap::Parser as _;

/// A server lives for months: the C library's allocator grew by a tenth over 100,000 requests, this
/// one does not (ARCHITECTURE.md, "Memory").
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
