//! Clients: they send what is to be asked, and repeat what has a key until somebody answers.
//!
//! Must not know: what happens to the servers meanwhile.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Instant;

use crate::GUARD;
use crate::ask::{agent, send};
use crate::history::{Asked, Told};
use crate::scene::Scene;

/// What is to be asked, by whichever client is free.
pub(crate) struct Clients {
    scene: Scene,
    open: Mutex<VecDeque<Asked>>,
    over: Mutex<Vec<Asked>>,
}

impl Clients {
    /// Clients of a server that will ask all this.
    pub(crate) fn new(server: SocketAddr, asked: Vec<Asked>) -> Self {
        Self {
            scene: Scene::new(server),
            open: Mutex::new(asked.into()),
            over: Mutex::default(),
        }
    }

    /// Where they are.
    pub(crate) const fn scene(&self) -> &Scene {
        &self.scene
    }

    /// So many clients begin; they end when all has been asked.
    pub(crate) fn begin<'scope>(
        &'scope self,
        count: usize,
        scope: &'scope Scope<'scope, '_>,
    ) -> Vec<ScopedJoinHandle<'scope, ()>> {
        (0..count).map(|_| scope.spawn(|| self.go_on())).collect()
    }

    /// Everything asked so far, with what was told.
    pub(crate) fn asked(self) -> Vec<Asked> {
        self.over.into_inner().unwrap()
    }

    fn go_on(&self) {
        let agent = agent();
        loop {
            let next = self.open.lock().unwrap().pop_front();
            let Some(mut asked) = next else { return };
            self.ask(&agent, &mut asked);
            self.over.lock().unwrap().push(asked);
        }
    }

    fn ask(&self, agent: &ureq::Agent, asked: &mut Asked) {
        let begun = Instant::now();
        loop {
            let (server, generation) = self.scene.server();
            let sent = Instant::now();
            let told = send(agent, server, asked);
            let failed = matches!(told, Told::Refused(_) | Told::Broken);
            // Many a refusal says no more than one.
            if asked.told.last() != Some(&told) {
                asked.told.push(told);
            }
            self.scene.hear(sent, !failed);
            if !failed || begun.elapsed() > GUARD {
                return;
            }
            self.scene.wait_for_another(generation);
            if !asked.keyed {
                return;
            }
        }
    }
}
