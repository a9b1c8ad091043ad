//! What the threads of one round share: where the server is now, and what was heard from it.
//!
//! Must not know: HTTP, stores.

use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::GUARD;

/// The scene of a round.
pub(crate) struct Scene {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    server: SocketAddr,
    /// Grows whenever there is another server.
    generation: u32,
    /// Whether the worst is over: who got no answer asks again at once.
    settled: bool,
    heard: Vec<Heard>,
}

/// One request's end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    /// When it was sent.
    pub(crate) sent: Instant,
    /// When it was over.
    pub(crate) over: Instant,
    /// Whether the server did its work.
    pub(crate) served: bool,
}

impl Scene {
    /// A scene with this server.
    pub(crate) fn new(server: SocketAddr) -> Self {
        let state = State {
            server,
            generation: 0,
            settled: false,
            heard: Vec::new(),
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Where the server is, and which one it is.
    pub(crate) fn server(&self) -> (SocketAddr, u32) {
        let state = self.state();
        (state.server, state.generation)
    }

    /// From now on the server is here, and answers.
    pub(crate) fn settle(&self, server: SocketAddr) {
        let mut state = self.state();
        state.server = server;
        state.generation += 1;
        state.settled = true;
        self.changed.notify_all();
    }

    /// Waits until there is a server that is worth asking again.
    #[track_caller]
    pub(crate) fn wait_for_another(&self, generation: u32) {
        self.wait("another server", |state| {
            state.settled || state.generation > generation
        });
    }

    /// A request is over.
    pub(crate) fn hear(&self, sent: Instant, served: bool) {
        let over = Instant::now();
        self.state().heard.push(Heard { sent, over, served });
        self.changed.notify_all();
    }

    /// Waits until what was heard is like this.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, heard: impl Fn(&[Heard]) -> bool) {
        self.wait(what, |state| heard(&state.heard));
    }

    /// Waits until so many requests were served.
    #[track_caller]
    pub(crate) fn wait_for_served(&self, count: usize) {
        let enough = |heard: &[Heard]| heard.iter().filter(|heard| heard.served).count() >= count;
        self.wait_until(&format!("{count} served requests"), enough);
    }

    /// Fails if anything of this kind is heard within the time.
    #[track_caller]
    pub(crate) fn never_within(&self, time: Duration, heard: impl Fn(&Heard) -> bool) {
        let state = self.state();
        let from = state.heard.len();
        let (state, waited) = self
            .changed
            .wait_timeout_while(state, time, |state| !state.heard[from..].iter().any(&heard))
            .unwrap();
        assert!(waited.timed_out(), "heard {:?}", state.heard.last());
    }

    /// Everything that was heard so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.state().heard.clone()
    }

    #[track_caller]
    fn wait(&self, what: &str, over: impl Fn(&State) -> bool) {
        let state = self.state();
        let waited = self
            .changed
            .wait_timeout_while(state, GUARD, |state| !over(state));
        assert!(!waited.unwrap().1.timed_out(), "waited in vain for {what}");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}
