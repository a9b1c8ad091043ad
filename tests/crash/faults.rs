//! What is done to a server or its store in the middle of a round, and what serves afterwards.
//!
//! Must not know: how a history is checked.

use std::os::unix::process::ExitStatusExt as _;
use std::thread;
use std::time::Instant;

use beagle::observe::Point;
use beagle::store::JobState;

use crate::GUARD;
use crate::ask::{agent, keyed, look, send};
use crate::child::Orders;
use crate::fake::Act;
use crate::gather::finish;
use crate::history::{Asked, Patience, Told};
use crate::place::{Kind, Place};
use crate::scene::Scene;
use crate::server::Server;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server dies when some job comes to this point.
    At(Point),
    /// The server is killed while a batch is in the model.
    MidBatch,
    /// Redis is killed and started again.
    RedisKilled,
    /// The server stops for longer than its lease, and another one serves.
    WorkerStopped,
    /// The server is told to stop.
    Terminated,
}

impl Fault {
    /// Those of the seeded rounds, for this kind of store.
    pub(crate) fn of(kind: Kind) -> Vec<Self> {
        let points = Point::ALL.into_iter();
        // Nobody is called back here; tests/webhook does.
        let points = points.filter(|point| !point.is_of_callbacks());
        let mut faults: Vec<Self> = points.map(Self::At).collect();
        faults.push(Self::MidBatch);
        if kind == Kind::Redis {
            faults.extend([Self::RedisKilled, Self::WorkerStopped]);
        }
        faults
    }

    /// Its name in the table.
    pub(crate) fn name(self) -> String {
        match self {
            Self::At(point) => format!("killed when {}", point.name()),
            Self::MidBatch => "killed mid-batch".to_owned(),
            Self::RedisKilled => "redis killed".to_owned(),
            Self::WorkerStopped => "stopped beyond lease".to_owned(),
            Self::Terminated => "SIGTERM".to_owned(),
        }
    }

    /// Whether the model is to hold what it is told to.
    const fn holds(self) -> bool {
        matches!(self, Self::MidBatch | Self::WorkerStopped)
    }

    /// How the first server of the round is to run.
    pub(crate) fn orders(self, place: &Place, rng: &mut fastrand::Rng) -> Orders {
        let fuse = match self {
            Self::At(point) => Some((point.name().to_owned(), rng.u32(1..=10))),
            _ => None,
        };
        Orders {
            store: place.address(),
            fuse,
            gate_open: !self.holds(),
        }
    }

    /// Lets it happen after `served` requests, and gives what runs afterwards, who serves last;
    /// and what was asked here.
    pub(crate) fn strike(
        self,
        mut server: Server,
        place: &mut Place,
        scene: &Scene,
        (served, held): (usize, u16),
    ) -> (Vec<Server>, Option<Asked>) {
        let healthy = Orders {
            store: place.address(),
            fuse: None,
            gate_open: true,
        };
        let (servers, asked) = match self {
            Self::At(_) => {
                assert_eq!(server.ended().signal(), Some(9));
                (vec![Server::start(&healthy)], None)
            }
            Self::MidBatch => {
                scene.wait_for_served(served);
                let asked = hold(&server, held);
                server.kill();
                (vec![Server::start(&healthy)], Some(asked))
            }
            Self::RedisKilled => {
                scene.wait_for_served(served);
                place.redis().kill();
                place.redis().restart();
                (vec![server], None)
            }
            Self::WorkerStopped => {
                scene.wait_for_served(served);
                let asked = hold(&server, held);
                let servers = work_elsewhere(server, &healthy, scene, &asked);
                (servers, Some(asked))
            }
            Self::Terminated => {
                scene.wait_for_served(served);
                finish(server);
                (vec![Server::start(&healthy)], None)
            }
        };
        scene.settle(servers.last().expect("one serves").addr);
        (servers, asked)
    }
}

/// Sends a picture that the model holds, and waits until it is on its way there.
fn hold(server: &Server, number: u16) -> Asked {
    let agent = agent();
    let mut asked = keyed(number, Act::Wait, Patience::Async);
    let told = send(&agent, server.addr, &asked);
    let Told::Accepted(id) = told else {
        panic!("not accepted: {told:?}");
    };
    asked.told.push(told);
    let until = Instant::now() + GUARD;
    loop {
        let job = look(&agent, server.addr, id).unwrap().expect("accepted");
        if job.state == JobState::Running {
            return asked;
        }
        assert!(Instant::now() < until, "it never runs: {job:?}");
        thread::yield_now();
    }
}

/// Stops a server that holds a job until another one has ended it; then the first wakes up and
/// comes too late with the same result.
fn work_elsewhere(
    mut first: Server,
    healthy: &Orders,
    scene: &Scene,
    asked: &Asked,
) -> Vec<Server> {
    first.stop();
    let second = Server::start(healthy);
    scene.settle(second.addr);
    let held = asked.told.iter().filter_map(|told| match told {
        Told::Accepted(id) => Some(*id),
        _ => None,
    });
    let ended = crate::gather::ended(second.addr, &held.collect());
    assert!(
        ended.iter().all(|job| job.state == JobState::Done),
        "{ended:?}"
    );
    first.resume();
    first.open_gate();
    vec![first, second]
}
