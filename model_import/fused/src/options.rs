//! How an engine runs: the numbers, the threads, the instructions.
//!
//! Must not know: what an engine makes of it.

use crate::element::Format;
use crate::level::Level;
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

impl Precision {
    /// How values are stored, but for those that stay floats.
    pub(crate) const fn format(self) -> Format {
        match self {
            Self::F32 => Format::F32,
            Self::Bf16 => Format::Bf16,
            Self::Int8 => Format::U8,
        }
    }
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
    /// A layer that reads and writes at least this many bytes for one image takes one at a time, and
    /// so do the layers before it: of more, less would stay in the caches until it is read again.
    pub large: usize,
    /// Whether pairs of bf16 and quads of 8-bit numbers are multiplied in one instruction, where the
    /// processor has it. Only tests and comparisons want it otherwise.
    pub dots: bool,
    /// Which 3x3 convolutions of f32 and bf16 take fewer multiplications.
    pub winograd: Winograd,
}

impl Options {
    /// `threads` threads of `precision` with the best that the processor has.
    #[must_use]
    pub fn new(precision: Precision, threads: usize) -> Self {
        // Measured with batches of 8 and 32 images: bytes gain nothing by more, floats a twelfth by 4.
        let images = if precision == Precision::Int8 { 2 } else { 4 };
        Self {
            precision,
            threads,
            level: Level::detect(),
            images,
            // One and a half to three second-level caches of today. With 2 MiB more layers fetch their
            // weights for each image, which costs floats a fiftieth; with 4 bytes lose as much.
            large: 3300 << 10,
            dots: true,
            winograd: Winograd::Auto,
        }
    }
}
