//! A network with its packed weights, its memory and its threads.
//!
//! Few images: all threads share each step, chunk by chunk, and meet after it. Many images: each
//! thread takes some images and runs them through the whole network alone. Must not know: burn,
//! files, what a step computes.
//!
//! Quantization ranges enter in `storage.rs`, which gives every value its `Quantum`; from there they
//! reach the steps with the values.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::build;
use crate::clock::Clock;
use crate::error::{EngineError, InputError};
use crate::level::Level;
use crate::memory::Block;
use crate::network::{Network, Source};
use crate::plan::{Plan, Shape};
use crate::ranges::Ranges;
use crate::steps::Value;
use crate::threads::Pool;
use crate::weights::{Normalise, Weights};
use crate::winograd::Winograd;

/// How numbers are stored and multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// The upper half of them.
    Bf16,
    /// 8-bit whole numbers with a scale; needs ranges.
    Int8,
}

/// How an engine runs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How numbers are stored.
    pub precision: Precision,
    /// Threads, the caller's included.
    pub threads: usize,
    /// The instructions to use.
    pub level: Level,
    /// Most images that a thread runs through the network together.
    pub images: usize,
    /// Whether pairs of bf16 and quads of 8-bit numbers are multiplied in one instruction, where the
    /// processor has it. Only tests and comparisons want it otherwise.
    pub dots: bool,
    /// Which 3x3 convolutions of f32 take fewer multiplications.
    pub winograd: Winograd,
    /// Called once on every thread but the caller's, with its number from 1 to `threads` - 1,
    /// before it works. It must not panic.
    pub start: fn(usize),
}

impl Options {
    /// `threads` threads of `precision` with the best that the processor has.
    #[must_use]
    pub fn new(precision: Precision, threads: usize) -> Self {
        Self {
            precision,
            threads,
            level: Level::detect(),
            images: 2,
            dots: true,
            winograd: Winograd::Auto,
            start: |_| (),
        }
    }
}

/// A network ready to run.
pub struct Engine {
    network: Network,
    pool: Pool,
    /// Memory of each thread, as large as has been needed; the first is also the shared one.
    memory: Vec<Block>,
    scratch: Vec<Block>,
    /// Chunks taken so far, for each stage.
    taken: Vec<AtomicUsize>,
    clock: Clock,
    images: usize,
}

impl Engine {
    /// Packs the weights of `plan` and plans its memory.
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
        let images = options.images.max(1);
        let network = build::network(plan, weights, normalise, ranges, options, images)?;
        let pool = Pool::new(options.threads, options.start);
        let blocks = |bytes| (0..pool.threads()).map(|_| Block::new(bytes)).collect();
        Ok(Self {
            memory: blocks(0),
            scratch: blocks(network.scratch),
            taken: network.stages.iter().map(|_| AtomicUsize::new(0)).collect(),
            clock: Clock::new(network.stages.len()),
            network,
            pool,
            images,
        })
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
        self.reserve(1, 1);
        let memory = &self.memory[0];
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
                self.network
                    .feed(Source::Levels(pixels), image, (1, 0), memory)
            };
            show(0, &self.network.input);
            for (index, stage) in self.network.stages.iter().enumerate() {
                let taken = AtomicUsize::new(0);
                let chunks = stage.chunks(1);
                let (memory, scratch) = (&self.memory[0], &self.scratch);
                self.pool.run(&|thread| {
                    while let Some(chunk) = next(&taken, chunks) {
                        // SAFETY: each chunk is taken once, earlier stages are done, each thread
                        // has its own scratch.
                        unsafe { stage.run(chunk, 1, memory.start(), scratch[thread].start()) };
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
        run.map(|()| self.clock.times(self.pool.threads()))
    }

    /// How many operations a second all threads together do on numbers in registers alone.
    pub fn peak(&mut self) -> f64 {
        let done = AtomicUsize::new(0);
        let rate = (0..20).map(|_| {
            done.store(0, Ordering::Relaxed);
            let start = Instant::now();
            self.pool.run(&|_| {
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

    /// Makes the memory of the first `threads` threads large enough for `images` images.
    fn reserve(&mut self, threads: usize, images: usize) {
        for block in &mut self.memory[..threads] {
            if block.len() < self.network.bytes * images {
                *block = Block::new(self.network.bytes * images);
            }
        }
    }

    fn run(&mut self, source: Source<'_>, images: usize, scores: &mut Vec<f32>) {
        let outputs = self.output().elements();
        scores.resize(images * outputs, 0.0);
        let mut first = 0;
        while first < images {
            let (threads, left) = (self.pool.threads(), images - first);
            let alone = self.images.min(left / threads);
            let count = if alone == 0 {
                let count = left.min(self.images);
                self.run_shared(source, first, count);
                let scores = &mut scores[first * outputs..(first + count) * outputs];
                let output = self.network.output();
                for (image, scores) in scores.chunks_exact_mut(outputs).enumerate() {
                    // SAFETY: the memory holds `count` images, and no thread writes it now.
                    unsafe {
                        self.network
                            .read(output, (count, image), &self.memory[0], scores)
                    };
                }
                count
            } else {
                let count = left / (alone * threads) * (alone * threads);
                let scores = &mut scores[first * outputs..(first + count) * outputs];
                self.run_alone(source, first, alone, scores);
                count
            };
            first += count;
        }
    }

    /// Runs `count` images, all threads sharing each stage.
    fn run_shared(&mut self, source: Source<'_>, first: usize, count: usize) {
        self.reserve(1, count);
        let (network, memory, scratch) = (&self.network, &self.memory[0], &self.scratch);
        let (taken, barrier) = (&self.taken, self.pool.barrier());
        let clock = &self.clock;
        let threads = self.pool.threads();
        for taken in taken {
            taken.store(0, Ordering::Relaxed);
        }
        let fed = AtomicUsize::new(0);
        self.pool.run(&|thread| {
            while let Some(image) = next(&fed, count) {
                // SAFETY: each image is taken once; the memory holds `count` images.
                unsafe { network.feed(source, first + image, (count, image), memory) };
            }
            barrier.wait();
            let mut start = if thread == 0 { clock.start() } else { None };
            for (index, (stage, taken)) in network.stages.iter().zip(taken).enumerate() {
                let chunks = stage.chunks(count);
                while let Some(chunk) = next(taken, chunks) {
                    // SAFETY: each chunk is taken once, all threads have ended the stage before,
                    // the memory holds `count` images, each thread has its own scratch.
                    unsafe { stage.run(chunk, count, memory.start(), scratch[thread].start()) };
                }
                barrier.wait();
                clock.lap(index, &mut start, threads);
            }
        });
    }

    /// Runs as many images as `scores` has room for, each thread `count` at a time.
    fn run_alone(&mut self, source: Source<'_>, first: usize, count: usize, scores: &mut [f32]) {
        self.reserve(self.pool.threads(), count);
        let (network, memory, scratch) = (&self.network, &self.memory, &self.scratch);
        let output = network.output();
        let outputs = output.layout.shape.elements();
        let turns = scores.len() / (outputs * count);
        let scores = Scores(scores.as_mut_ptr());
        let (taken, clock) = (AtomicUsize::new(0), &self.clock);
        self.pool.run(&|thread| {
            let (memory, scratch) = (&memory[thread], &scratch[thread]);
            while let Some(turn) = next(&taken, turns) {
                for image in 0..count {
                    let index = first + turn * count + image;
                    // SAFETY: the memory is this thread's own and holds `count` images.
                    unsafe { network.feed(source, index, (count, image), memory) };
                }
                let mut start = clock.start();
                for (index, stage) in network.stages.iter().enumerate() {
                    for chunk in 0..stage.chunks(count) {
                        // SAFETY: as above, and stages and chunks run one by one.
                        unsafe { stage.run(chunk, count, memory.start(), scratch.start()) };
                    }
                    clock.lap(index, &mut start, 1);
                }
                for image in 0..count {
                    // SAFETY: each turn is taken once, and its scores are written by it alone.
                    unsafe {
                        let scores = scores.slice((turn * count + image) * outputs, outputs);
                        network.read(output, (count, image), memory, scores);
                    }
                }
            }
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

/// How many whole images of `image` numbers there are.
const fn whole(found: usize, image: usize) -> Result<usize, InputError> {
    if found.is_multiple_of(image) {
        Ok(found / image)
    } else {
        Err(InputError::Size { found, image })
    }
}
