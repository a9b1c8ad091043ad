//! The innermost loops, for each level and precision.
//!
//! [`tile()`] is written once over [`Arithmetic`], what a level does with the elements of one
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

/// Repeats a block for each index below a constant, at most 2 or 7. The compiler keeps sums in
/// registers only where every index is a constant, and it does not unroll long loops by itself.
macro_rules! each {
    ($index:ident < $count:ident of 2 $body:block) => {
        each!(@ $index $count $body 0 1)
    };
    ($index:ident < $count:ident of 7 $body:block) => {
        each!(@ $index $count $body 0 1 2 3 4 5 6)
    };
    ($index:ident < $count:ident of 7 halved $body:block) => {{
        let pairs = $count.div_ceil(2);
        each!($index < pairs of 7 $body)
    }};
    (@ $index:ident $count:ident $body:block $($number:literal)*) => {{
        $(if $number < $count {
            let $index = $number;
            $body
        })*
    }};
}

/// The tile kernel, see [`Tile`].
///
/// # Safety
/// As [`TileKernel`]; to be inlined into a function that has the level's instructions.
#[inline(always)]
unsafe fn tile<A: Arithmetic, const STRIPS: usize, const PIXELS: usize, const VECTORS: usize>(
    tile: &Tile,
) {
    // SAFETY: the caller's promise covers every address; only hints go beyond it.
    unsafe {
        // The lines that the store needs come from far; the reduction hides the way.
        let has_residual = !tile.residual[0].is_null();
        for strip in 0..STRIPS {
            for pixel in 0..PIXELS {
                let output = tile.output[strip].wrapping_add(pixel * tile.output_step);
                lines(output, VECTORS * A::LANES * A::OUTPUT, A::write_soon);
                if has_residual {
                    let residual = tile.residual[strip].wrapping_add(pixel * tile.residual_step);
                    lines(residual, VECTORS * A::LANES * A::SIZE, A::read_soon);
                }
            }
        }
        let sums = reduce::<A, STRIPS, PIXELS, VECTORS>(tile);
        if A::WHOLE && !tile.requantize.shift.is_null() {
            let count = STRIPS * PIXELS;
            macro_rules! store {
                ($residual:literal) => {
                    each!(pair < count of 7 halved {
                        // The last of an odd number is written twice.
                        let places = [2 * pair, (2 * pair + 1).min(count - 1)];
                        let [a, b] = places.map(|place| (place / PIXELS, place % PIXELS));
                        let residual = |(strip, pixel): (usize, usize)| {
                            tile.residual[strip].wrapping_add(pixel * tile.residual_step)
                        };
                        let output = |(strip, pixel): (usize, usize)| {
                            tile.output[strip].wrapping_add(pixel * tile.output_step)
                        };
                        A::requantize::<VECTORS, $residual>(
                            [sums[a.0][a.1], sums[b.0][b.1]],
                            [residual(a), residual(b)],
                            [output(a), output(b)],
                            &tile.requantize,
                        );
                    })
                };
            }
            if has_residual {
                store!(true);
            } else {
                store!(false);
            }
            return;
        }
        // One value at a time from sum to memory, and no choice within: what is held, spills.
        macro_rules! store {
            ($value:ident $(, $residual:ident)? $(; $silu:block)?) => {
                each!(vector < VECTORS of 2 {
                    let channel = vector * A::LANES;
                    let (scale, bias) = (tile.scale.add(channel), tile.bias.add(channel));
                    each!(strip < STRIPS of 2 { each!(pixel < PIXELS of 7 {
                        let $value = A::real(sums[strip][pixel][vector], scale, bias);
                        $(let at = pixel * tile.residual_step + channel * A::SIZE;
                        let $residual = tile.residual[strip].add(at);
                        let $value = A::add_residual($value, $residual, tile.residual_scale);)?
                        $(let $value = $silu;)?
                        let at = pixel * tile.output_step + channel * A::OUTPUT;
                        A::write(A::clamp($value, &tile.rule), tile.output[strip].add(at));
                    }) });
                })
            };
        }
        match (has_residual, tile.rule.silu) {
            (false, false) => store!(value),
            (true, false) => store!(value, residual),
            (false, true) => store!(value; { A::silu(value, &tile.rule) }),
            (true, true) => store!(value, residual; { A::silu(value, &tile.rule) }),
        }
    }
}

/// The sums of a tile.
///
/// # Safety
/// As [`tile()`].
#[inline(always)]
unsafe fn reduce<A: Arithmetic, const STRIPS: usize, const PIXELS: usize, const VECTORS: usize>(
    tile: &Tile,
) -> [[[A::Sum; VECTORS]; PIXELS]; STRIPS] {
    // SAFETY: the caller's promise covers every address.
    unsafe {
        let mut first = [A::zero(); VECTORS];
        each!(vector < VECTORS of 2 {
            first[vector] = A::start(tile.requantize.start.wrapping_add(vector * A::LANES));
        });
        let mut sums = [[first; PIXELS]; STRIPS];
        let step = tile.input_step;
        let (mut weights, mut ahead) = (tile.weights, tile.ahead);
        for segment in 0..tile.segments {
            let offset = *tile.offsets.add(segment);
            let mut input = tile.input.map(|start| start.wrapping_add(offset));
            for _ in 0..tile.run {
                let mut columns = [A::weights(weights); VECTORS];
                each!(vector < VECTORS of 2 {
                    columns[vector] = A::weights(weights.add(vector * A::LANES * A::WEIGHT));
                });
                each!(strip < STRIPS of 2 { each!(pixel < PIXELS of 7 {
                    let number = A::broadcast(input[strip].wrapping_add(pixel * step));
                    each!(vector < VECTORS of 2 {
                        let sum = &mut sums[strip][pixel][vector];
                        *sum = A::multiply_add(*sum, number, columns[vector]);
                    });
                }) });
                weights = weights.wrapping_add(VECTORS * A::LANES * A::WEIGHT);
                input = input.map(|input| input.wrapping_add(4));
                A::read_later(ahead);
                ahead = ahead.wrapping_add(tile.ahead_step);
            }
        }
        sums
    }
}

/// Multiplies and adds numbers that are at hand, in the order of a tile; returns the operations done.
///
/// # Safety
/// To be inlined into a function that has the level's instructions.
#[inline(always)]
unsafe fn peak<A: Arithmetic, const STRIPS: usize, const PIXELS: usize, const VECTORS: usize>(
    rounds: usize,
) -> usize {
    let numbers = [1_u8; 128];
    // SAFETY: the caller's promise; 64 bytes are as many as any vector takes, and no tile has more than 14
    // pixels.
    unsafe {
        // Nobody knows where they are, so nobody knows that they are the same. Sums and weights are held in
        // registers only if their own places are nobody's business.
        let start = std::hint::black_box(numbers.as_ptr());
        let mut weights = [A::weights(start); VECTORS];
        each!(vector < VECTORS of 2 {
            weights[vector] = A::weights(start.wrapping_add(vector * 64));
        });
        let mut sums = [[[A::zero(); VECTORS]; PIXELS]; STRIPS];
        for _ in 0..rounds {
            // Read anew: of products that stay the same only the sums would be left to do.
            let inputs = std::hint::black_box(numbers.as_ptr());
            each!(strip < STRIPS of 2 { each!(pixel < PIXELS of 7 {
                let number = A::broadcast(inputs.wrapping_add((strip * PIXELS + pixel) * 4));
                each!(vector < VECTORS of 2 {
                    let sum = &mut sums[strip][pixel][vector];
                    *sum = A::multiply_add(*sum, number, weights[vector]);
                });
            }) });
        }
        std::hint::black_box(sums);
    }
    rounds * STRIPS * PIXELS * VECTORS * A::LANES * (4 / A::SIZE) * 2
}

/// Calls `hint` for each cache line of `bytes` bytes.
#[inline(always)]
fn lines(start: *const u8, bytes: usize, hint: fn(*const u8)) {
    for line in 0..bytes.div_ceil(64) {
        hint(start.wrapping_add(line * 64));
    }
}
