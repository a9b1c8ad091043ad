//! The steps of a forward pass, one for each layer, and the choice of the algorithm for a layer.
//!
//! A step's work falls into chunks that any thread may run in any order. Must not know: the pool,
//! other layers.

mod dense;
mod rows;
mod winograd;

use std::sync::Arc;

use crate::ahead::{Ahead, Soon};
use crate::element::{Format, Quantum, Rule};
use crate::kernel::{Image, Kernels, Transforms};
use crate::layout::{CHANNELS, Layout};
use crate::pack::{self, Panels};
use crate::plan::Convolution;
use crate::winograd::{Square, Winograd, choose};

pub(crate) use dense::Dense;
pub(crate) use rows::{Elements, Grouped, Pooling, Softmax};
pub(crate) use winograd::Transformed;

/// Images that go through a step together: `count` of those that the memory holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Images {
    /// How many images the memory holds.
    pub(crate) all: usize,
    /// The first of these.
    pub(crate) first: usize,
    pub(crate) count: usize,
}

impl Images {
    /// All images of a memory that holds so many.
    pub(crate) const fn all(all: usize) -> Self {
        Self {
            all,
            first: 0,
            count: all,
        }
    }

    /// One of these.
    pub(crate) const fn one(self, image: usize) -> Self {
        Self {
            first: self.first + image,
            count: 1,
            ..self
        }
    }
}

/// One layer, ready to run.
pub(crate) trait Step: Send + Sync {
    /// Into how many chunks the work for so many images falls.
    fn chunks(&self, images: usize) -> usize;

    /// Bytes that a thread needs for itself while it runs a chunk.
    fn scratch(&self) -> usize {
        0
    }

    /// The packed weights, of which another engine may have the same.
    fn panels(&mut self) -> Option<&mut Arc<Panels>> {
        None
    }

    /// The packed weights that a chunk of the work for so many images reads.
    fn reads(&self, _images: usize, _chunk: usize) -> Ahead {
        Ahead::NONE
    }

    /// Runs one chunk; `soon` is what the thread does after it.
    ///
    /// # Safety
    /// `chunk` is less than `chunks(images.count)`; `memory` reaches over the values of its images;
    /// `scratch` over `scratch()` bytes, aligned to a line, that no other thread uses; the values
    /// that the step reads are written; no other thread runs this chunk or touches what the chunk
    /// writes: chunks of one step write different bytes.
    unsafe fn run(
        &self,
        chunk: usize,
        images: Images,
        memory: *mut u8,
        scratch: *mut u8,
        soon: &Soon,
    );
}

/// Where a value starts in memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// What lies before, however many images the memory holds.
    pub(crate) base: usize,
    /// What lies before for each image.
    pub(crate) start: usize,
    /// From one image's to the next's: 0 where there is room for one, which is used in turn.
    pub(crate) next: usize,
}

/// Where a value is and what its numbers mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value {
    pub(crate) place: Place,
    pub(crate) layout: Layout,
    pub(crate) format: Format,
    pub(crate) quantum: Quantum,
    /// Each byte of the border.
    pub(crate) border: u8,
}

impl Value {
    /// Where image `image` of `images` starts.
    pub(crate) const fn offset(&self, images: Images, image: usize) -> usize {
        let Place { base, start, next } = self.place;
        base + start * images.all + (images.first + image) * next
    }

    /// Image `image` of `images`, from pixel (`y`, `x`) inside the border.
    ///
    /// # Safety
    /// `memory` reaches over the values of `images` images.
    pub(crate) unsafe fn image(
        &self,
        memory: *mut u8,
        (images, image): (Images, usize),
        [y, x]: [usize; 2],
    ) -> Image {
        let at = self.offset(images, image) + self.layout.at(y, x, [0, 0]);
        Image {
            // SAFETY: the caller's promise; the pixel is in the value.
            start: unsafe { memory.add(at) },
            pixel: self.layout.pixel(),
            row: self.layout.row(),
            depth: self.layout.depth,
            quantum: self.quantum,
        }
    }

    /// Fills the border of image `image` of `images`.
    ///
    /// # Safety
    /// `memory` reaches over the values of `images` images, and no other thread touches the border.
    pub(crate) unsafe fn clear_border(&self, memory: *mut u8, (images, image): (Images, usize)) {
        for (start, length) in self.layout.border() {
            // SAFETY: the run is inside the value, and the caller's promise.
            unsafe {
                let start = memory.add(self.offset(images, image) + start);
                start.write_bytes(self.border, length);
            }
        }
    }
}

/// All that the step of a convolution is made of.
pub(crate) struct Parts<'a> {
    pub(crate) convolution: &'a Convolution,
    pub(crate) kernel: pack::Kernel<'a>,
    /// One number an output channel.
    pub(crate) bias: Vec<f32>,
    pub(crate) input: Value,
    pub(crate) output: Value,
    pub(crate) residual: Option<Value>,
    /// Most images that run through a step together.
    pub(crate) images: usize,
    /// Threads that share a step if there are fewer images.
    pub(crate) threads: usize,
    pub(crate) kernels: &'static Kernels,
    pub(crate) rule: Rule,
    /// Between values of the input's format.
    pub(crate) transforms: Transforms,
    /// Those that multiply what is transformed.
    pub(crate) products: &'static Kernels,
    pub(crate) winograd: Winograd,
    /// Whether `kernels` multiply pairs of bf16 in one instruction.
    pub(crate) pairs: bool,
    /// How inputs in bytes are stored at each point, if they are to be transformed.
    pub(crate) points: Option<&'a [f32]>,
}

/// Chooses the algorithm for a convolution.
///
/// A faster algorithm for some shapes (fewer multiplications for 3x3) is another type that is a
/// [`Step`], chosen here before [`Dense`].
pub(crate) fn convolution(parts: Parts<'_>) -> Box<dyn Step> {
    let (input, output) = (parts.input, parts.output);
    let can = input.format == output.format
        && input.layout.depth.is_multiple_of(CHANNELS)
        // SiLU would be of a number that is already rounded.
        && !(parts.rule.silu && input.format != Format::F32);
    let size = [output.layout.shape.height, output.layout.shape.width];
    let square = match (input.format, parts.points) {
        (Format::U8, Some(_)) if parts.winograd != Winograd::Never => Some(Square::Two),
        (Format::U8, _) => None,
        _ => choose(
            parts.winograd,
            parts.convolution,
            size,
            parts.images,
            parts.pairs,
        ),
    };
    match square.filter(|_| can) {
        Some(square) => Box::new(Transformed::new(parts, square)),
        None if parts.convolution.groups > 1 => Box::new(Grouped::new(parts)),
        None => Box::new(Dense::new(parts)),
    }
}
