//! The Poster: one delivery written, signed and called, on a thread that may block.
//!
//! A pool of these shares one queue, which the Deliverer bounds by sending no more than there are
//! threads. Must not know: the store, when deliveries are due, which stage comes next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use actix::{Actor, Handler, Message, MessageResult, SyncContext};

use super::caller::{Caller, Failure};
use super::policy::{self, Waits};
use super::sign::{ID, KEY_ID, Keyring, SIGNATURE, TIMESTAMP};
use crate::observe::{Observer, Point};
use crate::store::{DueDelivery, JobView, Outcome, UnixMillis};

/// How a job that has ended is written down: as `GET /jobs/{id}` would say it.
pub type Write = fn(&JobView) -> Vec<u8>;

/// From the Deliverer: an end to be told now.
#[derive(Debug, Message)]
#[rtype(result = "Outcome")]
pub(super) struct Post(pub(super) Arc<DueDelivery>);

/// Tells ends.
pub(super) struct Poster {
    pub(super) caller: Arc<Caller>,
    pub(super) keys: Arc<Keyring>,
    pub(super) waits: Waits,
    pub(super) write: Write,
    pub(super) observer: Arc<dyn Observer>,
}

impl Actor for Poster {
    type Context = SyncContext<Self>;
}

impl Handler<Post> for Poster {
    type Result = MessageResult<Post>;

    fn handle(&mut self, Post(due): Post, _: &mut Self::Context) -> MessageResult<Post> {
        // A panic costs this try, not the thread.
        let called = catch_unwind(AssertUnwindSafe(|| self.call(&due.job)));
        let called = called.unwrap_or_else(|_| Err(Failure::Connection("a panic".to_owned())));
        self.observer.reached(Point::CallbackSent, due.turn.id);
        let tries = due.turn.tries;
        MessageResult(policy::outcome(&called, tries, self.waits, fastrand::f64()))
    }
}

impl Poster {
    fn call(&self, job: &JobView) -> Result<super::caller::Answer, Failure> {
        let url = job.callback.as_ref().map_or("", |callback| &callback.url);
        let body = (self.write)(job);
        let id = event(job);
        let timestamp = UnixMillis::now().0 / 1000;
        let signed = self.keys.sign(&id, timestamp, &body);
        let timestamp = timestamp.to_string();
        let mut headers = vec![
            (ID, &id[..]),
            (TIMESTAMP, &timestamp),
            (SIGNATURE, &signed.signature),
            (KEY_ID, &signed.key_ids),
        ];
        if let Some(span) = &job.traceparent {
            headers.push(("traceparent", span));
        }
        self.caller.post(url, &headers, &body)
    }
}

/// The name of an end, the same for every try. A dead letter that is retried ends a second time,
/// which is another event.
fn event(job: &JobView) -> String {
    let finished = job.finished.unwrap_or_default();
    format!("{}-{}", job.id, finished.0)
}
