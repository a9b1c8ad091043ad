//! Throughput with one, two and four workers of a model that takes 10 ms for a batch of 32, and what
//! the processor and Redis do meanwhile.
//!
//! `BEAGLE_FLEET_SECONDS` says how long each measurement is; without it a moment.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::ask::agent;
use crate::fake::{Act, picture};
use crate::fleet::Fleet;
use crate::redis_server::RedisServer;
use crate::{number, pass, say};

/// Images of a batch, and of a request.
const BATCH: usize = 32;
/// Clients at once, each with a request of [`BATCH`] images.
const CLIENTS: usize = 16;
/// Clock ticks a second of `/proc`, on every Linux.
const TICKS: f64 = 100.0;

/// Processor seconds of a process so far.
fn cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name before the last bracket may hold anything.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS
}

/// A number of Redis' own statistics.
fn info(redis: &RedisServer, name: &str) -> f64 {
    let all: String = redis.run("INFO everything");
    let mut lines = all.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().parse().unwrap()
}

/// A body of [`BATCH`] images.
fn body() -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..BATCH {
        let head = "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"p\"\r\n\r\n";
        body.extend_from_slice(head.as_bytes());
        body.extend(picture(1, Act::Answer));
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b--\r\n");
    body
}

fn ask_on(door: SocketAddr, body: &[u8], over: &AtomicBool, done: &AtomicUsize) {
    let agent = agent();
    while !over.load(Ordering::Relaxed) {
        let request = agent.post(format!("http://{door}/predict"));
        let request = request.header("Content-Type", "multipart/form-data; boundary=b");
        let mut response = request.send(body).unwrap();
        assert_eq!(response.status().as_u16(), 200);
        response.body_mut().read_to_vec().unwrap();
        done.fetch_add(BATCH, Ordering::Relaxed);
    }
}

fn measure(workers: usize, side: u32, time: Duration) -> usize {
    let fleet = Fleet::with(2, workers, |_, orders| {
        orders.batch = Duration::from_millis(10);
        orders.max_batch = BATCH;
        orders.side = side;
    });
    let all = |name: &str| {
        fleet
            .shards
            .iter()
            .map(|shard| info(shard, name))
            .sum::<f64>()
    };
    let (door, over, done, body) = (
        fleet.door(),
        AtomicBool::new(false),
        AtomicUsize::new(0),
        body(),
    );
    let members = || fleet.members.iter().map(|member| cpu(member.server.pid()));
    let names = [
        "total_commands_processed",
        "total_net_input_bytes",
        "total_net_output_bytes",
    ];
    let of_redis = || {
        let busy = all("used_cpu_user") + all("used_cpu_sys");
        (busy, names.map(all))
    };
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| ask_on(door, &body, &over, &done));
        }
        while done.load(Ordering::Relaxed) < BATCH * CLIENTS {
            thread::yield_now();
        }
        let (begun, first) = (Instant::now(), done.load(Ordering::Relaxed));
        let (before, nginx, own) = (
            members().collect::<Vec<_>>(),
            cpu(fleet.nginx.pid()),
            cpu(std::process::id()),
        );
        let (busy, counts) = of_redis();
        pass(time);
        let jobs = done.load(Ordering::Relaxed) - first;
        let seconds = begun.elapsed().as_secs_f64();
        let percent = |used: f64| used / seconds * 100.0;
        let used: Vec<String> = members()
            .zip(before)
            .zip(&fleet.members)
            .map(|((after, before), member)| {
                format!(
                    "{} {:.0} %",
                    if member.is_web() { "web" } else { "worker" },
                    percent(after - before)
                )
            })
            .collect();
        let (busier, counted) = of_redis();
        let each = |at: usize| (counted[at] - counts[at]) / jobs as f64;
        say(&format!(
            "{side} x {side} pixels, {workers} worker(s): {:.0} jobs/s of at most {}; cores: {}, nginx {:.0} %, all redis {:.0} %, clients {:.0} \
             %; redis a job: {:.1} commands, {:.0} bytes in, {:.0} out, {:.0} us; {:.0} commands/s",
            jobs as f64 / seconds,
            workers * BATCH * 100,
            used.join(", "),
            percent(cpu(fleet.nginx.pid()) - nginx),
            percent(busier - busy),
            percent(cpu(std::process::id()) - own),
            each(0),
            each(1),
            each(2),
            (busier - busy) * 1e6 / jobs as f64,
            (counted[0] - counts[0]) / seconds,
        ));
        over.store(true, Ordering::Relaxed);
        jobs
    });
    let jobs = done.into_inner();
    fleet.finish();
    jobs
}

#[test]
fn more_workers_do_more_until_a_core_or_redis_is_the_limit() {
    let time = Duration::from_secs(number("BEAGLE_FLEET_SECONDS", 1) as u64);
    // So small that only jobs count, and the size of the real network's input.
    for side in [2, 224] {
        for workers in [1, 2, 4] {
            assert!(measure(workers, side, time) > 0);
        }
    }
}
