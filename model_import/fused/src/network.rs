//! A network that is ready to run: its steps in order, and how images enter and numbers leave.
//!
//! Must not know: threads, how images are shared between them.

use std::ops::Range;

use crate::ahead::{Ahead, Soon};
use crate::element::Format;
use crate::kernel::{Codec, Kernels, LevelTable};
use crate::memory::Block;
use crate::steps::{Images, Step, Value};

/// A step, with the value that it writes.
pub(crate) struct Stage {
    pub(crate) step: Box<dyn Step>,
    pub(crate) output: Value,
}

impl Stage {
    /// The step's chunks, and one for the border of each image.
    pub(crate) fn chunks(&self, images: usize) -> usize {
        let borders = if self.output.layout.is_flat() {
            0
        } else {
            images
        };
        self.step.chunks(images) + borders
    }

    /// # Safety
    /// As [`Step::run`].
    pub(crate) unsafe fn run(
        &self,
        chunk: usize,
        images: Images,
        memory: *mut u8,
        scratch: *mut u8,
        soon: &Soon,
    ) {
        let own = self.step.chunks(images.count);
        // SAFETY: the caller's promise; no chunk of the step writes the border.
        unsafe {
            if chunk < own {
                self.step.run(chunk, images, memory, scratch, soon);
            } else {
                self.output.clear_border(memory, (images, chunk - own));
            }
        }
    }
}

/// What stays the same from pass to pass.
pub(crate) struct Network {
    pub(crate) input: Value,
    pub(crate) stages: Vec<Stage>,
    /// How many stages, from the first on, take one image at a time: what they read and write of
    /// more would not stay in the caches until it is read again.
    pub(crate) early: usize,
    /// Bytes of memory for any number of images, and for each image.
    pub(crate) bytes: [usize; 2],
    pub(crate) scratch: usize,
    /// Those of the input's format, and those of f32.
    pub(crate) kernels: &'static Kernels,
    pub(crate) floats: &'static Kernels,
    pub(crate) table: LevelTable,
    pub(crate) order: [usize; 3],
}

/// Images to run.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Levels(&'a [u8]),
    Floats(&'a [f32]),
}

/// Images to feed, then stages to run for images.
pub(crate) struct Pass {
    pub(crate) feed: Range<usize>,
    pub(crate) images: Images,
    pub(crate) stages: Range<usize>,
}

impl Network {
    /// What is to be done for all of so many images, in order.
    pub(crate) fn passes(&self, count: usize) -> impl Iterator<Item = Pass> + use<> {
        let (early, stages) = (self.early, self.stages.len());
        let images = Images::all(count);
        let one = move |image| Pass {
            feed: image..image + 1,
            images: images.one(image),
            stages: 0..early,
        };
        let last = Pass {
            feed: 0..if early == 0 { count } else { 0 },
            images,
            stages: early..stages,
        };
        let alone = if early == 0 { 0..0 } else { 0..count };
        alone.map(one).chain([last])
    }

    /// What one of `threads` threads has to do at stage `index`, and what comes after.
    pub(crate) fn soon(&self, index: usize, images: usize, [thread, threads]: [usize; 2]) -> Soon {
        let share = |chunks: usize| chunks * thread / threads..chunks * (thread + 1) / threads;
        let reads = |stage: &Stage| {
            let chunk = share(stage.chunks(images)).start;
            let own = chunk < stage.step.chunks(images);
            if own {
                stage.step.reads(images, chunk)
            } else {
                Ahead::NONE
            }
        };
        let after = self.stages[index + 1..].iter().map(reads);
        let next = after.into_iter().find(|reads| *reads != Ahead::NONE);
        Soon {
            share: share(self.stages[index].chunks(images)),
            next: next.unwrap_or(Ahead::NONE),
        }
    }

    /// Bytes of memory for so many images.
    pub(crate) const fn memory(&self, images: usize) -> usize {
        self.bytes[0] + self.bytes[1] * images
    }

    pub(crate) fn output(&self) -> &Value {
        let last = self.stages.last().map(|stage| &stage.output);
        last.unwrap_or(&self.input)
    }

    /// Writes rows of image `index` of `source` as those of image `image` of a memory for `images`, and with
    /// the first the border.
    ///
    /// # Safety
    /// `memory` holds `images` images; no other thread touches these rows of this one.
    pub(crate) unsafe fn feed(
        &self,
        source: Source<'_>,
        index: usize,
        (images, image): (usize, usize),
        rows: Range<usize>,
        memory: &Block,
    ) {
        let at = (Images::all(images), image);
        let shape = self.input.layout.shape;
        let (elements, row) = (shape.elements(), shape.width * shape.channels);
        debug_assert!(
            self.memory(images) <= memory.len(),
            "memory for {images} images"
        );
        // SAFETY: the caller's promise; a row of the source is a row of the value.
        unsafe {
            if rows.start == 0 {
                self.input.clear_border(memory.start(), at);
            }
            for y in rows {
                let codec = Codec {
                    value: self.input.image(memory.start(), at, [y, 0]),
                    channels: shape.channels,
                };
                let start = index * elements + y * row;
                match source {
                    Source::Levels(levels) => {
                        let levels = &levels[start..start + row];
                        (self.kernels.levels)(&codec, levels, &self.table, self.order);
                    }
                    Source::Floats(floats) => {
                        (self.kernels.encode)(&codec, &floats[start..start + row]);
                    }
                }
            }
        }
    }

    /// Reads image `image` of `images` of a value, without padding.
    ///
    /// # Safety
    /// `memory` holds `images` images; no thread writes this one.
    pub(crate) unsafe fn read(
        &self,
        value: &Value,
        (images, image): (usize, usize),
        memory: &Block,
        numbers: &mut [f32],
    ) {
        let at = (Images::all(images), image);
        let shape = value.layout.shape;
        let kernels = match value.format {
            Format::F32 => self.floats,
            Format::Bf16 | Format::U8 => self.kernels,
        };
        let rows = numbers.chunks_exact_mut(shape.width * shape.channels);
        for (y, row) in rows.enumerate().take(shape.height) {
            // SAFETY: the caller's promise; the row is one of the value's.
            unsafe {
                let codec = Codec {
                    value: value.image(memory.start(), at, [y, 0]),
                    channels: shape.channels,
                };
                (kernels.decode)(&codec, row);
            }
        }
    }
}
