//! What engines share: the threads that compute, the memory they compute in, and packed weights.
//!
//! Must not know: networks, what memory holds.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::memory::Block;
use crate::shelf::Shelf;
use crate::threads::Pool;

/// Threads with the memory that they compute in, for any number of engines, which run one after the
/// other. Weights of these engines that come out the same, bit for bit, exist once. Cheap to clone:
/// a clone is the same crew.
#[derive(Clone)]
pub struct Crew(Arc<Shared>);

struct Shared {
    threads: usize,
    hands: Mutex<Hands>,
    shelf: Mutex<Shelf>,
}

/// The threads, and the memory of each, as large as has been needed.
pub(crate) struct Hands {
    pub(crate) pool: Pool,
    /// The first is also the one that all threads share.
    pub(crate) memory: Vec<Block>,
    pub(crate) scratch: Vec<Block>,
}

impl Crew {
    /// `threads` threads, the caller's included; at least one.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self::starting(threads, |_| ())
    }

    /// The same with `start` called once on every thread but the caller's, with its number from 1 to
    /// `threads` - 1, before it works. It must not panic.
    #[must_use]
    pub fn starting(threads: usize, start: fn(usize)) -> Self {
        let pool = Pool::new(threads, start);
        let blocks = || (0..pool.threads()).map(|_| Block::new(0)).collect();
        Self(Arc::new(Shared {
            threads: pool.threads(),
            shelf: Mutex::default(),
            hands: Mutex::new(Hands {
                memory: blocks(),
                scratch: blocks(),
                pool,
            }),
        }))
    }

    /// How many threads there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.0.threads
    }

    /// The threads and their memory, for one engine at a time. After a panic memory holds any
    /// numbers, as it does before every pass.
    pub(crate) fn hands(&self) -> MutexGuard<'_, Hands> {
        self.0.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = self.threads();
        f.debug_struct("Crew").field("threads", &threads).finish()
    }
}

impl Hands {
    /// Makes the memory of the first `threads` threads at least `bytes` large.
    pub(crate) fn reserve(&mut self, threads: usize, bytes: usize) {
        grow(&mut self.memory[..threads], bytes);
    }

    /// Makes what each thread has for itself at least `bytes` large.
    pub(crate) fn reserve_scratch(&mut self, bytes: usize) {
        grow(&mut self.scratch, bytes);
    }
}

fn grow(blocks: &mut [Block], bytes: usize) {
    for block in blocks {
        if block.len() < bytes {
            // The old one goes first: both would be there at once.
            *block = Block::new(0);
            *block = Block::new(bytes);
        }
    }
}
