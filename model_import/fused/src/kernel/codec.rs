//! Numbers into a value and out of it.
//!
//! Written as the kernels in `plain.rs` are. Must not know: plans, layers, threads.

use super::plain::Image;
use crate::element::Element;

/// The elements of each level of red, green and blue, as bits.
pub(crate) type LevelTable = [Vec<u32>; 3];

/// One row of a value, from or to numbers without padding.
pub(crate) struct Codec {
    pub(crate) value: Image,
    /// Channels without padding.
    pub(crate) channels: usize,
}

impl Codec {
    /// Writes a row of `numbers`; what pads a pixel stands for zero.
    ///
    /// # Safety
    /// The row has `numbers.len() / channels` pixels and can be written by this thread alone.
    #[inline(always)]
    pub(crate) unsafe fn encode<E: Element>(&self, numbers: &[f32]) {
        let quantum = &self.value.quantum;
        for (x, pixel) in numbers.chunks_exact(self.channels).enumerate() {
            let start = self
                .value
                .start
                .wrapping_add(x * self.value.pixel)
                .cast::<E>();
            for channel in 0..self.value.depth {
                let number = pixel.get(channel).copied().unwrap_or(0.0);
                // SAFETY: the caller's promise.
                unsafe {
                    start
                        .add(channel)
                        .write_unaligned(E::encode(number, quantum))
                };
            }
        }
    }

    /// Reads a row into `numbers`.
    ///
    /// # Safety
    /// The row has `numbers.len() / channels` pixels and can be read.
    #[inline(always)]
    pub(crate) unsafe fn decode<E: Element>(&self, numbers: &mut [f32]) {
        for (x, pixel) in numbers.chunks_exact_mut(self.channels).enumerate() {
            let start = self
                .value
                .start
                .wrapping_add(x * self.value.pixel)
                .cast::<E>();
            for (channel, number) in pixel.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                let element = unsafe { start.add(channel).read_unaligned() };
                *number = element.decode(&self.value.quantum);
            }
        }
    }

    /// Writes a row of red, green and blue levels: channel `c` is the element of the bits that
    /// `table[c]` has for the level of `order[c]`.
    ///
    /// # Safety
    /// As [`Codec::encode`] with three channels.
    #[inline(always)]
    pub(crate) unsafe fn levels<E: Element>(
        &self,
        pixels: &[u8],
        table: &LevelTable,
        order: [usize; 3],
    ) {
        let quantum = &self.value.quantum;
        for (x, pixel) in pixels.as_chunks::<3>().0.iter().enumerate() {
            let start = self
                .value
                .start
                .wrapping_add(x * self.value.pixel)
                .cast::<E>();
            for channel in 0..self.value.depth {
                let element = match table.get(channel) {
                    Some(table) => E::from_bits(table[usize::from(pixel[order[channel]])]),
                    None => E::encode(0.0, quantum),
                };
                // SAFETY: the caller's promise.
                unsafe { start.add(channel).write_unaligned(element) };
            }
        }
    }
}
