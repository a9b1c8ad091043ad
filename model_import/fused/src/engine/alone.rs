//! Many images: each thread takes some and runs them through the whole network alone.
//!
//! Nobody waits for anybody until there are no more. Who is held up, by other work on his core, is then helped,
//! chunk by chunk, so the batch ends when the cores have done it and not when the last of the threads has. Must
//! not know: burn, files, what a step computes.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Engine;
use crate::ahead::Soon;
use crate::crew::Hands;
use crate::network::{Pass, Source};

impl Engine {
    /// Runs as many images as `scores` has room for, each thread `count` at a time. Who
    /// finds no more helps the others.
    pub(super) fn run_alone(
        &self,
        hands: &mut Hands,
        source: Source<'_>,
        (first, count): (usize, usize),
        scores: &mut [f32],
    ) {
        hands.reserve(self.crew.threads(), self.network.memory(count));
        let (network, memory, scratch) = (&self.network, &hands.memory, &hands.scratch);
        let output = network.output();
        let outputs = output.layout.shape.elements();
        let turns = scores.len() / (outputs * count);
        let scores = Scores(scores.as_mut_ptr());
        let (taken, clock) = (AtomicUsize::new(0), &self.clock);
        let (barrier, stages) = (hands.pool.barrier(), network.stages.len());
        let rows = || 0..network.input.layout.shape.height;
        self.help.restart();
        // One counter is enough: of passes and stages there are some hundreds.
        let round = |number: usize, index| (number * stages + index) as u32;
        // One chunk of a round, which is a stage of a pass, on any thread.
        let soon = |pass: &Pass, index| network.soon(index, pass.images.count, [0, 1]);
        let run = |pass: &Pass, index: usize, soon: &Soon, chunk, [owner, thread]: [usize; 2]| {
            let (memory, scratch) = (memory[owner].start(), scratch[thread].start());
            // SAFETY: the owner's memory holds `count` images. Each chunk is taken once, those of the
            // stage before are done, and each thread has its own scratch.
            unsafe { network.stages[index].run(chunk, pass.images, memory, scratch, soon) };
        };
        hands.pool.run(&|thread| {
            while let Some(turn) = next(&taken, turns) {
                for (number, pass) in network.passes(count).enumerate() {
                    for image in pass.feed.clone() {
                        let index = first + turn * count + image;
                        let place = (count, image);
                        // SAFETY: the memory is this thread's own and holds `count` images.
                        unsafe { network.feed(source, index, place, rows(), &memory[thread]) };
                    }
                    let mut start = clock.start();
                    for index in pass.stages.clone() {
                        let chunks = network.stages[index].chunks(pass.images.count);
                        let (round, soon) = (round(number, index), soon(&pass, index));
                        self.help.own(thread, round, chunks, &barrier, |chunk| {
                            run(&pass, index, &soon, chunk, [thread, thread]);
                        });
                        clock.lap(index, &mut start, 1);
                    }
                }
                for image in 0..count {
                    // SAFETY: each turn is taken once, and its scores are written by it alone.
                    unsafe {
                        let scores = scores.slice((turn * count + image) * outputs, outputs);
                        network.read(output, (count, image), &memory[thread], scores);
                    }
                }
            }
            self.help.end(thread);
            let pass = |round: u32| {
                let (number, index) = (round as usize / stages, round as usize % stages);
                (network.passes(count).nth(number), index)
            };
            let chunks = |round| match pass(round) {
                (Some(pass), index) => network.stages[index].chunks(pass.images.count),
                _ => 0,
            };
            self.help
                .others(thread, &barrier, chunks, |owner, round, chunk| {
                    if let (Some(pass), index) = pass(round) {
                        let mut start = clock.start();
                        run(&pass, index, &soon(&pass, index), chunk, [owner, thread]);
                        clock.lap(index, &mut start, 1);
                    }
                });
        });
    }
}

/// Scores that threads write, each its own part.
struct Scores(*mut f32);

// SAFETY: `slice` asks for parts that do not overlap.
unsafe impl Sync for Scores {}

impl Scores {
    /// # Safety
    /// The part is in the slice that the pointer is from, which outlives it, and nobody else uses
    /// the part.
    #[expect(
        clippy::mut_from_ref,
        reason = "the caller promises that parts do not overlap"
    )]
    unsafe fn slice(&self, start: usize, length: usize) -> &mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), length) }
    }
}

/// The next of `count` things that has not been taken.
fn next(taken: &AtomicUsize, count: usize) -> Option<usize> {
    let index = taken.fetch_add(1, Ordering::Relaxed);
    (index < count).then_some(index)
}
