//! The project's chores, one command each. `cargo xtask test` is what CI runs.

mod packages;
mod python;
mod steps;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use steps::Steps;

/// Beagle's chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Installs what the tests need (Debian, as root), then checks style, lints and runs every
    /// test.
    ///
    /// Example: cargo xtask test
    Test,
    /// Runs the parity suite on more backends than the default one.
    ///
    /// Needs a device or driver for each; on Debian without a GPU, mesa-vulkan-drivers brings a
    /// software one for wgpu and vulkan. Builds for over ten minutes the first time.
    ///
    /// Example: cargo xtask parity wgpu
    Parity {
        /// Backends to build in and test, as Cargo features: wgpu, vulkan, cuda, ...
        #[arg(required = true)]
        backends: Vec<String>,
    },
    /// Type-checks the builds for GPUs that this machine may not have.
    CheckBackends,
}

fn main() -> ExitCode {
    let mut steps = Steps::default();
    match Cli::parse().chore {
        Chore::Test => test(&mut steps),
        Chore::Parity { backends } => parity(&mut steps, &backends),
        Chore::CheckBackends => check_backends(&mut steps),
    }
    steps.finish()
}

fn test(steps: &mut Steps) {
    if !steps.require(
        "packages",
        packages::install(&[
            "chromium",
            "npm",
            "redis-server",
            "nginx",
            "faketime",
            "python3",
            "promtool",
        ]),
    ) {
        return;
    }
    let mut python = String::new();
    let made = python::provide().map(|path| python = path.to_string_lossy().into_owned());
    if !steps.require("python clients", made) {
        return;
    }
    steps.cargo("format", &["fmt", "--all", "--check"]);
    // One build serves the program and all tests; clippy's view of it is the only extra.
    let nextest = [
        "nextest",
        "run",
        "--workspace",
        "--release",
        "--no-fail-fast",
    ];
    let plain = [
        "test",
        "--workspace",
        "--release",
        "--no-fail-fast",
        "--lib",
        "--bins",
        "--tests",
    ];
    let has_nextest = steps::succeeds("cargo", &["nextest", "--version"]);
    let tests: &[&str] = if has_nextest { &nextest } else { &plain };
    steps.cargo_with("tests", tests, &[("BEAGLE_TEST_PYTHON", &python)]);
    steps.cargo(
        "documentation tests",
        &["test", "--workspace", "--release", "--doc"],
    );
    steps.cargo(
        "lints",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--release",
            "--",
            "-D",
            "warnings",
        ],
    );
}

fn parity(steps: &mut Steps, backends: &[String]) {
    if !steps.require("packages", packages::install(&["npm", "vulkaninfo"])) {
        return;
    }
    let features = backends.join(",");
    let only = [
        "test",
        "--release",
        "--test",
        "parity",
        "--features",
        &features,
        "--",
        "--nocapture",
    ];
    steps.cargo_with("parity", &only, &[("BEAGLE_PARITY_BACKENDS", &features)]);
}

fn check_backends(steps: &mut Steps) {
    for features in ["cuda", "vulkan", "wgpu,vulkan,metal,cuda,rocm"] {
        let check = ["check", "--package", "beagle", "--features", features];
        // burn's CUDA backend downloads an LLVM to build with. Types can be checked without it,
        // and its build script leaves it out where documentation is built.
        steps.cargo_with(features, &check, &[("DOCS_RS", "1")]);
    }
}
