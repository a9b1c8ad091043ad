//! Commands run one after the other, each named and timed; a failed one is told again at the end.

use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Variables that cargo sets for the program it runs.
const ABOUT_US: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_"];

/// What ran, and what failed.
#[derive(Default)]
pub(crate) struct Steps {
    failed: Vec<String>,
    ran: usize,
}

impl Steps {
    /// Runs cargo; a failure is noted and the next step goes on.
    pub(crate) fn cargo(&mut self, name: &str, arguments: &[&str]) {
        self.cargo_with(name, arguments, &[]);
    }

    /// The same, with variables added to its environment.
    pub(crate) fn cargo_with(
        &mut self,
        name: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) {
        say(&format!("==> {name}: cargo {}", arguments.join(" ")));
        let start = Instant::now();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args(arguments).envs(environment.iter().copied());
        // What cargo told this program about itself would make build scripts run again, and
        // plain cargo would undo it.
        for (name, _) in std::env::vars_os() {
            let of_ours = ABOUT_US
                .iter()
                .any(|start| name.to_string_lossy().starts_with(start));
            if of_ours {
                command.env_remove(name);
            }
        }
        let status = command.status();
        let passed = status.is_ok_and(|status| status.success());
        let verdict = if passed { "passed" } else { "FAILED" };
        say(&format!(
            "==> {name}: {verdict} after {} s",
            start.elapsed().as_secs()
        ));
        self.note(name, passed);
    }

    /// Notes what a step that is no command came to, and whether the rest makes sense.
    pub(crate) fn require(&mut self, name: &str, result: anyhow::Result<()>) -> bool {
        if let Err(error) = &result {
            say(&format!("==> {name}: FAILED: {error:#}"));
        }
        self.note(name, result.is_ok());
        result.is_ok()
    }

    /// The verdict, and the names of what failed.
    pub(crate) fn finish(self) -> ExitCode {
        if self.failed.is_empty() {
            say(&format!("==> all {} steps passed", self.ran));
            return ExitCode::SUCCESS;
        }
        say(&format!("==> FAILED: {}", self.failed.join(", ")));
        ExitCode::FAILURE
    }

    fn note(&mut self, name: &str, passed: bool) {
        self.ran += 1;
        if !passed {
            self.failed.push(name.to_owned());
        }
    }
}

/// Whether a command can be run and ends well; its output is not shown.
pub(crate) fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[expect(clippy::print_stdout, reason = "a chore talks to whoever runs it")]
fn say(text: &str) {
    println!("{text}");
}
