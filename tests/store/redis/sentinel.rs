//! Real sentinels on this machine: the store finds the primary, and the next one after a failover.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use beagle::store::redis::RedisStore;
use beagle::store::{Completed, JobStore};
use tempfile::TempDir;

use super::{until_it_takes_a_job, usable};
use crate::fixture::{accept, accept_many, completion, job, limits, run_one, soon, state};
use crate::redis_server::{RedisServer, free_port, program};

/// A running sentinel, killed when dropped.
struct Sentinel {
    port: u16,
    _folder: TempDir,
    child: Child,
}

impl Sentinel {
    fn start(primary: &RedisServer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, watched) = (free_port(), primary.port());
        let file = folder.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\nsentinel monitor main 127.0.0.1 {watched} 2\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n",
            folder.path().display()
        );
        std::fs::write(&file, text).unwrap();
        let mut child = Command::new(program())
            .arg(&file)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line.contains("+monitor"))));
        // It must not wait for somebody to read what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            port,
            _folder: folder,
            child,
        }
    }

    /// Whether it knows the other sentinels and the replica.
    fn knows_all(&self) -> bool {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}/", self.port)).unwrap();
        let mut connection = client.get_connection().unwrap();
        let mut count = |what: &str| {
            let mut command = redis::cmd("SENTINEL");
            let all: Vec<redis::Value> = command
                .arg(what)
                .arg("main")
                .query(&mut connection)
                .unwrap();
            all.len()
        };
        count("SENTINELS") == 2 && count("REPLICAS") == 1
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_is_found_and_found_again_after_a_failover() {
    let mut primary = RedisServer::start();
    let port = primary.port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    let sentinels: Vec<Sentinel> = (0..3).map(|_| Sentinel::start(&primary)).collect();
    soon(async {
        while !sentinels.iter().all(Sentinel::knows_all) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The first of them is not there.
    let hosts: Vec<String> = (sentinels.iter())
        .map(|sentinel| format!("127.0.0.1:{}", sentinel.port))
        .collect();
    let url = format!(
        "redis+sentinel://127.0.0.1:{},{}/main",
        free_port(),
        hosts.join(",")
    );
    let store = RedisStore::open(&url, limits()).unwrap();
    let said = store.description().durability;
    assert!(
        said.contains("sentinels") && said.contains("failover"),
        "{said}"
    );
    let offered = accept_many(&store, 10).await;
    let running = run_one(&store).await;
    assert_eq!(primary.run::<u64>("ZCARD {beagle:0}:live"), 10);
    let mut connection = primary.connect();
    let mut copied = redis::pipe();
    copied.cmd("SET").arg("mark").arg(1).ignore();
    copied.cmd("WAIT").arg(1).arg(10_000);
    assert_eq!(copied.query::<(u64,)>(&mut connection).unwrap(), (1,));
    primary.kill();

    until_it_takes_a_job(&store).await;
    usable(&store).await;
    assert_eq!(replica.run::<u64>("ZCARD {beagle:0}:live"), 11);
    for id in &offered {
        assert!(state(&store, *id).await.is_some(), "{id}");
    }
    let done = store.complete(&[completion(running, "a dog")]).await;
    assert_eq!(done, Ok(vec![Completed::First]));
    // The bell is heard there too.
    accept(&store, job()).await;
    assert!(!soon(store.claim(20)).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_nobody_knows_is_waited_for_by_name() {
    let primary = RedisServer::start();
    let sentinel = Sentinel::start(&primary);
    let url = format!("redis+sentinel://127.0.0.1:{}/other", sentinel.port);
    let store = RedisStore::open(&url, limits()).unwrap();
    let trouble = store.places()[0].trouble.clone().unwrap();
    assert!(trouble.contains("no primary of this name"), "{trouble}");
}
