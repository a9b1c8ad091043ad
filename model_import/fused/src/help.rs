//! Threads that each have work of their own, in rounds of chunks, and help others once they have none.
//!
//! While everybody has work nobody waits for anybody. Must not know: what a round or a chunk is.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::threads::Barrier;

/// A round that has no chunk, for its owner is between two.
const BETWEEN: u32 = u32::MAX;
/// The same, for ever.
const ENDED: u32 = u32::MAX - 1;

/// What each thread lets others do.
pub(crate) struct Help(Vec<Owner>);

/// A thread's round. On cache lines of its own: it is written for every chunk.
#[repr(align(128))]
struct Owner {
    /// The number of the round, and below it how many of its chunks were taken.
    open: AtomicU64,
    /// How many of them are done.
    done: AtomicUsize,
}

impl Help {
    pub(crate) fn new(threads: usize) -> Self {
        let owner = || Owner {
            open: AtomicU64::new(word(BETWEEN)),
            done: AtomicUsize::new(0),
        };
        Self((0..threads).map(|_| owner()).collect())
    }

    /// Everybody has work again. No thread may be at it.
    pub(crate) fn restart(&self) {
        for owner in &self.0 {
            owner.open.store(word(BETWEEN), Ordering::Relaxed);
        }
    }

    /// Does all `chunks` of a round, those that nobody else takes. Sees what was written before, and
    /// what it wrote others see who do chunks of the thread's next rounds.
    ///
    /// # Panics
    /// When another thread has panicked, for a chunk may be lost.
    pub(crate) fn own(
        &self,
        thread: usize,
        round: u32,
        chunks: usize,
        barrier: &Barrier,
        mut run: impl FnMut(usize),
    ) {
        let owner = &self.0[thread];
        owner.done.store(0, Ordering::Relaxed);
        owner.open.store(word(round), Ordering::Release);
        let mut own = 0;
        while let (_, chunk) = owner.take()
            && chunk < chunks
        {
            run(chunk);
            own += 1;
        }
        owner.done.fetch_add(own, Ordering::AcqRel);
        barrier.wait_until(|| owner.done.load(Ordering::Acquire) >= chunks);
    }

    /// The thread has no more rounds.
    pub(crate) fn end(&self, thread: usize) {
        self.0[thread].open.store(word(ENDED), Ordering::Release);
    }

    /// Does chunks of others until they have no more rounds: `run` with the owner, the round and the chunk.
    /// How many chunks a round has depends on its number only.
    ///
    /// # Panics
    /// When another thread has panicked, for it will never end.
    pub(crate) fn others(
        &self,
        thread: usize,
        barrier: &Barrier,
        chunks: impl Fn(u32) -> usize,
        mut run: impl FnMut(usize, u32, usize),
    ) {
        let open = |(round, chunk): (u32, usize)| round < ENDED && chunk < chunks(round);
        loop {
            let mut found = Look::Nothing;
            barrier.wait_until(|| {
                found = self.look(thread, open);
                found != Look::Nothing
            });
            let Look::Open(number) = found else {
                return;
            };
            let owner = &self.0[number];
            // It may be another round by now, and then this is a chunk of that.
            let (round, chunk) = owner.take();
            if open((round, chunk)) {
                run(number, round, chunk);
                owner.done.fetch_add(1, Ordering::AcqRel);
            }
        }
    }

    /// Takes nothing, or the count of chunks would grow without end while a round's last are done.
    fn look(&self, thread: usize, open: impl Fn((u32, usize)) -> bool) -> Look {
        let mut ended = true;
        for (number, owner) in self.0.iter().enumerate() {
            let (round, taken) = parts(owner.open.load(Ordering::Relaxed));
            if number == thread || round == ENDED {
                continue;
            }
            if open((round, taken)) {
                return Look::Open(number);
            }
            ended = false;
        }
        if ended { Look::Ended } else { Look::Nothing }
    }
}

/// What there is to help with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// A chunk of this thread's.
    Open(usize),
    Nothing,
    /// Nothing any more.
    Ended,
}

impl Owner {
    /// The round that is open, and a chunk of it that nobody has had; it may have no such chunk.
    fn take(&self) -> (u32, usize) {
        parts(self.open.fetch_add(1, Ordering::AcqRel))
    }
}

/// A round of which nothing is taken.
fn word(round: u32) -> u64 {
    u64::from(round) << 32
}

fn parts(word: u64) -> (u32, usize) {
    let taken = word & u64::from(u32::MAX);
    // Both are 32 bits.
    ((word >> 32) as u32, taken as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threads::Pool;

    /// Runs `rounds` of `chunks` on thread 0 alone and helps it; each chunk notes what it sees.
    fn helped(threads: usize, rounds: u32, chunks: usize, run: impl Fn(u32, usize) + Sync) {
        let (mut pool, help) = (Pool::new(threads, |_| ()), Help::new(threads));
        let barrier = pool.barrier();
        for _ in 0..3 {
            help.restart();
            pool.run(&|thread| {
                if thread == 0 {
                    for round in 0..rounds {
                        help.own(thread, round, chunks, &barrier, |chunk| run(round, chunk));
                    }
                }
                help.end(thread);
                let run = |owner, round, chunk| {
                    assert_eq!(owner, 0);
                    run(round, chunk);
                };
                help.others(thread, &barrier, |_| chunks, run);
            });
        }
    }

    #[test]
    fn each_chunk_is_done_once_and_after_the_round_before() {
        for threads in 1..5 {
            let counts: Vec<AtomicUsize> = (0..20).map(|_| AtomicUsize::new(0)).collect();
            helped(threads, 20, 7, |round, _| {
                let before = round
                    .checked_sub(1)
                    .map(|before| counts[before as usize].load(Ordering::Relaxed));
                assert!(before.is_none_or(|done| done % 7 == 0 && done > 0));
                counts[round as usize].fetch_add(1, Ordering::Relaxed);
            });
            assert!(
                counts
                    .iter()
                    .all(|count| count.load(Ordering::Relaxed) == 21)
            );
        }
    }

    #[test]
    fn others_do_chunks_while_the_owner_does_one() {
        // Each chunk waits for the other, so one thread alone would never end.
        let met = AtomicUsize::new(0);
        helped(2, 1, 2, |_, _| {
            met.fetch_add(1, Ordering::AcqRel);
            while !met.load(Ordering::Acquire).is_multiple_of(2) {
                std::thread::yield_now();
            }
        });
        assert_eq!(met.into_inner(), 6);
    }

    fn panics(run: impl FnOnce()) -> bool {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err()
    }

    #[test]
    fn nobody_waits_for_a_round_that_never_ends() {
        assert!(panics(|| helped(3, 1, 1, |_, _| panic!("in a chunk"))));
    }

    #[test]
    fn nobody_waits_for_a_chunk_that_is_lost() {
        let come = AtomicUsize::new(0);
        let run = |_, _| {
            // The first waits until another thread has the second, and that panics.
            assert!(come.fetch_add(1, Ordering::AcqRel) == 0, "in a chunk");
            while come.load(Ordering::Acquire) < 2 {
                std::thread::yield_now();
            }
        };
        assert!(panics(|| helped(2, 1, 2, run)));
    }
}
