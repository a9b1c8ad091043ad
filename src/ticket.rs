//! What one upload carries through every stage: its name, its time, its place, the way to answer.
//!
//! A ticket is answered once, by consuming it. One that is dropped unanswered, whatever the
//! reason, answers [`ErrorCode::Lost`]: no stage can leave a caller hanging, even by panicking.
//! Must not know: HTTP, stores, stages.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::classify::top::Prediction;
use crate::error::{ErrorCode, Refusal};
use crate::store::{JobId, JobState};
use crate::traceparent::TraceParent;

/// An answer to one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The job that gave it.
    pub id: JobId,
    /// Labels, the most probable first.
    pub predictions: Vec<Prediction>,
    /// Where the time went.
    pub timing: Timing,
}

/// Where the time of a job went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From upload to pixels.
    pub decode: Duration,
    /// From acceptance to the model.
    pub queue: Duration,
    /// In the model, with its batch.
    pub infer: Duration,
}

/// What a caller is told about its image.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The answer.
    Answered(Answer),
    /// No answer; of a job that was accepted, its name.
    Refused(Refusal, Option<JobId>),
    /// For callers that do not wait: the job was accepted under this name and is in this state.
    Accepted(JobId, JobState),
}

/// What an upload holds while the server works on its bytes; given back when dropped.
#[derive(Debug, Default)]
pub struct Place {
    /// One of the uploads at once.
    pub upload: Option<OwnedSemaphorePermit>,
    /// Its bytes.
    pub bytes: Option<OwnedSemaphorePermit>,
    /// Its place among those that are on their way to the Batcher.
    pub arriving: Option<Arriving>,
}

/// Counts one upload that is on its way, until it is dropped.
#[derive(Debug)]
pub struct Arriving(Arc<AtomicUsize>);

impl Arriving {
    /// Adds one to the count.
    #[must_use]
    pub fn count(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The right, and the duty, to answer one image.
#[derive(Debug)]
pub struct Ticket {
    /// The job's name, if it becomes one.
    pub id: JobId,
    /// When the upload was complete.
    pub arrived: Instant,
    /// How long decoding took.
    pub decode: Duration,
    /// The request, if it belongs to a trace.
    pub trace: Option<TraceParent>,
    /// Whether the caller is content with [`Reply::Accepted`].
    pub respond_async: bool,
    /// The job that will answer, if it is not of the ticket's own name: a key seen before.
    pub answered_by: Arc<OnceLock<JobId>>,
    place: Place,
    reply: Option<oneshot::Sender<Reply>>,
}

impl Ticket {
    /// A ticket, and where its reply arrives.
    #[must_use]
    pub fn open(place: Place, respond_async: bool) -> (Self, oneshot::Receiver<Reply>) {
        let (reply, receiver) = oneshot::channel();
        let ticket = Self {
            id: JobId::new(),
            arrived: Instant::now(),
            decode: Duration::ZERO,
            trace: None,
            respond_async,
            answered_by: Arc::default(),
            place,
            reply: Some(reply),
        };
        (ticket, receiver)
    }

    /// Whether nobody waits for the reply any more.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    /// Takes the upload's place, to be dropped when its bytes are no longer held.
    #[must_use]
    pub fn take_place(&mut self) -> Place {
        std::mem::take(&mut self.place)
    }

    /// Replies.
    pub fn reply(mut self, reply: Reply) {
        if let Some(sender) = self.reply.take() {
            // Who has gone needs no reply.
            let _ = sender.send(reply);
        }
    }

    /// Replies that there is no answer, before there was a job.
    pub fn refuse(self, refusal: Refusal) {
        self.reply(Reply::Refused(refusal, None));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(sender) = self.reply.take() {
            let message = "the server lost track of this request: ask again";
            let lost = Refusal::new(ErrorCode::Lost, message);
            let _ = sender.send(Reply::Refused(lost, Some(self.id)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_ticket_answers_that_it_was_lost() {
        let (ticket, mut receiver) = Ticket::open(Place::default(), false);
        let id = ticket.id;
        drop(ticket);
        let reply = receiver.try_recv().unwrap();
        assert!(matches!(reply, Reply::Refused(refusal, Some(job))
                if refusal.code == ErrorCode::Lost && job == id));
    }

    #[test]
    fn a_ticket_answers_once_and_knows_when_nobody_waits() {
        let (ticket, mut receiver) = Ticket::open(Place::default(), false);
        assert!(!ticket.is_abandoned());
        let id = ticket.id;
        ticket.reply(Reply::Accepted(id, JobState::Queued));
        assert_eq!(
            receiver.try_recv().unwrap(),
            Reply::Accepted(id, JobState::Queued)
        );
        let (ticket, receiver) = Ticket::open(Place::default(), false);
        drop(receiver);
        assert!(ticket.is_abandoned());
    }
}
