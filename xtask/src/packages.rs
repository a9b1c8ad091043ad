//! Programs the chores need from the system, installed where we may, named where we may not.

use std::process::Command;

use anyhow::{Context as _, bail};

use crate::steps::succeeds;

/// Programs and the Debian packages that bring them.
const PACKAGES: [(&str, &str); 8] = [
    ("chromium", "chromium"),
    ("npm", "npm"),
    ("nginx", "nginx-light"),
    ("redis-server", "redis-server"),
    ("faketime", "faketime"),
    ("promtool", "prometheus"),
    ("python3", "python3 python3-venv"),
    ("vulkaninfo", "vulkan-tools mesa-vulkan-drivers"),
];

/// Makes sure that each program is there.
///
/// # Errors
/// Names the packages when they are missing and this user cannot install them.
pub(crate) fn install(programs: &[&str]) -> anyhow::Result<()> {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|(program, _)| programs.contains(program) && !is_there(program))
        .flat_map(|(_, packages)| packages.split(' '))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !is_root() || !is_there("apt-get") {
        bail!("the tests need the Debian packages {names}: as root, apt-get install -y {names}");
    }
    apt(&["update", "-q"])?;
    apt(&[
        &["install", "-y", "-q", "--no-install-recommends"],
        missing.as_slice(),
    ]
    .concat())
}

fn apt(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    let status = command.status().context("apt-get did not start")?;
    if status.success() {
        Ok(())
    } else {
        bail!("apt-get {} failed ({status})", arguments.join(" "))
    }
}

fn is_there(program: &str) -> bool {
    if program == "python3" {
        // Debian's comes without what makes environments.
        return succeeds("python3", &["-c", "import ensurepip"]);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
