//! Neighbours of an actor under test: they record what they are told, and a test awaits it.
//!
//! Must not know: which actor is tested.

use std::sync::Mutex;
use std::time::Duration;

use actix::{Actor, Context, Handler, Message, Recipient};
use beagle::observe::{Observer, Point};
use beagle::store::JobId;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::GUARD;

/// Messages that a probe's mailbox holds: more than any test sends.
const MAILBOX: usize = 1024;

/// Takes every message that can be told as a `T`.
pub(crate) struct Probe<T> {
    told: UnboundedSender<T>,
}

/// What a probe was told, in that order.
pub(crate) struct Inbox<T> {
    told: UnboundedReceiver<T>,
}

/// Remembers every point that every job came to.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    seen: Mutex<Vec<(Point, JobId)>>,
}

impl<T: Unpin + 'static> Probe<T> {
    /// A probe that does not run yet, and what it will be told.
    pub(crate) fn new() -> (Self, Inbox<T>) {
        let (sender, receiver) = unbounded_channel();
        (Self { told: sender }, Inbox { told: receiver })
    }
}

impl<T: Unpin + 'static> Actor for Probe<T> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl<T, M> Handler<M> for Probe<T>
where
    T: Unpin + 'static,
    M: Message<Result = ()> + Into<T>,
{
    type Result = ();

    fn handle(&mut self, message: M, _: &mut Self::Context) {
        // A test that has seen enough may have dropped the inbox.
        let _ = self.told.send(message.into());
    }
}

impl<T> Inbox<T> {
    /// The next message.
    pub(crate) async fn next(&mut self) -> T {
        let told = timeout(GUARD, self.told.recv()).await;
        told.expect("nothing came").expect("the probe has ended")
    }

    /// Asserts that nothing comes for so long, of paused time.
    pub(crate) async fn stays_empty_for(&mut self, time: Duration) {
        let told = timeout(time, self.told.recv()).await;
        if let Ok(came) = told {
            let what = came.map_or("the probe has ended", |_| "something came");
            panic!("{what}");
        }
    }

    /// Whether nothing has come.
    pub(crate) fn is_empty(&self) -> bool {
        self.told.is_empty()
    }
}

impl Witness {
    /// The jobs that came to this point, in that order.
    pub(crate) fn jobs_at(&self, point: Point) -> Vec<JobId> {
        let seen = self.seen.lock().unwrap();
        let there = seen.iter().filter(|(at, _)| *at == point);
        there.map(|(_, id)| *id).collect()
    }
}

impl Observer for Witness {
    fn reached(&self, point: Point, id: JobId) {
        self.seen.lock().unwrap().push((point, id));
    }
}

/// A running probe of one kind of message.
pub(crate) fn probe<M>() -> (Recipient<M>, Inbox<M>)
where
    M: Message<Result = ()> + Send + Unpin + 'static,
{
    let (probe, inbox) = Probe::<M>::new();
    (probe.start().recipient(), inbox)
}
