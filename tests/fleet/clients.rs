//! Clients of a fleet: each asks until somebody answers, as a client with a key may.
//!
//! Must not know: what happens to the fleet meanwhile.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crate::ask::{agent, send};
use crate::history::{Asked, Told};
use crate::{GUARD, pass};

/// A client that was refused comes again after this, as the answer asks of it, only sooner.
const PAUSE: Duration = Duration::from_millis(50);

/// What is to be asked, by whichever client is free, and what was told.
pub(crate) struct Clients {
    door: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    open: VecDeque<Asked>,
    over: Vec<Asked>,
    sent: usize,
    /// Of the one that waited longest, how long.
    slowest: Duration,
}

impl Clients {
    pub(crate) fn new(door: SocketAddr, asked: Vec<Asked>) -> Self {
        let state = State {
            open: asked.into(),
            ..State::default()
        };
        Self {
            door,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// So many clients begin; they end when all has been asked, or nothing more is to be.
    pub(crate) fn begin<'scope>(
        &'scope self,
        count: usize,
        scope: &'scope Scope<'scope, '_>,
    ) -> Vec<ScopedJoinHandle<'scope, ()>> {
        (0..count).map(|_| scope.spawn(|| self.go_on())).collect()
    }

    /// Waits until so many requests are over, or all.
    #[track_caller]
    pub(crate) fn wait_for(&self, count: usize) {
        let few = |state: &mut State| state.over.len() < count && !state.open.is_empty();
        let waited = self.changed.wait_timeout_while(self.state(), GUARD, few);
        assert!(!waited.unwrap().1.timed_out(), "waited in vain for {count}");
    }

    /// How many requests are over.
    pub(crate) fn over(&self) -> usize {
        self.state().over.len()
    }

    /// Everything asked, with what was told; how often anything was sent; and how long it took who
    /// waited longest.
    pub(crate) fn asked(self) -> (Vec<Asked>, usize, Duration) {
        let state = self.state.into_inner().unwrap();
        (state.over, state.sent, state.slowest)
    }

    fn go_on(&self) {
        let agent = agent();
        loop {
            let next = self.state().open.pop_front();
            let Some(mut asked) = next else { return };
            let begun = Instant::now();
            let sent = self.ask(&agent, &mut asked);
            let mut state = self.state();
            state.sent += sent;
            state.slowest = state.slowest.max(begun.elapsed());
            state.over.push(asked);
            self.changed.notify_all();
        }
    }

    fn ask(&self, agent: &ureq::Agent, asked: &mut Asked) -> usize {
        let begun = Instant::now();
        for sent in 1.. {
            let told = send(agent, self.door, asked);
            let enough = matches!(
                told,
                Told::Answered(..) | Told::Accepted(_) | Told::Dead(_) | Told::Other(_)
            );
            // Many a refusal says no more than one.
            if asked.told.last() != Some(&told) {
                asked.told.push(told);
            }
            // Once may have been when the machine itself stood still.
            if enough || (begun.elapsed() > GUARD && sent >= 3) {
                return sent;
            }
            pass(PAUSE);
        }
        0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}
