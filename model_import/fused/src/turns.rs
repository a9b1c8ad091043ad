//! Which thread does which chunk of a stage.
//!
//! Each thread has the same part of every stage and begins with it, so that what it wrote it mostly reads
//! itself, out of its own caches. Who is done with his part takes what others have left: a thread that
//! is held up holds up nobody. Must not know: what a chunk is.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The chunks taken so far, by thread and by stage.
pub(crate) struct Turns(Vec<Vec<AtomicUsize>>);

impl Turns {
    pub(crate) fn new(threads: usize, stages: usize) -> Self {
        let none = || (0..stages).map(|_| AtomicUsize::new(0)).collect();
        Self((0..threads).map(|_| none()).collect())
    }

    /// Gives all chunks back. No thread may be taking any.
    pub(crate) fn restart(&self) {
        for taken in self.0.iter().flatten() {
            taken.store(0, Ordering::Relaxed);
        }
    }

    /// The next of `chunks` chunks of `stage` for `thread`, each once.
    pub(crate) fn take(&self, thread: usize, stage: usize, chunks: usize) -> Option<usize> {
        let threads = self.0.len();
        let owners = (thread..threads).chain(0..thread);
        owners.into_iter().find_map(|owner| {
            let [first, end] = [owner, owner + 1].map(|part| chunks * part / threads);
            let taken = &self.0[owner][stage];
            // A look is cheap while everybody looks; the count is not touched for nothing.
            if first + taken.load(Ordering::Relaxed) >= end {
                return None;
            }
            Some(first + taken.fetch_add(1, Ordering::Relaxed)).filter(|&chunk| chunk < end)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_chunk_is_taken_once_ones_own_first() {
        let turns = Turns::new(3, 2);
        for _ in 0..2 {
            turns.restart();
            let own: Vec<_> = [0, 1, 2].map(|thread| turns.take(thread, 1, 8)).into();
            assert_eq!(own, [Some(0), Some(2), Some(5)]);
            let left: Vec<usize> = std::iter::from_fn(|| turns.take(1, 1, 8)).collect();
            assert_eq!(left, [3, 4, 6, 7, 1]);
            assert_eq!(turns.take(0, 0, 1), Some(0));
            assert_eq!(turns.take(2, 0, 1), None);
        }
    }
}
