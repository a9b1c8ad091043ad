//! Convolutions of several groups in plain code, those whose channels do not mix on a way of their
//! own.
//!
//! Written as the kernels in `plain.rs` are. The stored numbers are multiplied as they are: their
//! scale is in the weights, their zero in the bias. Must not know: plans, layers, threads.

use super::plain::{Image, finish, pad, read};
use crate::element::{Element, Rule};
use crate::layout::CHANNELS;

/// One output row of a convolution whose channels do not mix.
pub(crate) struct Depthwise<'a> {
    /// The kernel's first tap of the row's first pixel.
    pub(crate) input: Image,
    pub(crate) output: Image,
    pub(crate) residual: Option<Image>,
    pub(crate) width: usize,
    /// Bytes from the input of one output pixel to the next's.
    pub(crate) step: usize,
    /// The taps' offsets in bytes.
    pub(crate) taps: &'a [usize],
    /// `[taps][channels to a multiple of 16]`.
    pub(crate) weights: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) rule: Rule,
}

impl Depthwise<'_> {
    /// Writes the row.
    ///
    /// # Safety
    /// All taps of all pixels and the residual can be read, the output row can be written by this
    /// thread alone.
    #[inline(always)]
    pub(crate) unsafe fn run<I: Element, O: Element>(&self) {
        let padded = self.output.depth;
        for x in 0..self.width {
            let pixel = self.input.start.wrapping_add(x * self.step);
            for channel in (0..padded).step_by(CHANNELS) {
                let mut sums = [0.0; CHANNELS];
                sums.copy_from_slice(&self.bias[channel..channel + CHANNELS]);
                for (tap, offset) in self.taps.iter().enumerate() {
                    let start = pixel.wrapping_add(*offset);
                    // SAFETY: the caller's promise.
                    let elements = unsafe { read::<I>(start, channel, &self.input) };
                    let weights = &self.weights[tap * padded + channel..][..CHANNELS];
                    for lane in 0..CHANNELS {
                        sums[lane] += elements[lane].number() * weights[lane];
                    }
                }
                // SAFETY: the caller's promise.
                unsafe {
                    let channels = (channel, CHANNELS);
                    finish::<I, O>(sums, self.output, self.residual, x, channels, &self.rule);
                }
            }
        }
    }
}

/// One output row of a convolution of several groups.
pub(crate) struct Grouped<'a> {
    /// The kernel's first tap of the row's first pixel.
    pub(crate) input: Image,
    pub(crate) output: Image,
    pub(crate) residual: Option<Image>,
    pub(crate) width: usize,
    pub(crate) groups: usize,
    /// Input and output channels of a group.
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// Bytes from the input of one output pixel to the next's.
    pub(crate) step: usize,
    /// The taps' offsets in bytes.
    pub(crate) taps: &'a [usize],
    /// `[groups][outputs / 16, rounded up][taps][inputs][16]`.
    pub(crate) weights: &'a [f32],
    pub(crate) bias: &'a [f32],
    pub(crate) rule: Rule,
}

impl Grouped<'_> {
    /// Writes the row.
    ///
    /// # Safety
    /// As [`Depthwise::run`].
    #[inline(always)]
    pub(crate) unsafe fn run<I: Element, O: Element>(&self) {
        let panel = self.taps.len() * self.inputs * CHANNELS;
        for x in 0..self.width {
            let pixel = self.input.start.wrapping_add(x * self.step);
            let mut panels = self.weights.chunks_exact(panel);
            for group in 0..self.groups {
                let inputs = pixel.wrapping_add(group * self.inputs * size_of::<I>());
                for first in (0..self.outputs).step_by(CHANNELS) {
                    let channel = group * self.outputs + first;
                    let count = CHANNELS.min(self.outputs - first);
                    let mut sums = [0.0; CHANNELS];
                    sums[..count].copy_from_slice(&self.bias[channel..channel + count]);
                    let mut weights = panels.next().unwrap_or(&[]).chunks_exact(CHANNELS);
                    for offset in self.taps {
                        for input in 0..self.inputs {
                            let at = inputs.wrapping_add(offset + input * size_of::<I>());
                            // SAFETY: the caller's promise.
                            let element = unsafe { at.cast::<I>().read_unaligned() };
                            let number = element.number();
                            for (sum, weight) in sums.iter_mut().zip(weights.next().unwrap_or(&[]))
                            {
                                *sum += number * weight;
                            }
                        }
                    }
                    // SAFETY: the caller's promise.
                    unsafe {
                        let channels = (channel, count);
                        finish::<I, O>(sums, self.output, self.residual, x, channels, &self.rule);
                    }
                }
            }
            // SAFETY: the caller's promise; these channels pad the pixel.
            unsafe { pad::<O>(&self.output, x, self.groups * self.outputs) };
        }
    }
}
