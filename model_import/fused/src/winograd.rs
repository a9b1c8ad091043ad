//! 3x3 convolutions with fewer multiplications: which layers, what tiles, and the weights for them.
//!
//! A square of outputs is a product of three steps: the inputs under it are transformed, multiplied
//! by the transformed weights, and transformed back. A square of 4x4 takes 36 multiplications a
//! pair of channels where the plain way takes 144, one of 2x2 takes 16 for 36: A. Lavin and S. Gray,
//! "Fast Algorithms for Convolutional Neural Networks", 2015, arXiv 1509.09308. The inputs and the
//! kernel are polynomials, evaluated at a few points: 0, 3/4, -3/4, infinity, 3/2 and -3/2 for 4 outputs,
//! all but the last for 3, the first four for 2 and three for 1, so that sides of a layer share its weights. Where
//! there are none of more than 2 the points are 0, 1, -1 and infinity. The usual 1 and 2 in place of 3/4 and 3/2 give twice the error and
//! three times the largest. 6x6 would take a tenth fewer multiplications than 4x4 at 56
//! and 28 pixels, none fewer at 14 and 7. The transforms of inputs and outputs are in `kernel`.
//! Must not know: values, threads, vectors.

use crate::blocking::Blocking;
use crate::layout::{CHANNELS, Layout};
use crate::memory::Block;
use crate::pack::{Kernel, Panel, Panels};
use crate::plan::Convolution;
use crate::squares::Squares;

/// The points of 4x4. Their powers are exact.
pub(crate) const A: f32 = 0.75;
pub(crate) const B: f32 = 1.5;

/// The largest square of outputs that are computed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Square {
    /// 2x2 outputs of 4x4 inputs. No others.
    Two,
    /// 4x4 outputs of 6x6 inputs.
    Four,
}

/// Which squares an engine uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Winograd {
    /// None: every convolution is computed by its definition.
    Never,
    /// What is fastest for each layer.
    #[default]
    Auto,
    /// 2x2 wherever the algorithm can be used.
    Two,
    /// 4x4 wherever the algorithm can be used.
    Four,
}

impl Square {
    /// Outputs along a side.
    pub(crate) const fn outputs(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Inputs along a side; also the points at which the polynomials are evaluated.
    pub(crate) const fn inputs(self) -> usize {
        self.outputs() + 2
    }

    /// Multiplications of a square for a pair of channels.
    pub(crate) const fn points(self) -> usize {
        self.inputs() * self.inputs()
    }

    /// Three weights of a row or a column, evaluated at the points.
    fn evaluate(self, [a, b, c]: [f64; 3]) -> [f64; 6] {
        match self {
            Self::Two => [-a, (a + b + c) / 2.0, (a - b + c) / 2.0, c, 0.0, 0.0],
            Self::Four => {
                let [p, q] = [A, B].map(f64::from);
                let at = |x: f64| a + x * b + x * x * c;
                // What the polynomial that is zero at the other points is at this one.
                let other = |x: f64, y: f64| 2.0 * x * x * (x * x - y * y);
                [
                    a / (p * p * q * q),
                    at(p) / other(p, q),
                    at(-p) / other(p, q),
                    c,
                    at(q) / other(q, p),
                    at(-q) / other(q, p),
                ]
            }
        }
    }

    /// The weights of a pair of channels at the points, row by row: the first [`Square::points`] numbers.
    pub(crate) fn transform(self, weights: [[f64; 3]; 3]) -> [f64; 36] {
        let side = self.inputs();
        let rows = weights.map(|row| self.evaluate(row));
        let mut transformed = [0.0; 36];
        for x in 0..side {
            let column = self.evaluate(rows.map(|row| row[x]));
            for y in 0..side {
                transformed[y * side + x] = column[y];
            }
        }
        transformed
    }

    /// The squares of `images` images of `size` outputs. They do not depend on the other images, nor do
    /// results.
    pub(crate) const fn squares(self, size: [usize; 2], images: usize) -> Squares {
        Squares::new(size, self.outputs(), images)
    }
}

/// Transforms and packs the weights for a value of layout `input` into panels of `widest` channels,
/// the last of them maybe narrower: `[points][panels][input channels][output channels]`.
pub(crate) fn pack(square: Square, kernel: &Kernel<'_>, input: &Layout, widest: usize) -> Panels {
    let (points, depth) = (square.points(), input.depth);
    let outputs = kernel.outputs.next_multiple_of(CHANNELS);
    let mut weights = Block::new(outputs * depth * points * size_of::<f32>());
    let numbers = weights.elements_mut::<f32>();
    let mut panels = Vec::new();
    for channel in (0..outputs).step_by(widest) {
        let channels = widest.min(outputs - channel);
        let start = channel * depth;
        panels.push(Panel {
            start: start * size_of::<f32>(),
            channel,
            channels,
        });
        for i in 0..kernel.inputs {
            for output in 0..channels.min(kernel.outputs - channel) {
                let row = |y| [0, 1, 2].map(|x| kernel.at(channel + output, i, [y, x]).into());
                let transformed = square.transform([0, 1, 2].map(row));
                for (point, &weight) in transformed[..points].iter().enumerate() {
                    let at = start + point * depth * outputs + i * channels + output;
                    numbers[at] = weight as f32;
                }
            }
        }
    }
    Panels {
        weights,
        panels,
        bytes: widest * depth * points * size_of::<f32>(),
    }
}

/// With fewer squares of 4x4 than this the weights take longer to arrive than to multiply by. With 16, four images
/// at 7x7 pixels gain nothing and one image loses a tenth of the network.
const FEWEST: usize = 32;
/// The same of 2x2, whose weights are less than half as many.
const FEWEST_OF_TWO: usize = 16;
/// The same where the other way is to multiply pairs of bf16: twice as fast, by weights of half the
/// bytes.
const FEWEST_OF_PAIRS: usize = 64;

/// The squares for a convolution whose outputs are so many rows and columns, for up to `images`
/// images together; none where it is faster by its definition or can only be computed so. `pairs`:
/// whether the definition would multiply pairs of bf16 in one instruction.
///
/// Measured at 16 to 512 channels of 2x2 to 112x112 pixels: 4x4 takes 0.35 to 0.7 of the time of the
/// definition from 8 squares on where caches are fast (Zen 4). Its weights are four times as many, those of
/// 2x2 not twice; where they come slowly (Emerald Rapids) 4x4 takes 1.2 of it at 8 squares
/// and 0.9 at 16. Beside pairs of bf16, for one image: 0.7 at 56x56 and 28x28 pixels, 1.0 to 1.3 at 14x14, 2.3 at
/// 7x7.
pub(crate) fn choose(
    wanted: Winograd,
    convolution: &Convolution,
    size: [usize; 2],
    images: usize,
    pairs: bool,
) -> Option<Square> {
    let Convolution {
        kernel,
        stride,
        dilation,
        groups,
        ..
    } = *convolution;
    if (kernel, stride, dilation, groups) != ([3, 3], [1, 1], [1, 1], 1) {
        return None;
    }
    let enough = |square: Square, fewest| {
        let squares = square.squares(size, images).count();
        Some(square).filter(|_| squares >= fewest)
    };
    match wanted {
        Winograd::Never => None,
        Winograd::Two => Some(Square::Two),
        Winograd::Four => Some(Square::Four),
        // Two by two saves no more than pairs do.
        Winograd::Auto if pairs => enough(Square::Four, FEWEST_OF_PAIRS),
        Winograd::Auto => {
            enough(Square::Four, FEWEST).or_else(|| enough(Square::Two, FEWEST_OF_TWO))
        }
    }
}

/// How many squares of a convolution of so many outputs are computed together, more or less, if their products
/// are kept for all of these (`by_point`) or for a panel.
///
/// Squares that stay in the second-level cache are quickest, unless the weights, which do not, arrive anew for each
/// block: a square costs 4 reads and writes of a number for each input, about as many outputs, and a read of as many
/// as there are outputs, divided by the squares. At 256 outputs, 14x14 pixels, 64 squares for 28 take 0.8 of the time.
pub(crate) fn together(outputs: usize, by_point: bool) -> usize {
    if by_point {
        SQUARES.max(outputs / 4)
    } else {
        SQUARES
    }
}

/// How `squares` squares and `panels` panels fall into blocks of about `together` and shares for `threads`
/// threads, where a call of the tile kernel takes up to `most` squares.
pub(crate) fn blocking(
    [squares, panels]: [usize; 2],
    together: usize,
    most: usize,
    threads: usize,
) -> Blocking {
    // Two calls at least read a panel's weights while they are near.
    let widest = together.next_multiple_of(most);
    if threads > 1 && squares <= widest {
        // Each thread reads its share of the weights, which are more than the squares, and evaluates all inputs.
        let shares = (2 * threads).min(panels);
        return Blocking::even([squares, panels], [1, shares], true);
    }
    let blocks = squares.div_ceil(if threads > 1 { widest / 2 } else { widest });
    // As many for each thread, unless they become slivers.
    let even = blocks.next_multiple_of(threads);
    let blocks = if squares / even < most / 2 {
        blocks
    } else {
        even
    };
    let shares = if threads > 1 {
        (2 * threads).div_ceil(blocks).min(panels)
    } else {
        1
    };
    Blocking::even([squares, panels], [blocks, shares], true)
}

/// Squares that stay in the second-level cache.
const SQUARES: usize = 28;

/// One call of the tile kernel, whose pixels are squares: a strip starts at each of `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) first: [usize; 2],
    pub(crate) strips: usize,
    pub(crate) pixels: usize,
}

impl Call {
    /// Calls over `count` squares of at most `strips` strips of `pixels`. The strips of a call may
    /// share a square, which is then computed twice.
    pub(crate) fn list(count: usize, (strips, pixels): (usize, usize)) -> Vec<Self> {
        let most = strips * pixels;
        let mut calls = Vec::new();
        let mut first = 0;
        while first < count {
            let left = count - first;
            // The last two calls share what would leave the last one a sliver.
            let squares = if left > most && left < most + most / 2 {
                left.div_ceil(2)
            } else {
                left.min(most)
            };
            let strips = squares.div_ceil(pixels);
            let pixels = squares.div_ceil(strips);
            calls.push(Self {
                first: [first, first + squares - pixels],
                strips,
                pixels,
            });
            first += squares;
        }
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    fn convolution() -> Convolution {
        toml::from_str("weights = \"w\"\noutputs = 64\nkernel = [3, 3]\npadding = [1, 1, 1, 1]")
            .expect("a convolution")
    }

    #[test]
    fn large_outputs_take_large_squares_and_small_ones_none() {
        let auto = |size, images| choose(Winograd::Auto, &convolution(), size, images, false);
        for size in [[112, 112], [56, 56], [28, 28], [14, 14], [13, 14]] {
            assert_eq!(auto(size, 4), Some(Square::Four), "{size:?}");
        }
        assert_eq!(auto([14, 14], 1), Some(Square::Two));
        assert_eq!(auto([7, 7], 8), Some(Square::Four));
        assert_eq!(auto([7, 7], 4), Some(Square::Two));
        assert_eq!(auto([7, 7], 1), Some(Square::Two));
        assert_eq!(auto([6, 7], 1), None);
        assert_eq!(auto([4, 4], 2), None);
        let of_pairs = |size| choose(Winograd::Auto, &convolution(), size, 2, true);
        assert_eq!(of_pairs([28, 28]), Some(Square::Four));
        assert_eq!(of_pairs([14, 14]), None);
    }

    #[test]
    fn what_it_cannot_compute_is_left_alone() {
        let usual = convolution();
        let others = [
            Convolution {
                kernel: [3, 1],
                ..usual.clone()
            },
            Convolution {
                stride: [1, 2],
                ..usual.clone()
            },
            Convolution {
                dilation: [2, 2],
                ..usual.clone()
            },
            Convolution {
                groups: 2,
                ..usual.clone()
            },
        ];
        for wanted in [Winograd::Auto, Winograd::Two, Winograd::Four] {
            assert!(choose(wanted, &usual, [56, 56], 2, false).is_some());
            for other in &others {
                assert_eq!(choose(wanted, other, [56, 56], 2, false), None, "{other:?}");
            }
        }
        assert_eq!(choose(Winograd::Never, &usual, [56, 56], 2, false), None);
    }

    #[test]
    fn blocks_are_even_and_not_too_large() {
        let sizes = |squares, panels, threads| {
            let blocking = blocking([squares, panels], together(64, true), 14, threads);
            let chunk = |chunk| blocking.chunk(chunk);
            let of =
                |(squares, panels): (Range<usize>, Range<usize>)| (squares.len(), panels.len());
            (0..blocking.chunks())
                .map(|index| of(chunk(index)))
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(49, 4, 1), [(24, 4), (25, 4)]);
        assert_eq!(sizes(49, 4, 2), [(12, 4), (12, 4), (12, 4), (13, 4)]);
        assert_eq!(sizes(4, 16, 2), [(4, 4); 4]);
        // Few squares are not divided, the more weights are.
        assert_eq!(sizes(16, 8, 2), [(16, 2); 4]);
    }

    #[test]
    fn calls_cover_the_squares_within_the_kernels_size() {
        for (strips, pixels) in [(1, 2), (1, 6), (2, 7)] {
            for count in 0..60 {
                let mut seen = vec![false; count];
                let mut computed = 0;
                for call in Call::list(count, (strips, pixels)) {
                    assert!(call.strips <= strips && call.pixels <= pixels, "{call:?}");
                    for &first in &call.first[..call.strips] {
                        seen[first..first + call.pixels].fill(true);
                        computed += call.pixels;
                    }
                }
                assert!(seen.into_iter().all(|seen| seen), "{count}");
                assert!(computed <= count + 2, "{count}: {computed}");
            }
        }
        assert_eq!(Call::list(49, (2, 7)).len(), 4);
        assert_eq!(
            Call::list(16, (2, 7))
                .iter()
                .map(|c| c.pixels)
                .collect::<Vec<_>>(),
            [4, 4]
        );
    }
}
