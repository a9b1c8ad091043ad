//! A steady load that nobody checks the history of: how many were answered, how many were not.
//!
//! Must not know: what happens to the fleet meanwhile.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Scope;
use std::time::Instant;

use crate::GUARD;
use crate::ask::{agent, send};
use crate::fake::Act;
use crate::history::{Asked, Patience, Told};

/// Clients that ask again and again, without a key, until they are told to stop.
pub(crate) struct Load {
    doors: Vec<SocketAddr>,
    over: AtomicBool,
    answered: AtomicUsize,
    failed: Mutex<Vec<Told>>,
}

/// Threads that go on until this is dropped.
pub(crate) struct Asking<'a>(pub(crate) &'a AtomicBool);

impl Load {
    /// A load on one address.
    pub(crate) fn on(door: SocketAddr) -> Self {
        Self::on_ready(vec![door])
    }

    /// A load on several: each request goes to one that has just said that it is ready, and to no
    /// other, as a balancer would have it that asks for readiness.
    pub(crate) fn on_ready(doors: Vec<SocketAddr>) -> Self {
        Self {
            doors,
            over: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            failed: Mutex::default(),
        }
    }

    /// So many clients begin. They end, each with the answer to its last request, when what this
    /// gives is dropped: a test that fails half way does not wait for them for ever.
    pub(crate) fn begin<'scope>(
        &'scope self,
        count: u16,
        scope: &'scope Scope<'scope, '_>,
    ) -> Asking<'scope> {
        for client in 0..count {
            scope.spawn(move || self.go_on(client));
        }
        Asking(&self.over)
    }

    /// Waits until so many more have been answered.
    #[track_caller]
    pub(crate) fn wait_for_more(&self, count: usize) {
        let wanted = self.answered() + count;
        let until = Instant::now() + GUARD;
        while self.answered() < wanted {
            assert!(Instant::now() < until, "no more answers come");
            std::thread::yield_now();
        }
    }

    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// What those were told who got no answer.
    pub(crate) fn failed(&self) -> Vec<Told> {
        self.failed.lock().unwrap().clone()
    }

    /// The same, each with how often it was told.
    pub(crate) fn failed_by_reason(&self) -> Vec<(String, usize)> {
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for told in self.failed() {
            *times.entry(format!("{told:?}")).or_default() += 1;
        }
        times.into_iter().collect()
    }

    fn go_on(&self, client: u16) {
        let agent = agent();
        let asked = Asked {
            number: client,
            act: Act::Answer,
            keyed: false,
            patience: Patience::Waits,
            told: Vec::new(),
        };
        let mut turns = self.doors.iter().cycle();
        while let Some(door) = turns.next()
            && !self.over.load(Ordering::Relaxed)
        {
            if self.doors.len() > 1 && !is_ready(&agent, *door) {
                continue;
            }
            match send(&agent, *door, &asked) {
                Told::Answered(..) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                }
                told => self.failed.lock().unwrap().push(told),
            }
        }
    }
}

fn is_ready(agent: &ureq::Agent, door: SocketAddr) -> bool {
    let ready = agent.get(format!("http://{door}/readyz")).call();
    ready.is_ok_and(|response| response.status() == 200)
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
