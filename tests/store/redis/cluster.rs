//! A real cluster on this machine: the queue lives on one of its nodes, and moves with its slot.

use beagle::store::redis::RedisStore;
use beagle::store::{
    Cancelled, Completed, Enqueued, Failed, JobState, JobStore, Start, UnixMillis,
};

use super::{until_it_takes_a_job, usable};
use crate::fixture::{
    NEVER, accept, accept_many, claim_one, completion, die, failure, finish_one, job, keyed,
    limits, run_one, soon, state,
};
use crate::redis_server::{RedisServer, free_port};

/// Hash slots of a cluster.
const SLOTS: u16 = 16_384;

/// Three primaries that know each other.
fn three() -> Vec<RedisServer> {
    let nodes: Vec<RedisServer> = (0..3).map(|_| node()).collect();
    for (at, node) in nodes.iter().enumerate() {
        let from = SLOTS / 3 * at as u16;
        let to = if at == 2 { SLOTS } else { from + SLOTS / 3 };
        node.run::<()>(&format!("CLUSTER ADDSLOTSRANGE {from} {}", to - 1));
        node.run::<()>(&format!("CLUSTER SET-CONFIG-EPOCH {}", at + 1));
        meet(&nodes[0], node);
    }
    nodes
}

fn node() -> RedisServer {
    RedisServer::start_as(&[], || {
        let bus = free_port().to_string();
        let words = ["--cluster-enabled", "yes", "--cluster-port", &bus];
        let words = words.iter().chain(&["--cluster-node-timeout", "1000"]);
        words.map(|word| word.to_string()).collect()
    })
}

fn meet(first: &RedisServer, other: &RedisServer) {
    if first.port() != other.port() {
        let bus: Vec<String> = other.run("CONFIG GET cluster-port");
        let (port, bus) = (other.port(), &bus[1]);
        first.run::<()>(&format!("CLUSTER MEET 127.0.0.1 {port} {bus}"));
    }
}

async fn agreed(nodes: &[RedisServer]) {
    soon(async {
        let fine = |node: &RedisServer| {
            let info: String = node.run("CLUSTER INFO");
            let known = format!("cluster_known_nodes:{}", nodes.len());
            info.contains("cluster_state:ok") && info.contains(&known)
        };
        while !nodes.iter().all(fine) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn open(nodes: &[RedisServer]) -> RedisStore {
    let hosts: Vec<String> = (nodes.iter())
        .map(|node| format!("127.0.0.1:{}", node.port()))
        .collect();
    RedisStore::open(&format!("redis+cluster://{}", hosts.join(",")), limits()).unwrap()
}

/// Which node has the queue.
fn owner(nodes: &[RedisServer]) -> usize {
    let slot: u16 = nodes[0].run("CLUSTER KEYSLOT {beagle:0}:");
    usize::from(slot / (SLOTS / 3)).min(2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_does_everything_on_one_node_of_a_cluster() {
    let nodes = three();
    agreed(&nodes).await;
    let store = open(&nodes);
    let said = store.description().durability;
    assert!(
        said.contains("cluster") && said.contains("failover"),
        "{said}"
    );
    let mut ended = store.ended();

    let first = accept(&store, keyed("order 1", "a")).await;
    let again = store.enqueue(keyed("order 1", "a")).await;
    assert_eq!(again, Ok(Enqueued::Existing(first)));
    let lease = claim_one(&store).await.lease;
    store.heartbeat(&[lease]).await.unwrap();
    store.release(&[lease]).await.unwrap();
    let lease = run_one(&store).await;
    let failed = store.fail(&[failure(lease, "no")]).await;
    assert_eq!(failed, Ok(vec![Failed::Again]));
    assert_eq!(finish_one(&store, "a dog").await, first);
    assert_eq!(soon(ended.recv()).await, Ok(first));
    let dead = die(&store, job(), "no").await;
    let deadline = UnixMillis::now().after(NEVER);
    assert_eq!(store.retry(dead, deadline).await, Ok(true));
    assert_eq!(store.cancel(dead).await, Ok(Some(Cancelled::Now)));
    store.tend().await.unwrap();
    assert_eq!(store.list(None, 10).await.unwrap().len(), 2);
    assert_eq!(store.purge(JobState::Cancelled).await, Ok(1));
    store.doctor().await.unwrap();
    accept_many(&store, 3).await;
    let kept = &nodes[owner(&nodes)];
    assert_eq!(kept.run::<u64>("ZCARD {beagle:0}:live"), 3);

    // Another process, which is told of another node alone.
    let other = &nodes[(owner(&nodes) + 1) % 3];
    let url = format!("redis+cluster://127.0.0.1:{}", other.port());
    let there = RedisStore::open(&url, limits()).unwrap();
    assert_eq!(there.stats().await.unwrap().queued, 3);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_fails_over_takes_the_queue_with_it() {
    let mut nodes = three();
    agreed(&nodes).await;
    let at = owner(&nodes);
    let replica = node();
    meet(&nodes[at], &replica);
    let primary: String = nodes[at].run("CLUSTER MYID");
    soon(async {
        while !replica.run::<String>("CLUSTER NODES").contains(&primary) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    nodes.push(replica);
    agreed(&nodes).await;
    nodes[3].run::<()>(&format!("CLUSTER REPLICATE {primary}"));
    soon(async {
        while !(nodes[3].run::<String>("INFO replication")).contains("master_link_status:up") {
            tokio::task::yield_now().await;
        }
    })
    .await;

    let store = open(&nodes);
    let offered = accept_many(&store, 10).await;
    let running = run_one(&store).await;
    // On a connection that has written something since, to wait for what was copied.
    let mut connection = nodes[at].connect();
    let mut copied = redis::pipe();
    copied.cmd("SET").arg("{beagle:0}:mark").arg(1).ignore();
    copied.cmd("WAIT").arg(1).arg(10_000);
    assert_eq!(copied.query::<(u64,)>(&mut connection).unwrap(), (1,));
    nodes[at].kill();

    until_it_takes_a_job(&store).await;
    usable(&store).await;
    for id in &offered {
        assert!(state(&store, *id).await.is_some(), "{id}");
    }
    assert_eq!(store.start(&[running]).await, Ok(vec![Start::Run]));
    let done = store.complete(&[completion(running, "a dog")]).await;
    assert_eq!(done, Ok(vec![Completed::First]));
}
