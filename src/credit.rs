//! A Classifier's right to a batch. It comes back by itself when it is dropped, also in a panic.
//!
//! Batches are never pushed: the Batcher gives one away only with a credit, so at most as many
//! wait before a Classifier as it has credits. Must not know: jobs, stages.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::Recipient;

use crate::message::LookAgain;

/// A Classifier's credits that are not given away.
pub struct Credits {
    free: Arc<AtomicUsize>,
    owner: Recipient<LookAgain>,
}

/// One of them, given away with a batch.
pub struct Credit {
    free: Arc<AtomicUsize>,
    owner: Recipient<LookAgain>,
    quiet: bool,
}

impl Credits {
    /// `count` credits; `owner` is told when one comes back.
    #[must_use]
    pub fn new(count: usize, owner: Recipient<LookAgain>) -> Self {
        Self {
            free: Arc::new(AtomicUsize::new(count)),
            owner,
        }
    }

    /// How many can be taken.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.load(Ordering::Acquire)
    }

    /// Takes one, if there is one.
    #[must_use]
    pub fn take(&self) -> Option<Credit> {
        let taken = self
            .free
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| {
                free.checked_sub(1)
            });
        taken.ok().map(|_| Credit {
            free: self.free.clone(),
            owner: self.owner.clone(),
            quiet: false,
        })
    }
}

impl Credit {
    /// Gives the credit back without telling its owner, who knows.
    pub fn keep(mut self) {
        self.quiet = true;
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        self.free.fetch_add(1, Ordering::AcqRel);
        if !self.quiet {
            // A full mailbox is as good: each message in it makes its owner look again.
            let _ = self.owner.try_send(LookAgain);
        }
    }
}

impl fmt::Debug for Credit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credit")
    }
}

impl fmt::Debug for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Credits").field(&self.free()).finish()
    }
}
