//! What a job costs in Redis, and how many a Redis takes: its own counters before and after.
//!
//! cargo bench --bench redis
//!
//! Starts the `redis-server` of the path, or the program that `BEAGLE_REDIS_SERVER` names, with an
//! append-only file in a folder of its own. Jobs have the pixels of a ResNet50; one process takes
//! them in and, in the first two tables, another runs them, in batches of 32.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use beagle::store::redis::RedisStore;
use beagle::store::{
    Completed, Completion, JobId, JobStore, Lease, NewJob, Priority, Start, StoreLimits, UnixMillis,
};
use bytes::Bytes;

/// Bytes of a job's pixels: 224 x 224 x 3.
const PIXELS: usize = 150_528;
/// Bytes of an answer with five labels.
const RESULT: usize = 400;
/// Jobs of one measurement.
const JOBS: usize = 4_000;
/// Jobs before it.
const FEW: usize = 150;
/// Jobs in a batch.
const BATCH: usize = 32;
/// Uploads at once.
const UPLOADS: usize = 64;

/// Redis, killed when dropped.
struct Server {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(fsync: &str) -> Self {
        let program = std::env::var("BEAGLE_REDIS_SERVER").unwrap_or("redis-server".to_owned());
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let port = free.local_addr().expect("it is bound").port().to_string();
        drop(free);
        let child = Command::new(program)
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", fsync, "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed");
        Self {
            child,
            url: format!("redis://127.0.0.1:{port}/"),
            _folder: folder,
        }
    }

    fn counters(&self) -> Counters {
        let client = redis::Client::open(self.url.as_str()).expect("the address is one");
        let mut connection = client.get_connection().expect("Redis answers");
        let mut ask = |section: &str| -> String {
            let mut info = redis::cmd("INFO");
            info.arg(section)
                .query(&mut connection)
                .expect("it answers")
        };
        let text = ["stats", "cpu", "persistence", "commandstats"]
            .map(&mut ask)
            .join("\n");
        let mut numbers = BTreeMap::new();
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            let value = value.split(',').next().unwrap_or("");
            let value = value.trim_start_matches("calls=").trim();
            if let Ok(number) = value.parse::<f64>() {
                numbers.insert(name.to_owned(), number);
            }
        }
        Counters(numbers)
    }

    fn open(&self) -> Arc<RedisStore> {
        let limits = StoreLimits {
            max_jobs: 1_000_000,
            max_bytes: 64 << 30,
            ..StoreLimits::default()
        };
        let store = RedisStore::open(&self.url, limits).expect("the address is one");
        let begun = Instant::now();
        while store.places().iter().any(|place| place.trouble.is_some()) {
            assert!(
                begun.elapsed() < Duration::from_secs(10),
                "Redis does not start"
            );
            std::thread::yield_now();
        }
        Arc::new(store)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What Redis has counted since its start.
struct Counters(BTreeMap<String, f64>);

impl Counters {
    /// How much more a counter is than it was.
    fn more(&self, before: &Self, name: &str) -> f64 {
        let of = |counters: &Self| counters.0.get(name).copied().unwrap_or(0.0);
        of(self) - of(before)
    }
}

fn main() {
    // `cargo test --benches` only wants to know whether it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("there are threads");
    for fsync in ["everysec", "always"] {
        for (who, apart) in [("a web and a worker process", true), ("one process", false)] {
            let server = Server::start(fsync);
            let web = server.open();
            let worker = if apart { server.open() } else { web.clone() };
            // The scripts are loaded then and the buffers have grown.
            runtime.block_on(all(&web, &worker, FEW));
            // So few that the append-only file is not written anew meanwhile.
            let first = server.counters();
            runtime.block_on(all(&web, &worker, FEW));
            let file = server.counters().more(&first, "aof_current_size") / FEW as f64;
            let before = server.counters();
            let begun = Instant::now();
            runtime.block_on(all(&web, &worker, JOBS));
            let took = begun.elapsed();
            let title = format!("appendfsync {fsync}, {who}");
            report(&title, &before, &server.counters(), took, file);
        }
    }
}

/// Offers so many jobs and runs them all.
async fn all(web: &Arc<RedisStore>, worker: &Arc<RedisStore>, jobs: usize) {
    let left = Arc::new(AtomicUsize::new(jobs));
    let pixels: Vec<u8> = (0..PIXELS).map(|_| fastrand::u8(..)).collect();
    let pixels = Bytes::from(pixels);
    let uploads: Vec<_> = (0..UPLOADS)
        .map(|_| {
            let (web, left, pixels) = (web.clone(), left.clone(), pixels.clone());
            tokio::spawn(async move {
                let more = |left: usize| left.checked_sub(1);
                while left
                    .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
                    .is_ok()
                {
                    web.enqueue(job(&pixels)).await.expect("there is room");
                }
            })
        })
        .collect();
    let mut done = 0;
    while done < jobs {
        let claimed = worker.claim(BATCH).await.expect("Redis answers");
        let leases: Vec<Lease> = claimed.iter().map(|job| job.lease).collect();
        let started = worker.start(&leases).await.expect("Redis answers");
        assert!(started.iter().all(|start| *start == Start::Run));
        let results: Vec<Completion> = leases
            .iter()
            .map(|lease| Completion {
                lease: *lease,
                result: Bytes::from(vec![b'1'; RESULT]),
            })
            .collect();
        let completed = worker.complete(&results).await.expect("Redis answers");
        assert!(completed.iter().all(|one| *one == Completed::First));
        done += leases.len();
    }
    for upload in uploads {
        upload.await.expect("it does not panic");
    }
}

fn job(pixels: &Bytes) -> NewJob {
    NewJob {
        id: JobId::new(),
        pixels: pixels.clone(),
        profile: "imagenet".to_owned(),
        top: 5,
        priority: Priority::Normal,
        created: UnixMillis::now(),
        deadline: UnixMillis::now().after(Duration::from_secs(3600)),
        idempotency: None,
        callback: None,
        traceparent: None,
    }
}

#[expect(clippy::print_stdout, reason = "it is a report")]
fn report(title: &str, before: &Counters, after: &Counters, took: Duration, file: f64) {
    let jobs = JOBS as f64;
    let a_job = |name: &str| after.more(before, name) / jobs;
    let seconds = took.as_secs_f64();
    let cpu = a_job("used_cpu_user") + a_job("used_cpu_sys");
    let calls = |names: &[&str]| -> f64 {
        names
            .iter()
            .map(|name| a_job(&format!("cmdstat_{name}")))
            .sum()
    };
    println!("{title}, {JOBS} jobs:");
    println!(
        "  jobs/s {:.0}, MB/s in {:.0}, out {:.0}",
        jobs / seconds,
        a_job("total_net_input_bytes") * jobs / seconds / 1e6,
        a_job("total_net_output_bytes") * jobs / seconds / 1e6
    );
    println!(
        "  a job: bytes in {:.0}, out {:.0}, to the append-only file {:.0}",
        a_job("total_net_input_bytes"),
        a_job("total_net_output_bytes"),
        file
    );
    println!(
        "  a job: {:.1} commands, {:.2} of them scripts",
        a_job("total_commands_processed"),
        calls(&["evalsha"])
    );
    println!(
        "  a job: {:.0} us of Redis' processor time, of its main thread {:.0} us ({:.0} % of a core \
        while measured)",
        cpu * 1e6,
        (a_job("used_cpu_user_main_thread") + a_job("used_cpu_sys_main_thread")) * 1e6,
        (a_job("used_cpu_user_main_thread") + a_job("used_cpu_sys_main_thread")) * jobs / seconds
            * 100.0
    );
    let mut all: Vec<(f64, &str)> = after
        .0
        .keys()
        .filter_map(|name| Some((a_job(name), name.strip_prefix("cmdstat_")?)))
        .filter(|(calls, _)| *calls >= 0.01)
        .collect();
    all.sort_by(|one, other| other.0.total_cmp(&one.0));
    let all: Vec<String> = all
        .iter()
        .map(|(calls, name)| format!("{name} {calls:.2}"))
        .collect();
    println!("  {}", all.join(", "));
}
