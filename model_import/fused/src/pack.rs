//! Weights in the order in which a kernel reads them, packed once.
//!
//! The output channels fall into panels; a panel holds `[reduction / group][channels][group]`,
//! where a group is as many numbers of the reduction as fit 4 bytes. The reduction runs over kernel
//! rows, kernel columns and the padded channels of a pixel; each run of neighbouring pixels is
//! padded to whole groups. Must not know: where weights come from.

use std::ops::Range;

use crate::ahead::Ahead;
use crate::layout::{CHANNELS, Layout};
use crate::memory::{Block, Plain};
use crate::plan::{Convolution, WeightLayout};

/// The weights of one convolution, as named by output channel, input channel of its group, row and
/// column.
pub(crate) struct Kernel<'a> {
    pub(crate) numbers: &'a [f32],
    pub(crate) layout: WeightLayout,
    pub(crate) outputs: usize,
    /// Input channels of a group.
    pub(crate) inputs: usize,
    pub(crate) size: [usize; 2],
}

impl<'a> Kernel<'a> {
    pub(crate) fn new(numbers: &'a [f32], convolution: &Convolution, channels: usize) -> Self {
        Self {
            numbers,
            layout: convolution.weight_layout,
            outputs: convolution.outputs,
            inputs: channels / convolution.groups,
            size: convolution.kernel,
        }
    }

    /// One weight.
    pub(crate) fn at(&self, output: usize, input: usize, [y, x]: [usize; 2]) -> f32 {
        let [height, width] = self.size;
        let tap = (input * height + y) * width + x;
        let index = match self.layout {
            WeightLayout::Oihw => output * self.inputs * height * width + tap,
            WeightLayout::Io => tap * self.outputs + output,
        };
        self.numbers[index]
    }
}

impl Kernel<'_> {
    /// All weights of an output channel, in the order in which they are stored.
    pub(crate) fn of(&self, output: usize) -> impl Iterator<Item = f32> {
        let count = self.inputs * self.size[0] * self.size[1];
        let (start, step) = match self.layout {
            WeightLayout::Oihw => (output * count, 1),
            WeightLayout::Io => (output, self.outputs),
        };
        self.numbers[start..]
            .iter()
            .step_by(step)
            .take(count)
            .copied()
    }
}

/// In which panels a level wants the output channels, and in which order within one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// Channels of a panel; the last one may be narrower.
    pub(crate) widest: usize,
    /// Where sums of two vectors of so many channels become bytes together: registers are joined a
    /// quarter (of 4 channels of each) at a time, so fours of channels go to one and the other.
    pub(crate) interleaved: Option<usize>,
}

impl Order {
    /// Where channel `channel` of `outputs`, a multiple of 16, is.
    pub(crate) fn place(self, channel: usize, outputs: usize) -> usize {
        let first = channel / self.widest * self.widest;
        let (channels, channel) = (self.widest.min(outputs - first), channel - first);
        match self.interleaved {
            Some(lanes) if channels == 2 * lanes => {
                first + channel / 4 % 2 * lanes + channel / 8 * 4 + channel % 4
            }
            _ => first + channel,
        }
    }
}

/// Some output channels and their weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panel {
    /// Where its weights start, in bytes.
    pub(crate) start: usize,
    /// Its first output channel.
    pub(crate) channel: usize,
    /// Output channels.
    pub(crate) channels: usize,
}

/// All panels of a convolution. They are equal if their bytes and their order are.
#[derive(PartialEq)]
pub(crate) struct Panels {
    pub(crate) weights: Block,
    pub(crate) panels: Vec<Panel>,
    /// Bytes of a whole panel.
    pub(crate) bytes: usize,
}

impl Panels {
    /// The weights of some neighbouring panels.
    pub(crate) fn of(&self, panels: Range<usize>) -> Ahead {
        let start = |panel: usize| {
            self.panels
                .get(panel)
                .map_or(self.weights.len(), |p| p.start)
        };
        let (first, end) = (start(panels.start), start(panels.end));
        Ahead {
            start: self.weights.start().wrapping_add(first).cast_const(),
            bytes: end - first,
        }
    }
}

/// Packs `kernel` for a value of layout `input`, over which it runs `pixels` pixels at a time, into
/// panels in `order`. `encode(channel, weight)` makes the stored number.
pub(crate) fn pack<W: Plain>(
    kernel: &Kernel<'_>,
    (input, pixels): (&Layout, usize),
    order: Order,
    encode: impl Fn(usize, f32) -> W,
) -> Panels {
    let group = 4 / input.size;
    let [height, width] = kernel.size;
    let run = (pixels * input.depth).next_multiple_of(group);
    let reduction = height * width / pixels * run;
    let outputs = kernel.outputs.next_multiple_of(CHANNELS);
    let mut weights = Block::new(outputs * reduction * size_of::<W>());
    let numbers = weights.elements_mut::<W>();
    let mut panels = Vec::new();
    for channel in (0..outputs).step_by(order.widest) {
        let channels = order.widest.min(outputs - channel);
        let start = channel * reduction;
        panels.push(Panel {
            start: start * size_of::<W>(),
            channel,
            channels,
        });
        for output in 0..channels.min(kernel.outputs - channel) {
            let lane = order.place(channel + output, outputs) - channel;
            for tap in 0..height * width {
                for i in 0..kernel.inputs {
                    let k = tap / pixels * run + tap % pixels * input.depth + i;
                    let place = (k / group * channels + lane) * group + k % group;
                    let weight = kernel.at(channel + output, i, [tap / width, tap % width]);
                    numbers[start + place] = encode(channel + output, weight);
                }
            }
        }
    }
    Panels {
        weights,
        panels,
        bytes: order.widest * reduction * size_of::<W>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Shape;

    const PLAIN: Order = Order {
        widest: 16,
        interleaved: None,
    };

    #[test]
    fn fours_of_channels_go_to_one_vector_and_the_other() {
        let order = Order {
            widest: 16,
            interleaved: Some(8),
        };
        let places: Vec<usize> = (0..40).map(|channel| order.place(channel, 40)).collect();
        assert_eq!(
            places[..16],
            [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]
        );
        assert_eq!(places[20], 24);
        assert_eq!(places[32..], [32, 33, 34, 35, 36, 37, 38, 39]);
    }

    #[test]
    fn groups_of_the_reduction_are_interleaved() {
        let numbers: Vec<f32> = (0..20 * 3).map(|n| n as f32).collect();
        let kernel = Kernel {
            numbers: &numbers,
            layout: WeightLayout::Oihw,
            outputs: 20,
            inputs: 3,
            size: [1, 1],
        };
        let shape = Shape {
            height: 1,
            width: 1,
            channels: 3,
        };
        let input = Layout::input(shape, 1, [0; 4]);
        let mut packed = pack(&kernel, (&input, 1), PLAIN, |_, weight| weight as i8);
        let channels: Vec<_> = packed
            .panels
            .iter()
            .map(|p| (p.start, p.channels))
            .collect();
        assert_eq!(channels, [(0, 16), (64, 16)]);
        let bytes = packed.weights.elements_mut::<i8>();
        assert_eq!(bytes[..8], [0, 1, 2, 0, 3, 4, 5, 0]);
        assert_eq!(bytes[64 + 12..64 + 20], [57, 58, 59, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_run_of_pixels_is_padded_once() {
        let numbers: Vec<f32> = (1..=2 * 3 * 3).map(|n| n as f32).collect();
        let kernel = Kernel {
            numbers: &numbers,
            layout: WeightLayout::Oihw,
            outputs: 1,
            inputs: 3,
            size: [2, 3],
        };
        let shape = Shape {
            height: 2,
            width: 3,
            channels: 3,
        };
        let input = Layout::input(shape, 1, [0; 4]);
        let mut packed = pack(&kernel, (&input, 3), PLAIN, |_, weight| weight as i8);
        let bytes = packed.weights.elements_mut::<i8>();
        let first: Vec<i8> = bytes
            .chunks(64)
            .flat_map(|group| group[..4].to_vec())
            .collect();
        let rows = [
            [1, 7, 13, 2, 8, 14, 3, 9, 15],
            [4, 10, 16, 5, 11, 17, 6, 12, 18],
        ];
        let padded = rows.map(|row| [&row[..], &[0; 3]].concat()).concat();
        assert_eq!(first, padded);
    }
}
