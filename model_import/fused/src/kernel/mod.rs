//! The innermost loops, for each level and precision.
//!
//! [`tile`] is written once over [`Arithmetic`], what a level does with the elements of one
//! precision; a level's file says what its vectors are and makes a [`Kernels`] table of it. The files
//! here are those of f32.
//! Must not know: plans, layers, threads.

mod plain;
mod codec;
mod grouped;
mod halves;
mod lanes;
#[cfg(target_arch = "x86_64")]
mod bytes;
mod points;
mod stored;
mod winograd;
mod tables;
mod tile;
mod choose;
mod portable;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bf16;
mod int8;

pub(crate) use choose::of;
pub(crate) use codec::{Codec, LevelTable};
pub(crate) use grouped::{Depthwise, Grouped};
pub(crate) use plain::{Channels, Elementwise, Image, PoolRow};
pub(crate) use stored::Byte;
pub(crate) use winograd::{Gather, Scatter, Transforms, transforms};

use crate::element::Rule;
use tables::{as_floats, kernels};

/// One tile of a convolution for one panel of output channels. Steps are in bytes.
///
/// A kernel reads `run` groups of 4 bytes at `input[strip] + pixel * input_step + offsets[i]` for
/// every strip, pixel and offset; `offsets.len() * run` rows of the panel's weights; the panel's
/// `bias` and `scale`; and, for every strip and pixel, the panel's channels of `residual` (where
/// not null). It writes the panel's channels of `output`.
#[derive(Clone, Copy)]
pub(crate) struct Tile {
    pub(crate) input: [*const u8; 2],
    pub(crate) output: [*mut u8; 2],
    pub(crate) residual: [*const u8; 2],
    pub(crate) input_step: usize,
    pub(crate) output_step: usize,
    pub(crate) residual_step: usize,
    pub(crate) offsets: *const usize,
    pub(crate) segments: usize,
    pub(crate) run: usize,
    pub(crate) weights: *const u8,
    /// One number an output channel, added to the scaled sum.
    pub(crate) bias: *const f32,
    /// What a unit of the sum means in units of the output, one number an output channel; only
    /// kernels over bytes read it.
    pub(crate) scale: *const f32,
    /// What a unit of the residual means in units of the output.
    pub(crate) residual_scale: f32,
    pub(crate) rule: Rule,
    pub(crate) requantize: Requantize,
    /// What is read next: a hint at this address, then at ones so much further on, one a group.
    pub(crate) ahead: *const u8,
    pub(crate) ahead_step: usize,
    /// Where the tile after this one begins, for hints.
    pub(crate) next: Next,
}

/// Where a tile writes and what it adds; its steps are those of the tile before.
#[derive(Clone, Copy)]
pub(crate) struct Next {
    pub(crate) output: [*const u8; 2],
    pub(crate) residual: [*const u8; 2],
}

/// How a sum becomes a byte in whole numbers alone, for kernels from bytes to bytes.
///
/// A sum starts at `start`; then, with `x` held within 16 bits and `mul(a, b)` = `(a * b + 2^14) >> 15`,
/// `x = sum >> shift`, `y = mul(x, factor) + mul(residual << 7, residual_factor)`, and the byte is
/// `y >> 5` held within `low` and `high`. So `y` counts 32nds of a unit of the output; what rounds is in
/// `start`. See `numbers.rs` for how the numbers come about.
#[derive(Clone, Copy)]
pub(crate) struct Requantize {
    /// One number an output channel, in the panel's order: zeros where floats are made of the sums.
    pub(crate) start: *const i32,
    /// One number an output channel, in the panel's order; null where floats are made of the sums.
    pub(crate) shift: *const i32,
    /// One number an output channel, in their own order.
    pub(crate) factor: *const i16,
    pub(crate) residual_factor: i16,
    pub(crate) low: u8,
    pub(crate) high: u8,
}

/// Channels of the widest panel of any level.
pub(crate) const WIDEST: usize = 32;
/// What sums start at that become floats.
static ZEROS: [i32; WIDEST] = [0; WIDEST];

impl Requantize {
    /// Where floats are made of the sums.
    pub(crate) const NONE: Self = Self {
        start: (&raw const ZEROS).cast(),
        shift: std::ptr::null(),
        factor: std::ptr::null(),
        residual_factor: 0,
        low: 0,
        high: 0,
    };
}

/// Runs a [`Tile`] of a fixed number of strips, pixels and output channels.
///
/// # Safety
/// Everything that [`Tile`] says is read or written must be so, what is written by this thread
/// alone; the processor must have the level's instructions.
pub(crate) type TileKernel = unsafe fn(&Tile);

/// Writes a row of pixels by a table of numbers a level and an order of channels.
pub(crate) type LevelsKernel = unsafe fn(&Codec, &[u8], &LevelTable, [usize; 3]);

/// The kernels for layers that read and write given formats, at one level. Those over plain code ask of
/// their caller what the methods in `plain.rs` and `grouped.rs` ask, and that the processor has the
/// level's instructions.
pub(crate) struct Kernels {
    /// Output channels of a whole panel; a last one may have 16.
    pub(crate) panel: usize,
    /// Output channels of a vector of sums.
    pub(crate) lanes: usize,
    /// Bytes of the weights for a group of 4 bytes of the input, for one output channel.
    pub(crate) weight: usize,
    /// Most strips of a tile.
    pub(crate) strips: usize,
    /// Most pixels of a strip.
    pub(crate) pixels: usize,
    /// The tile kernel of so many strips, pixels and output channels.
    pub(crate) tile: fn(usize, usize, usize) -> TileKernel,
    pub(crate) depthwise: unsafe fn(&Depthwise<'_>),
    pub(crate) grouped: unsafe fn(&Grouped<'_>),
    pub(crate) max_pool: unsafe fn(&PoolRow),
    pub(crate) average_pool: unsafe fn(&PoolRow),
    pub(crate) elementwise: unsafe fn(&Elementwise),
    pub(crate) softmax: unsafe fn(&Channels),
    pub(crate) encode: unsafe fn(&Codec, &[f32]),
    pub(crate) decode: unsafe fn(&Codec, &mut [f32]),
    pub(crate) levels: LevelsKernel,
    /// Multiplies numbers that are at hand, so many rounds; the operations done.
    pub(crate) peak: unsafe fn(usize) -> usize,
}

/// What a level does with vectors of one precision.
///
/// # Safety
/// The caller of any method has the level's instructions, and its pointers reach over what the
/// method says it reads or writes.
pub(crate) trait Arithmetic {
    /// Running sums, one an output channel.
    type Sum: Copy;
    /// A group of the reduction an output channel.
    type Operand: Copy;
    /// Floats, one an output channel.
    type Real: Copy;
    /// Output channels of a vector.
    const LANES: usize;
    /// Bytes an element that is read.
    const SIZE: usize;
    /// Bytes of a group of weights for one output channel.
    const WEIGHT: usize = 4;
    /// Bytes an element that is written.
    const OUTPUT: usize = Self::SIZE;
    /// Whether sums can become elements by [`Self::requantize`].
    const WHOLE: bool = false;

    /// Sums of nothing.
    unsafe fn zero() -> Self::Sum;
    /// What the sums of `LANES` channels start at; only kernels over bytes have it not zero.
    #[inline(always)]
    unsafe fn start(_: *const i32) -> Self::Sum {
        // SAFETY: the caller has the instructions.
        unsafe { Self::zero() }
    }
    /// `LANES` groups of weights.
    unsafe fn weights(at: *const u8) -> Self::Operand;
    /// One group of the input, for all output channels.
    unsafe fn broadcast(at: *const u8) -> Self::Operand;
    /// `sum + input * weights`, over the numbers of the group.
    unsafe fn multiply_add(
        sum: Self::Sum,
        input: Self::Operand,
        weights: Self::Operand,
    ) -> Self::Sum;
    /// `sum * scale + bias` of `LANES` channels.
    unsafe fn real(sum: Self::Sum, scale: *const f32, bias: *const f32) -> Self::Real;
    /// `value + residual`: `LANES` elements of the residual.
    unsafe fn add_residual(value: Self::Real, at: *const u8, scale: f32) -> Self::Real;
    /// `x / (1 + exp(-x))`, for bytes times and plus what the rule says.
    unsafe fn silu(value: Self::Real, rule: &Rule) -> Self::Real;
    /// The value within the rule's bounds. What is not a number stays so.
    unsafe fn clamp(value: Self::Real, rule: &Rule) -> Self::Real;
    /// Writes `LANES` elements.
    unsafe fn write(value: Self::Real, at: *mut u8);
    /// Writes the bytes of two pixels as [`Requantize`] says: their sums, residuals (where `RESIDUAL`) and
    /// places. Only kernels from bytes to bytes have it.
    #[inline(always)]
    unsafe fn requantize<const VECTORS: usize, const RESIDUAL: bool>(
        _sums: [[Self::Sum; VECTORS]; 2],
        _residual: [*const u8; 2],
        _output: [*mut u8; 2],
        _by: &Requantize,
    ) {
    }
    /// A hint that the line at `at` is written soon. Any address will do.
    fn write_soon(at: *const u8);
    /// A hint that the line at `at` is read soon. Any address will do.
    fn read_soon(at: *const u8);
    /// The same for later: the line comes no nearer than the second-level cache.
    fn read_later(at: *const u8);
}
