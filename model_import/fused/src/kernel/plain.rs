//! The kernels that plain code is fast enough for, but for convolutions: pooling, sums, activations
//! and softmax.
//!
//! Each is written once over the element types that it reads (`I`) and writes (`O`), on arrays of 16
//! channels, and inlined into functions that have a level's instructions. Pointers are to pixels,
//! steps in bytes.
//! Must not know: plans, layers, threads.

use std::any::TypeId;

use crate::element::{Element, Quantum, Rule, exp, map};
use crate::layout::CHANNELS;

/// Numbers of a chunk of channels.
pub(super) type Chunk = [f32; CHANNELS];

/// Channels of which the largest are found together, where they are only copied.
const WIDE: usize = 64;

/// A value of one image: its first pixel inside the border.
#[derive(Clone, Copy)]
pub(crate) struct Image {
    pub(crate) start: *mut u8,
    /// Bytes a pixel and a row.
    pub(crate) pixel: usize,
    pub(crate) row: usize,
    /// Channels, padding included.
    pub(crate) depth: usize,
    pub(crate) quantum: Quantum,
}

/// 16 channels from channel `channel` of the pixel at `pixel`, zeros from where the pixel ends.
///
/// # Safety
/// The pixel is one of `image`, or of its border, and can be read.
#[inline(always)]
pub(super) unsafe fn read<E: Element>(
    pixel: *const u8,
    channel: usize,
    image: &Image,
) -> [E; CHANNELS] {
    let count = image.depth.saturating_sub(channel);
    let at = pixel.wrapping_add(channel * size_of::<E>());
    // SAFETY: the caller's promise; an element is any bits.
    unsafe {
        if count >= CHANNELS {
            return at.cast::<[E; CHANNELS]>().read_unaligned();
        }
        let mut elements = [E::encode(0.0, &image.quantum); CHANNELS];
        for (channel, element) in elements.iter_mut().enumerate().take(count) {
            *element = at.cast::<E>().add(channel).read_unaligned();
        }
        elements
    }
}

/// Writes the first `count` of `numbers`.
///
/// # Safety
/// They can be written, by this thread alone.
#[inline(always)]
unsafe fn write<E: Element>(numbers: Chunk, at: *mut u8, count: usize, quantum: &Quantum) {
    // SAFETY: the caller's promise.
    unsafe {
        if count >= CHANNELS {
            let elements = map(numbers, |number| E::encode(number, quantum));
            at.cast::<[E; CHANNELS]>().write_unaligned(elements);
            return;
        }
        for (channel, &number) in numbers.iter().enumerate().take(count) {
            let element = E::encode(number, quantum);
            at.cast::<E>().add(channel).write_unaligned(element);
        }
    }
}

/// What `count` channels from channel `channel` on stand for, as [`read`]; they need not be a whole
/// chunk.
///
/// # Safety
/// As [`read`].
#[inline(always)]
unsafe fn decode<E: Element>(
    pixel: *const u8,
    channel: usize,
    count: usize,
    image: &Image,
) -> Chunk {
    let depth = image.depth.min(channel + count);
    // SAFETY: the caller's promise.
    let elements = unsafe { read::<E>(pixel, channel, &Image { depth, ..*image }) };
    map(elements, |element| element.decode(&image.quantum))
}

/// Writes zero into the channels of pixel `x` from `channel` on.
///
/// # Safety
/// They can be written, by this thread alone.
#[inline(always)]
pub(super) unsafe fn pad<E: Element>(image: &Image, x: usize, channel: usize) {
    for channel in channel..image.depth {
        let at = x * image.pixel + channel * size_of::<E>();
        let zero = E::encode(0.0, &image.quantum);
        // SAFETY: the caller's promise.
        unsafe { image.start.add(at).cast::<E>().write_unaligned(zero) };
    }
}

/// Adds the residual of pixel `x`, applies the activation and writes `count` channels from
/// `channel` on.
///
/// # Safety
/// They can be read and written, by this thread alone.
#[inline(always)]
pub(super) unsafe fn finish<I: Element, O: Element>(
    mut sums: Chunk,
    output: Image,
    residual: Option<Image>,
    x: usize,
    (channel, count): (usize, usize),
    rule: &Rule,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(residual) = residual {
            let pixel = residual.start.add(x * residual.pixel);
            let numbers = decode::<I>(pixel, channel, count, &residual);
            for lane in 0..CHANNELS {
                sums[lane] += numbers[lane];
            }
        }
        let numbers = map(sums, |sum| rule.apply(sum));
        let start = output
            .start
            .add(x * output.pixel + channel * size_of::<O>());
        write::<O>(numbers, start, count, &output.quantum);
    }
}

/// One output row of a pooling layer.
pub(crate) struct PoolRow {
    /// The image's first pixel, not the row's: windows are cut at the image's edges.
    pub(crate) input: Image,
    /// The row's first pixel.
    pub(crate) output: Image,
    pub(crate) width: usize,
    /// The input's columns, and the rows of it that the windows cover.
    pub(crate) input_width: usize,
    pub(crate) rows: (usize, usize),
    /// Columns of a window, from one to the next, and of padding before the first.
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) before: usize,
    /// By what a mean is divided: the window's pixels, or those inside the image (none).
    pub(crate) divisor: Option<usize>,
}

impl PoolRow {
    /// Writes the largest numbers.
    ///
    /// # Safety
    /// The input's covered rows can be read, the output row can be written by this thread alone.
    #[inline(always)]
    pub(crate) unsafe fn max<I: Element, O: Element>(&self) {
        let larger = |most: I, found: I| {
            if found.is_above(most) { found } else { most }
        };
        let (from, to) = (self.input.quantum, self.output.quantum);
        let is_copied = TypeId::of::<I>() == TypeId::of::<O>() && from == to;
        let wide = if is_copied {
            self.input.depth.min(self.output.depth) / WIDE * WIDE
        } else {
            0
        };
        for channel in (0..wide).step_by(WIDE) {
            // SAFETY: the caller's promise; both pixels have these channels, of the same type.
            unsafe {
                let at = channel * size_of::<I>();
                self.fold::<I, I, WIDE>(
                    |pixel| pixel.wrapping_add(at).cast::<[I; WIDE]>().read_unaligned(),
                    |most| most,
                    larger,
                    |most, _, pixel| {
                        pixel
                            .wrapping_add(at)
                            .cast::<[I; WIDE]>()
                            .write_unaligned(most)
                    },
                );
            }
        }
        for channel in (wide..self.output.depth).step_by(CHANNELS) {
            // SAFETY: the caller's promise.
            unsafe {
                self.fold::<I, I, CHANNELS>(
                    |pixel| read::<I>(pixel, channel, &self.input),
                    |first| first,
                    larger,
                    |most, _, pixel| {
                        let numbers = map(most, |element| element.decode(&from));
                        let at = pixel.wrapping_add(channel * size_of::<O>());
                        write::<O>(numbers, at, CHANNELS, &to);
                    },
                );
            }
        }
    }

    /// Writes the means.
    ///
    /// # Safety
    /// As [`PoolRow::max`].
    #[inline(always)]
    pub(crate) unsafe fn average<I: Element, O: Element>(&self) {
        let Quantum { scale, zero, .. } = self.input.quantum;
        for channel in (0..self.output.depth).step_by(CHANNELS) {
            // SAFETY: the caller's promise.
            unsafe {
                self.fold::<I, f32, CHANNELS>(
                    |pixel| read::<I>(pixel, channel, &self.input),
                    // The sums of the stored numbers: whole ones are exact.
                    I::number,
                    |sum, found| sum + found.number(),
                    |sums, pixels, pixel| {
                        let divisor = self.divisor.unwrap_or(pixels) as f32;
                        let means = map(sums, |sum| (sum - zero * pixels as f32) * scale / divisor);
                        let at = pixel.wrapping_add(channel * size_of::<O>());
                        write::<O>(means, at, CHANNELS, &self.output.quantum);
                    },
                );
            }
        }
    }

    /// Joins some channels of each window's pixels, which `read` finds by their place, and hands over
    /// what came out, the window's pixels and the place of the output's pixel.
    ///
    /// # Safety
    /// As [`PoolRow::max`]; `read` and `put` touch nothing but these pixels.
    #[inline(always)]
    unsafe fn fold<I: Element, S: Copy, const COUNT: usize>(
        &self,
        read: impl Fn(*const u8) -> [I; COUNT],
        first: impl Fn(I) -> S,
        join: impl Fn(S, I) -> S,
        put: impl Fn([S; COUNT], usize, *mut u8),
    ) {
        let (top, bottom) = self.rows;
        for x in 0..self.width {
            let left = (x * self.stride).saturating_sub(self.before);
            let right = self
                .input_width
                .min(x * self.stride + self.kernel - self.before);
            let read = |y: usize, x: usize| {
                let offset = y * self.input.row + x * self.input.pixel;
                read(self.input.start.wrapping_add(offset))
            };
            let mut numbers = read(top, left).map(&first);
            for y in top..bottom {
                for x in left + usize::from(y == top)..right {
                    let found = read(y, x);
                    for lane in 0..COUNT {
                        numbers[lane] = join(numbers[lane], found[lane]);
                    }
                }
            }
            let pixels = (bottom - top) * (right - left);
            put(
                numbers,
                pixels,
                self.output.start.wrapping_add(x * self.output.pixel),
            );
        }
    }
}

/// One row of an activation, of a sum of two values or of a copy.
pub(crate) struct Elementwise {
    pub(crate) input: Image,
    pub(crate) other: Option<Image>,
    pub(crate) output: Image,
    pub(crate) width: usize,
    pub(crate) rule: Rule,
}

impl Elementwise {
    /// Writes the row.
    ///
    /// # Safety
    /// The rows can be read, the output row can be written by this thread alone.
    #[inline(always)]
    pub(crate) unsafe fn run<I: Element, O: Element>(&self) {
        for x in 0..self.width {
            for channel in (0..self.output.depth).step_by(CHANNELS) {
                // SAFETY: the caller's promise.
                unsafe {
                    let pixel = self.input.start.add(x * self.input.pixel);
                    let numbers = decode::<I>(pixel, channel, CHANNELS, &self.input);
                    let channels = (channel, CHANNELS);
                    finish::<I, O>(numbers, self.output, self.other, x, channels, &self.rule);
                }
            }
        }
    }
}

/// The channels of a value of one pixel.
pub(crate) struct Channels {
    pub(crate) input: Image,
    pub(crate) output: Image,
    pub(crate) channels: usize,
}

impl Channels {
    /// Writes the softmax.
    ///
    /// # Safety
    /// The input can be read, the output can be written by this thread alone.
    #[inline(always)]
    pub(crate) unsafe fn softmax<I: Element, O: Element>(&self) {
        // SAFETY: the caller's promise; the channel is one of the value's.
        let score = |channel: usize| unsafe {
            let element = self.input.start.cast::<I>().add(channel).read_unaligned();
            element.decode(&self.input.quantum)
        };
        let scores = (0..self.channels).map(score);
        let most = scores.clone().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = scores.clone().map(|score| exp(score - most)).sum();
        for (channel, score) in scores.enumerate() {
            let element = O::encode(exp(score - most) / sum, &self.output.quantum);
            // SAFETY: the caller's promise.
            unsafe {
                let output = self.output.start.cast::<O>().add(channel);
                output.write_unaligned(element);
            }
        }
        // SAFETY: the caller's promise; these channels pad the pixel.
        unsafe { pad::<O>(&self.output, 0, self.channels) };
    }
}
