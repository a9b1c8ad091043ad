//! A real process that uses the queue, tells what it has done on stderr, and can be killed.

use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use beagle::store::sqlite::{SqliteStore, Synchronous};
use beagle::store::{JobId, NewJob, Priority, StoreLimits, UnixMillis};
use bytes::Bytes;

use crate::fixture::{GUARD, NEVER, accept, claim_one, finish_one, job, limits, run_one};

const ROLE: &str = "BEAGLE_STORE_TEST_ROLE";
const FILE: &str = "BEAGLE_STORE_TEST_FILE";
/// Bytes of the pixels of [`own_job`]; several pages of the file.
const PIXELS: usize = 30_000;

/// A running child; killed when dropped.
pub(crate) struct Child {
    process: process::Child,
    lines: Receiver<String>,
}

impl Child {
    /// Starts a child in one of the roles of [`entry`], on this file.
    pub(crate) fn start(role: &str, file: &Path) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "child::entry", "--nocapture", "--quiet"]);
        command.env(ROLE, role).env(FILE, file);
        let command = command
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
        Self { process, lines }
    }

    /// The next thing it says.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(GUARD).unwrap()
    }

    /// `kill -9`, waits for the end, and gives everything it had still said.
    #[track_caller]
    pub(crate) fn kill(mut self) -> Vec<String> {
        use std::os::unix::process::ExitStatusExt as _;
        self.process.kill().unwrap();
        assert_eq!(self.process.wait().unwrap().signal(), Some(9));
        self.lines.iter().collect()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Already over, as a rule.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A job whose pixels can be told from its name.
pub(crate) fn own_job() -> NewJob {
    let id = JobId::new();
    NewJob {
        id,
        pixels: own_pixels(id),
        ..job()
    }
}

/// The pixels of [`own_job`].
pub(crate) fn own_pixels(id: JobId) -> Bytes {
    let name = id.to_string().into_bytes();
    name.into_iter().cycle().take(PIXELS).collect()
}

/// What the child process runs; as a test of its own it has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entry() {
    let Ok(role) = env::var(ROLE) else { return };
    let file = env::var_os(FILE).unwrap();
    let limits = StoreLimits {
        max_jobs: 1_000_000,
        max_bytes: 64 << 30,
        ..limits()
    };
    let store = match SqliteStore::open(Path::new(&file), limits, Synchronous::Normal) {
        Ok(store) => Arc::new(store),
        Err(error) => return say(&format!("failed {error}")),
    };
    match role.as_str() {
        "hold" => {
            say("opened");
            thread::park();
        }
        "offer" => offer(&store),
        "work" => work(&store).await,
        "take" => {
            let first = run_one(&*store).await;
            let second = claim_one(&*store).await.lease;
            say(&format!("{} {}", first.fence, second.fence));
        }
        "run" => {
            run_one(&*store).await;
            say("running");
        }
        other => panic!("{other}"),
    }
    loop {
        thread::park();
    }
}

/// Offers jobs from many tasks for ever, and names each when it is accepted.
fn offer(store: &Arc<SqliteStore>) {
    for _ in 0..16 {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            loop {
                let id = accept(&*store, own_job()).await;
                say(&id.to_string());
            }
        });
    }
}

/// Finishes what it offers for ever, and names each job when its result is recorded.
async fn work(store: &Arc<SqliteStore>) {
    loop {
        let offered = NewJob {
            priority: Priority::High,
            deadline: UnixMillis::now().after(NEVER),
            ..own_job()
        };
        accept(&**store, offered).await;
        let id = finish_one(&**store, "a dog").await;
        say(&id.to_string());
    }
}

/// One write for a line: a kill does not cut it in two.
fn say(text: &str) {
    io::stderr()
        .write_all(format!("{text}\n").as_bytes())
        .unwrap();
}
