//! A caller that waits for its reply, and what happens when it stops waiting.
//!
//! Must not know: how a reply is told.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix::Recipient;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::access::caller::Hold;
use crate::error::{ErrorCode, Refusal};
use crate::message::Abandoned;
use crate::store::{JobId, JobState};
use crate::ticket::{Reply, Ticket};

/// One image's reply to come. Dropped before it came, which is what happens when the client goes
/// away, it tells the Responder, who takes the job back if nobody else wants it.
#[derive(Debug)]
pub(crate) struct Pending {
    id: JobId,
    answered_by: Arc<OnceLock<JobId>>,
    receiver: oneshot::Receiver<Reply>,
    responder: Recipient<Abandoned>,
    keep: bool,
    over: bool,
    _hold: Hold,
}

impl Pending {
    pub(crate) fn new(
        ticket: &Ticket,
        receiver: oneshot::Receiver<Reply>,
        responder: Recipient<Abandoned>,
        keep: bool,
        hold: Hold,
    ) -> Self {
        Self {
            id: ticket.id,
            answered_by: ticket.answered_by.clone(),
            receiver,
            responder,
            keep,
            over: false,
            _hold: hold,
        }
    }

    /// Waits at most so long. What is said when the time is over depends on whether the caller is
    /// content with the job's name.
    pub(crate) async fn reply(mut self, wait: Duration, respond_async: bool) -> Reply {
        let reply = timeout(wait, &mut self.receiver).await;
        let job = self.answered_by.get().copied().unwrap_or(self.id);
        match reply {
            Ok(reply) => {
                self.over = true;
                reply.unwrap_or_else(|_| {
                    let lost = Refusal::new(
                        ErrorCode::Lost,
                        "the server lost track of this request: ask again",
                    );
                    Reply::Refused(lost, Some(job))
                })
            }
            Err(_) if respond_async => Reply::Accepted(job, JobState::Queued),
            Err(_) => {
                let fate = if self.keep {
                    "the job goes on: ask for it under /jobs"
                } else {
                    "the job was cancelled; to keep one, send ?keep=true or an Idempotency-Key"
                };
                let message = format!("no answer within {wait:?}; {fate}");
                Reply::Refused(Refusal::new(ErrorCode::TimedOut, message), Some(job))
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.over {
            // If the mailbox is full, a sweep finds that the ticket's other end is closed.
            let _ = self.responder.try_send(Abandoned {
                id: self.id,
                keep: self.keep,
            });
        }
    }
}
