//! A network with its packed weights, and how a crew runs it.
//!
//! Few images: all threads share each step, chunk by chunk, and meet after it. Many images: each
//! thread takes some images and runs them through the whole network alone. Must not know: burn,
//! files, what a step computes.
//!
//! Quantization ranges enter in `storage.rs`, which gives every value its `Quantum`; from there they
//! reach the steps with the values.

use std::sync::MutexGuard;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::build;
use crate::clock::Clock;
use crate::crew::{Crew, Hands};
use crate::error::{EngineError, InputError};
use crate::help::Help;
use crate::network::{Network, Source};
use crate::options::Options;
use crate::plan::{Plan, Shape};
use crate::ranges::Ranges;
use crate::steps::{Images, Value};
use crate::turns::Turns;
use crate::weights::{Normalise, Weights};

mod alone;

/// A network ready to run.
pub struct Engine {
    network: Network,
    crew: Crew,
    /// For the stages of each pass.
    turns: Turns,
    /// For images that threads have each for themselves.
    help: Help,
    clock: Clock,
    images: usize,
}

impl Engine {
    /// Packs the weights of `plan` and plans its memory, with threads of its own.
    ///
    /// # Errors
    /// [`EngineError`] when plan and weights do not fit or the processor lacks what is asked for.
    pub fn new(
        plan: &Plan,
        weights: &dyn Weights,
        normalise: &Normalise,
        ranges: Option<&Ranges>,
        options: &Options,
    ) -> Result<Self, EngineError> {
        let crew = Crew::new(options.threads);
        Self::with(&crew, plan, weights, normalise, ranges, options)
    }

    /// The same with the threads, the memory and the packed weights of `crew`; how many threads
    /// `options` ask for does not matter. Weights are asked for one by one, each once.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn with(
        crew: &Crew,
        plan: &Plan,
        weights: &dyn Weights,
        normalise: &Normalise,
        ranges: Option<&Ranges>,
        options: &Options,
    ) -> Result<Self, EngineError> {
        let images = options.images.max(1);
        let options = Options {
            threads: crew.threads(),
            ..*options
        };
        let shelf = &mut crew.shelf();
        let network = build::network(plan, weights, normalise, ranges, &options, images, shelf)?;
        Ok(Self {
            turns: Turns::new(crew.threads(), passes(&network, images)),
            help: Help::new(crew.threads()),
            clock: Clock::new(network.stages.len()),
            network,
            crew: crew.clone(),
            images,
        })
    }

    /// Sizes of batches, none above `largest`: once each has run, no batch up to `largest` needs
    /// more memory. Fewer images than threads are computed by all threads together, more are dealt
    /// out, some to each.
    #[must_use]
    pub fn warm_up(&self, largest: usize) -> Vec<usize> {
        let threads = self.crew.threads();
        let together = self.images.min(threads - 1).min(largest);
        let dealt = (self.images * threads).min(largest);
        let mut sizes = vec![together, dealt];
        sizes.retain(|&images| images > 0);
        sizes.dedup();
        sizes
    }

    /// The shape of one image's output.
    #[must_use]
    pub fn output(&self) -> Shape {
        self.network.output().layout.shape
    }

    /// Runs images of red, green and blue levels, pixel by pixel; `scores` becomes the outputs of
    /// all images, one after the other.
    ///
    /// # Errors
    /// [`InputError`] when `pixels` are not a whole number of images.
    pub fn run_levels(&mut self, pixels: &[u8], scores: &mut Vec<f32>) -> Result<(), InputError> {
        let images = self.levels(pixels)?;
        self.run(Source::Levels(pixels), images, scores);
        Ok(())
    }

    /// Runs images that are already as the network wants them, pixel by pixel.
    ///
    /// # Errors
    /// [`InputError`] when `input` is not a whole number of images.
    pub fn run_floats(&mut self, input: &[f32], scores: &mut Vec<f32>) -> Result<(), InputError> {
        let images = whole(input.len(), self.network.input.layout.shape.elements())?;
        self.run(Source::Floats(input), images, scores);
        Ok(())
    }

    /// Runs images one by one and shows every value of each: its number, its channels and its
    /// numbers, pixel by pixel.
    ///
    /// # Errors
    /// As [`Engine::run_levels`].
    pub fn observe(
        &mut self,
        pixels: &[u8],
        see: &mut dyn FnMut(usize, usize, &[f32]),
    ) -> Result<(), InputError> {
        let images = self.levels(pixels)?;
        let hands = &mut *self.hands();
        hands.reserve(1, self.network.memory(1));
        let (memory, scratch) = (&hands.memory[0], &hands.scratch);
        let mut numbers = Vec::new();
        let mut show = |number: usize, value: &Value| {
            numbers.resize(value.layout.shape.elements(), 0.0);
            // SAFETY: the memory holds one image, and no thread writes it now.
            unsafe { self.network.read(value, (1, 0), memory, &mut numbers) };
            see(number, value.layout.shape.channels, &numbers);
        };
        for image in 0..images {
            // SAFETY: the memory holds one image, and this thread alone runs.
            unsafe {
                let rows = 0..self.network.input.layout.shape.height;
                self.network
                    .feed(Source::Levels(pixels), image, (1, 0), rows, memory)
            };
            show(0, &self.network.input);
            for (index, stage) in self.network.stages.iter().enumerate() {
                let chunks = stage.chunks(1);
                self.turns.restart();
                hands.pool.run(&|thread| {
                    let soon = self.network.soon(index, 1, [thread, self.crew.threads()]);
                    while let Some(chunk) = self.turns.take(thread, index, chunks) {
                        // SAFETY: each chunk is taken once, earlier stages are done, each thread
                        // has its own scratch.
                        unsafe {
                            stage.run(
                                chunk,
                                Images::all(1),
                                memory.start(),
                                scratch[thread].start(),
                                &soon,
                            )
                        };
                    }
                });
                show(index + 1, &stage.output);
            }
        }
        Ok(())
    }

    /// Runs images as [`Engine::run_levels`] does and says how long each layer took.
    ///
    /// # Errors
    /// As [`Engine::run_levels`].
    pub fn profile(
        &mut self,
        pixels: &[u8],
        scores: &mut Vec<f32>,
    ) -> Result<Vec<Duration>, InputError> {
        self.clock.clear();
        self.clock.on = true;
        let run = self.run_levels(pixels, scores);
        self.clock.on = false;
        run.map(|()| self.clock.times(self.crew.threads()))
    }

    /// How many operations a second all threads together do on numbers that are at hand.
    pub fn peak(&mut self) -> f64 {
        let (done, mut hands) = (AtomicUsize::new(0), self.crew.hands());
        let rate = (0..20).map(|_| {
            done.store(0, Ordering::Relaxed);
            let start = Instant::now();
            hands.pool.run(&|_| {
                // SAFETY: the engine was built for a level that the processor has.
                let operations = unsafe { (self.network.kernels.peak)(200_000) };
                done.fetch_add(operations, Ordering::Relaxed);
            });
            done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
        });
        rate.fold(0.0, f64::max)
    }

    /// How many images `pixels` are.
    fn levels(&self, pixels: &[u8]) -> Result<usize, InputError> {
        let shape = self.network.input.layout.shape;
        if shape.channels != 3 {
            return Err(InputError::Channels(shape.channels));
        }
        whole(pixels.len(), shape.elements())
    }

    /// The crew, with room for what this network needs beside the values.
    fn hands(&self) -> MutexGuard<'_, Hands> {
        let mut hands = self.crew.hands();
        hands.reserve_scratch(self.network.scratch);
        hands
    }

    fn run(&mut self, source: Source<'_>, images: usize, scores: &mut Vec<f32>) {
        let outputs = self.output().elements();
        scores.resize(images * outputs, 0.0);
        let hands = &mut *self.hands();
        let mut first = 0;
        while first < images {
            let (threads, left) = (self.crew.threads(), images - first);
            let alone = self.images.min(left / threads);
            let count = if alone == 0 {
                let count = left.min(self.images);
                self.run_shared(hands, source, first, count);
                let scores = &mut scores[first * outputs..(first + count) * outputs];
                let output = self.network.output();
                for (image, scores) in scores.chunks_exact_mut(outputs).enumerate() {
                    // SAFETY: the memory holds `count` images, and no thread writes it now.
                    unsafe {
                        self.network
                            .read(output, (count, image), &hands.memory[0], scores)
                    };
                }
                count
            } else {
                let count = left / (alone * threads) * (alone * threads);
                let scores = &mut scores[first * outputs..(first + count) * outputs];
                self.run_alone(hands, source, (first, alone), scores);
                count
            };
            first += count;
        }
    }

    /// Runs `count` images, all threads sharing each stage.
    fn run_shared(&self, hands: &mut Hands, source: Source<'_>, first: usize, count: usize) {
        hands.reserve(1, self.network.memory(count));
        let (network, memory, scratch) = (&self.network, &hands.memory[0], &hands.scratch);
        let barrier = hands.pool.barrier();
        let clock = &self.clock;
        let threads = self.crew.threads();
        self.turns.restart();
        let (stages, height) = (network.stages.len(), network.input.layout.shape.height);
        hands.pool.run(&|thread| {
            let rows = || height * thread / threads..height * (thread + 1) / threads;
            for (number, pass) in network.passes(count).enumerate() {
                for image in pass.feed {
                    let place = (count, image);
                    // SAFETY: each thread has other rows; the memory holds `count` images, and all
                    // threads have ended the pass before.
                    unsafe { network.feed(source, first + image, place, rows(), memory) };
                }
                barrier.wait();
                let mut start = if thread == 0 { clock.start() } else { None };
                for index in pass.stages {
                    let stage = &network.stages[index];
                    let chunks = stage.chunks(pass.images.count);
                    let turn = number * stages + index;
                    let soon = network.soon(index, pass.images.count, [thread, threads]);
                    while let Some(chunk) = self.turns.take(thread, turn, chunks) {
                        let (memory, scratch) = (memory.start(), scratch[thread].start());
                        // SAFETY: each chunk is taken once, all threads have ended the stage
                        // before, the memory holds `count` images, each thread has its own scratch.
                        unsafe { stage.run(chunk, pass.images, memory, scratch, &soon) };
                    }
                    barrier.wait();
                    clock.lap(index, &mut start, threads);
                }
            }
        });
    }
}

/// Counters for the stages of every pass over up to `images` images.
fn passes(network: &Network, images: usize) -> usize {
    network.stages.len().max(1) * (images + 1)
}

/// How many whole images of `image` numbers there are.
const fn whole(found: usize, image: usize) -> Result<usize, InputError> {
    if found.is_multiple_of(image) {
        Ok(found / image)
    } else {
        Err(InputError::Size { found, image })
    }
}
