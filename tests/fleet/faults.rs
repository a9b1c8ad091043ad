//! What goes wrong in a fleet under load, and that it goes on: whatever ends is started again.
//!
//! Must not know: how a history is checked.

use std::time::{Duration, Instant};

use crate::fleet::{Fleet, LEASE, Member};
use crate::insight::{have_ended, held_by};
use crate::proxy::Proxy;
use crate::{GUARD, pass};

/// Longer than a lease.
const BEYOND: Duration = Duration::from_secs(3);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    WorkerKilled,
    WorkerStopped,
    WebKilled,
    WebStopped,
    RedisKilled,
    RedisStopped,
    RedisSlow,
    ClientsKilled,
    Partition,
    Zombie,
    Terminated,
}

impl Fault {
    /// All of them, with their names in the table.
    pub(crate) const ALL: [(Self, &'static str); 11] = [
        (Self::WorkerKilled, "worker: kill -9"),
        (Self::WorkerStopped, "worker: SIGSTOP beyond lease"),
        (Self::WebKilled, "web: kill -9"),
        (Self::WebStopped, "web: SIGSTOP"),
        (Self::RedisKilled, "redis: kill -9"),
        (Self::RedisStopped, "redis: SIGSTOP beyond lease"),
        (Self::RedisSlow, "redis: CLIENT PAUSE"),
        (Self::ClientsKilled, "redis: CLIENT KILL"),
        (Self::Partition, "partition worker/redis"),
        (Self::Zombie, "zombie ends a reclaimed job"),
        (Self::Terminated, "SIGTERM of any process"),
    ];

    /// Lets it happen and be over; `proxy` is the way of one worker to Redis. Gives how many jobs a
    /// zombie held that others have done.
    pub(crate) fn strike(self, fleet: &mut Fleet, proxy: &Proxy, rng: &mut fastrand::Rng) -> usize {
        let pick = |rng: &mut fastrand::Rng, places: Vec<usize>| places[rng.usize(..places.len())];
        let worker = pick(rng, fleet.places(false));
        let web = pick(rng, fleet.places(true));
        let shard = rng.usize(..fleet.shards.len());
        match self {
            Self::WorkerKilled => kill(&mut fleet.members[worker]),
            Self::WebKilled => kill(&mut fleet.members[web]),
            Self::WorkerStopped => stop(&fleet.members[worker], BEYOND),
            Self::WebStopped => stop(&fleet.members[web], BEYOND),
            Self::RedisKilled => {
                fleet.shards[shard].until_written();
                fleet.shards[shard].kill();
                fleet.shards[shard].restart();
            }
            Self::RedisStopped => {
                fleet.shards[shard].stop();
                pass(BEYOND);
                fleet.shards[shard].resume();
            }
            Self::RedisSlow => {
                let millis = rng.u64(200..1500);
                fleet.shards[shard].run::<()>(&format!("CLIENT PAUSE {millis} ALL"));
                pass(Duration::from_millis(millis));
            }
            Self::ClientsKilled => {
                for kind in ["normal", "pubsub"] {
                    let _: i64 = fleet.shards[shard].run(&format!("CLIENT KILL TYPE {kind}"));
                }
            }
            Self::Partition => {
                proxy.cut();
                pass(BEYOND);
                proxy.heal();
            }
            Self::Zombie => return zombie(fleet, worker),
            Self::Terminated => {
                let place = rng.usize(..fleet.members.len());
                let member = &mut fleet.members[place];
                member.finish();
                member.start_again();
            }
        }
        0
    }
}

fn kill(member: &mut Member) {
    member.server.kill();
    member.start_again();
}

fn stop(member: &Member, time: Duration) {
    member.server.stop();
    pass(time);
    member.server.resume();
}

/// Stops a worker that has jobs in its model until others have done them; then it wakes up and
/// comes too late with its results.
fn zombie(fleet: &Fleet, worker: usize) -> usize {
    let server = &fleet.members[worker].server;
    server.stop();
    let held = held_by(&fleet.shards, server.pid(), true);
    let until = Instant::now() + GUARD;
    while !have_ended(&fleet.shards, &held) {
        assert!(
            Instant::now() < until,
            "what a stopped worker held never ends"
        );
        pass(LEASE / 20);
    }
    server.resume();
    held.len()
}
