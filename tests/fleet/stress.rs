//! The article's stress test on the program itself: two web processes, one worker with the real
//! model, nginx before them.
//!
//! `BEAGLE_FLEET_STRESS=500` sends as many requests as the article; without it fewer.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::ask::agent;
use crate::nginx::Nginx;
use crate::redis_server::{RedisServer, free_port};
use crate::{GUARD, number, pass, say};

/// Time between two requests: the article's.
const EVERY: Duration = Duration::from_millis(50);
const PHOTO: &[u8] = include_bytes!("../../assets/samples/cat.jpg");

/// The program with some role; ended when dropped.
struct Program {
    addr: SocketAddr,
    process: Child,
    told: Arc<Mutex<Vec<String>>>,
}

impl Program {
    fn start(role: &str, store: &str) -> Self {
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut process = Command::new(env!("CARGO_BIN_EXE_beagle"))
            .args([
                "serve",
                "--role",
                role,
                "--store",
                store,
                "--bind",
                &addr.to_string(),
            ])
            .args(["--profile", "imagenet", "--durability", "none"])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let told = Arc::new(Mutex::new(Vec::new()));
        let lines = told.clone();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        Self {
            addr,
            process,
            told,
        }
    }

    /// How many models it has said to have loaded.
    fn loaded(&self) -> usize {
        let told = self.told.lock().unwrap();
        told.iter()
            .filter(|line| line.contains("loaded and warm"))
            .count()
    }

    fn wait_until_ready(&self) {
        let until = Instant::now() + GUARD;
        let url = format!("http://{}/readyz", self.addr);
        while !agent()
            .get(&url)
            .call()
            .is_ok_and(|response| response.status() == 200)
        {
            assert!(Instant::now() < until, "{:?}", self.told);
            thread::yield_now();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One request: its status, how long it took, and the time of its batch in the model.
fn ask(door: SocketAddr) -> (u16, Duration, String) {
    let begun = Instant::now();
    let request = agent().post(format!("http://{door}/predict"));
    let mut response = request
        .header("Content-Type", "image/jpeg")
        .send(PHOTO)
        .unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    assert!(text.contains("Egyptian_cat"), "{text}");
    let timing = response
        .headers()
        .get("server-timing")
        .unwrap()
        .to_str()
        .unwrap();
    let infer = timing.split("infer;dur=").nth(1).unwrap().to_owned();
    (response.status().as_u16(), begun.elapsed(), infer)
}

#[test]
fn the_articles_stress_test_through_nginx_with_two_web_processes_and_a_worker() {
    let requests = number("BEAGLE_FLEET_STRESS", 20);
    let redis = RedisServer::start();
    let webs = [(); 2].map(|()| Program::start("web", &redis.url()));
    let worker = Program::start("worker", &redis.url());
    for program in webs.iter().chain([&worker]) {
        program.wait_until_ready();
    }
    let nginx = Nginx::start(&webs.each_ref().map(|web| web.addr));
    let begun = Instant::now();
    let answers: Vec<_> = thread::scope(|scope| {
        let asks = |number: usize| {
            let due = begun + EVERY * u32::try_from(number).unwrap();
            pass(due.saturating_duration_since(Instant::now()));
            scope.spawn(|| ask(nginx.addr))
        };
        let asking: Vec<_> = (0..requests).map(asks).collect();
        asking
            .into_iter()
            .map(|asked| asked.join().unwrap())
            .collect()
    });
    let mut times: Vec<Duration> = answers.iter().map(|answer| answer.1).collect();
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1].as_secs_f64() * 1e3;
    let batches: BTreeSet<&str> = answers.iter().map(|answer| &answer.2[..]).collect();
    say(&format!(
        "{requests} requests at {EVERY:?}: all answered; p50 {:.0} ms, p99 {:.0} ms; mean batch size {:.2}",
        at(50),
        at(99),
        requests as f64 / batches.len() as f64
    ));
    assert!(answers.iter().all(|answer| answer.0 == 200));
    assert_eq!(
        webs.each_ref().map(Program::loaded),
        [0, 0],
        "a web process loads no model"
    );
    assert_eq!(worker.loaded(), 1, "one device, one model");
}
