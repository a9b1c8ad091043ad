//! The program: parse, run, exit code. Everything else is in the library.

use std::process::ExitCode;

use beagle::cli::Cli;
use clap::Parser as _;

fn main() -> ExitCode {
    Cli::parse().run()
}
