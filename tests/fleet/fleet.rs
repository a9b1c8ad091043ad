//! A fleet: Redis, web processes, workers and nginx before them, all on this machine.
//!
//! Must not know: what is asked, what goes wrong.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use beagle::config::layer::Role;
use beagle::store::{Demand, JobStore, StoreLimits, sharded};

use crate::GUARD;
use crate::child::Orders;
use crate::nginx::Nginx;
use crate::redis_server::{RedisServer, free_port};
use crate::server::Server;

/// Redis servers of a fleet; their addresses together are the store's.
const SHARDS: usize = 2;
/// Short, so that what a stopped process held comes back soon; long enough for three heartbeats on
/// a busy machine.
pub(crate) const LEASE: Duration = Duration::from_secs(2);
/// How long the planned model takes for a batch.
const BATCH: Duration = Duration::from_millis(20);

/// The store at the addresses of all shards.
pub(crate) fn open(store: &str, lease: Duration) -> Arc<dyn JobStore> {
    let limits = StoreLimits {
        lease,
        ..StoreLimits::default()
    };
    let addresses: Vec<String> = store.split(',').map(str::to_owned).collect();
    let anything: Demand = Arc::new(|_| Ok(()));
    sharded::open(&addresses, limits, &anything).unwrap()
}

/// A process of the fleet, and how it is started again.
pub(crate) struct Member {
    pub(crate) orders: Orders,
    pub(crate) server: Server,
}

impl Member {
    pub(crate) fn start(orders: Orders) -> Self {
        let server = Server::start(&orders);
        Self { orders, server }
    }

    /// As its supervisor does when it has ended.
    pub(crate) fn start_again(&mut self) {
        self.server = Server::start(&self.orders);
    }

    /// SIGTERM, and waits for an end in order.
    #[track_caller]
    pub(crate) fn finish(&mut self) {
        self.server.terminate();
        assert_eq!(self.server.ended().code(), Some(0), "after SIGTERM");
    }

    pub(crate) const fn is_web(&self) -> bool {
        matches!(self.orders.role, Role::Web)
    }
}

/// Everything that runs.
pub(crate) struct Fleet {
    pub(crate) members: Vec<Member>,
    pub(crate) nginx: Nginx,
    pub(crate) shards: Vec<RedisServer>,
}

impl Fleet {
    /// So many web processes and workers.
    pub(crate) fn start(web: usize, workers: usize) -> Self {
        Self::with(web, workers, |_, _| {})
    }

    /// The same, with orders that differ from member to member.
    pub(crate) fn with(web: usize, workers: usize, change: impl Fn(usize, &mut Orders)) -> Self {
        let shards: Vec<RedisServer> = (0..SHARDS).map(|_| RedisServer::start()).collect();
        let addresses: Vec<String> = shards.iter().map(RedisServer::url).collect();
        let store = addresses.join(",");
        let roles = std::iter::repeat_n(Role::Web, web);
        let roles = roles.chain(std::iter::repeat_n(Role::Worker, workers));
        let members = roles.enumerate().map(|(number, role)| {
            let mut orders = orders(&store, role);
            change(number, &mut orders);
            Member::start(orders)
        });
        let members: Vec<Member> = members.collect();
        let webs = members.iter().filter(|member| member.is_web());
        let webs: Vec<SocketAddr> = webs.map(|member| member.server.addr).collect();
        Self {
            nginx: Nginx::start(&webs),
            members,
            shards,
        }
    }

    /// Where clients ask.
    pub(crate) fn door(&self) -> SocketAddr {
        self.nginx.addr
    }

    pub(crate) fn store(&self) -> &str {
        &self.members[0].orders.store
    }

    /// The places of the web processes, or of the workers, among the members.
    pub(crate) fn places(&self, web: bool) -> Vec<usize> {
        let all = 0..self.members.len();
        all.filter(|at| self.members[*at].is_web() == web).collect()
    }

    /// Ends every process in order.
    pub(crate) fn finish(self) {
        for mut member in self.members {
            member.finish();
        }
    }
}

/// What a member is told if nothing else is.
pub(crate) fn orders(store: &str, role: Role) -> Orders {
    Orders {
        store: store.to_owned(),
        role,
        // It must be the same when it is started again.
        bind: ([127, 0, 0, 1], free_port()).into(),
        batch: BATCH,
        image: Duration::ZERO,
        side: 2,
        max_batch: 8,
        gate_open: true,
        lease: LEASE,
        drain_delay: Duration::from_millis(300),
        wedge: GUARD,
        other: true,
        otlp: None,
    }
}
