//! A real process that fetches, tells its steps on stderr, and can stop at an exact point.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use model_import::fetch::{self, Fetcher, Notice, Progress, Step};

use crate::fixture::{Lab, NOWHERE, manifest};
use crate::server::GUARD;

const ROLE: &str = "BEAGLE_FETCH_TEST_ROLE";
const URL: &str = "BEAGLE_FETCH_TEST_URL";
const FROM: &str = "BEAGLE_FETCH_TEST_FROM";
const STOP: &str = "BEAGLE_FETCH_TEST_STOP";

/// How to run the child.
pub(crate) struct Orders(Command);

impl Orders {
    /// Fetches into the lab's home, with neither npm nor network.
    pub(crate) fn fetch(lab: &Lab) -> Self {
        let mut orders = Self::new(Command::new(env::current_exe().unwrap()), "fetch");
        orders.0.env("BEAGLE_HOME", lab.home());
        orders.0.env(URL, NOWHERE).env("PATH", lab.path("empty"));
        orders
    }

    /// The same, through a shell that runs `first`; the shell becomes the child.
    pub(crate) fn fetch_after(lab: &Lab, first: &str) -> Self {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!("{first}; exec \"$0\" \"$@\""));
        shell.arg(env::current_exe().unwrap());
        let mut orders = Self::new(shell, "fetch");
        orders.0.env("BEAGLE_HOME", lab.home());
        orders.0.env(URL, NOWHERE).env("PATH", lab.path("empty"));
        orders
    }

    /// Says where home is, in an environment that holds these variables alone.
    pub(crate) fn say_home(vars: &[(&str, &str)]) -> Self {
        let mut exe = Command::new(env::current_exe().unwrap());
        exe.env_clear();
        let mut orders = Self::new(exe, "home");
        orders.0.envs(vars.iter().copied());
        orders
    }

    fn new(mut command: Command, role: &str) -> Self {
        command.args(["--exact", "child::entry", "--nocapture", "--quiet"]);
        command.env(ROLE, role);
        Self(command)
    }

    pub(crate) fn url(mut self, url: &str) -> Self {
        self.0.env(URL, url);
        self
    }

    pub(crate) fn from(mut self, from: &Path) -> Self {
        self.0.env(FROM, from);
        self
    }

    /// Puts a folder in front of the usual `PATH`.
    pub(crate) fn path(mut self, bin: &Path) -> Self {
        let usual = env::var_os("PATH").unwrap_or_default();
        let folders = [bin.to_owned()].into_iter().chain(env::split_paths(&usual));
        self.0.env("PATH", env::join_paths(folders).unwrap());
        self
    }

    /// Stops for ever in this step, once so many bytes of it are done.
    pub(crate) fn stop_at(mut self, step: &str, bytes: u64) -> Self {
        self.0.env(STOP, format!("{step} {bytes}"));
        self
    }

    pub(crate) fn start(mut self) -> Child {
        let command = self
            .0
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    break;
                }
            }
        });
        Child { process, lines }
    }
}

/// A running child; killed when dropped.
pub(crate) struct Child {
    process: process::Child,
    lines: Receiver<String>,
}

impl Child {
    /// Waits for a line that contains this, and gives it.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(GUARD) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no line with `{text}` ({error}); there were {seen:#?}"),
            }
        }
    }

    /// `kill -9`, and waits for the end.
    #[track_caller]
    pub(crate) fn kill(mut self) {
        use std::os::unix::process::ExitStatusExt as _;
        self.process.kill().unwrap();
        assert_eq!(self.process.wait().unwrap().signal(), Some(9));
    }

    /// Everything it still says, to its end.
    pub(crate) fn finish(mut self) -> String {
        let rest: Vec<String> = self.lines.iter().collect();
        self.process.wait().unwrap();
        rest.join("\n")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Already over, as a rule.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the child process runs; as a test of its own it has nothing to do.
#[test]
fn entry() {
    let Ok(role) = env::var(ROLE) else { return };
    let home = fetch::home();
    if role == "home" {
        return match home {
            Ok(home) => say(&format!("home {}", home.display())),
            Err(error) => say(&format!("failed {error}")),
        };
    }
    let mut fetcher = Fetcher::of(home.unwrap(), manifest());
    fetcher.url = env::var(URL).unwrap();
    fetcher.from = env::var_os(FROM).map(Into::into);
    fetcher.progress = Box::new(Teller {
        stop: env::var(STOP).unwrap_or_default(),
        step: Mutex::default(),
    });
    match fetcher.fetch() {
        Ok(weights) => say(&format!("done {}", weights.path().display())),
        Err(error) => say(&format!("failed {error}")),
    }
}

struct Teller {
    stop: String,
    step: Mutex<&'static str>,
}

impl Progress for Teller {
    fn step(&self, step: &Step) {
        let name = match step {
            Step::Verify { .. } => "verify",
            Step::Copy { .. } => "copy",
            Step::Unpack { .. } => "unpack",
            Step::Npm => "npm",
            Step::Download { .. } => "download",
            Step::SetAside => "set-aside",
            Step::Install => "install",
        };
        *self.step.lock().unwrap() = name;
        self.position(0);
    }

    fn position(&self, bytes: u64) {
        let Some((step, from)) = self.stop.split_once(' ') else {
            return;
        };
        if *self.step.lock().unwrap() == step && bytes >= from.parse().unwrap() {
            say("stopped");
            loop {
                thread::park();
            }
        }
    }

    fn notice(&self, notice: &Notice) {
        say(&format!("notice {notice}"));
    }
}

#[expect(clippy::print_stderr, reason = "standard error is how a child reports")]
fn say(text: &str) {
    eprintln!("{text}");
}
