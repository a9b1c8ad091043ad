//! How a convolution's output falls into tiles: pure index arithmetic, done once for a plan.
//!
//! A strip is a few neighbouring pixels of one output row, a tile one or two strips. A convolution
//! of one pixel at a time (1x1, stride 1, no borders) has one flat row with the pixels of all its
//! images. Must not know: memory, kernels, precisions.

use crate::layout::Layout;

/// Where a kernel walks over its input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// Rows above and columns to the left of the input.
    pub(crate) before: [usize; 2],
}

impl Walk {
    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.before == [0, 0]
    }

    /// The kernel's contiguous runs: their offsets in bytes from the kernel's first pixel, and the
    /// pixels of one. Only the channels that are used are run over.
    pub(crate) fn segments(&self, input: &Layout) -> (Vec<usize>, usize) {
        let [down, right] = self.dilation;
        let rows = (0..self.kernel[0]).map(|y| y * down * input.row());
        let dense = right == 1 && input.pitch == input.depth;
        if dense || self.kernel[1] == 1 {
            return (rows.collect(), self.kernel[1]);
        }
        let columns = self.kernel[1];
        let taps = rows.flat_map(|row| (0..columns).map(move |x| row + x * right * input.pixel()));
        (taps.collect(), 1)
    }
}

/// The values that a convolution touches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layouts {
    pub(crate) input: Layout,
    pub(crate) output: Layout,
    pub(crate) residual: Option<Layout>,
}

/// One or two strips. Offsets are bytes from the start of a value's first image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) input: [usize; 2],
    pub(crate) output: [usize; 2],
    pub(crate) residual: [usize; 2],
    /// Pixels of each strip.
    pub(crate) pixels: usize,
    pub(crate) strips: usize,
}

/// The tiles of a convolution for each number of images up to a most.
#[derive(Debug)]
pub(crate) struct Tiling {
    /// Where one list holds for one image alone: whether images are walked one by one.
    by_image: bool,
    lists: Vec<Vec<Tile>>,
}

impl Tiling {
    /// The tiles of up to `images` images, of at most `strips` strips of `pixels` pixels.
    pub(crate) fn new(
        walk: &Walk,
        layouts: &Layouts,
        images: usize,
        (strips, pixels): (usize, usize),
    ) -> Self {
        let residual_is_flat = layouts.residual.is_none_or(|layout| layout.is_flat());
        let flat = walk.is_pointwise()
            && layouts.input.is_flat()
            && layouts.output.is_flat()
            && residual_is_flat;
        let shape = layouts.output.shape;
        let list = |rows, width| tiles(walk, layouts, [rows, width], (strips, pixels));
        let lists = if flat {
            let count = shape.height * shape.width;
            (1..=images).map(|images| list(1, images * count)).collect()
        } else {
            vec![list(shape.height, shape.width)]
        };
        Self {
            by_image: !flat,
            lists,
        }
    }

    /// The tiles of `images` images: a list and how many images it is to be repeated for.
    pub(crate) fn tiles(&self, images: usize) -> (&[Tile], usize) {
        if self.by_image {
            (&self.lists[0], images)
        } else {
            (&self.lists[images - 1], 1)
        }
    }
}

/// Pixels of a whole strip and of the last strip of a row (0: all are whole): the fewest strips of
/// the most equal length.
fn split(width: usize, most: usize) -> (usize, usize) {
    let pixels = width.div_ceil(width.div_ceil(most));
    (pixels, width % pixels)
}

fn tiles(
    walk: &Walk,
    layouts: &Layouts,
    [rows, width]: [usize; 2],
    (strips, most): (usize, usize),
) -> Vec<Tile> {
    let (whole, rest) = split(width, most);
    let mut tiles = Vec::new();
    // Strips of the same length pair up, if need be with one of the next row.
    let mut waiting: [Option<Tile>; 2] = [None, None];
    for y in 0..rows {
        for x in (0..width).step_by(whole) {
            let pixels = whole.min(width - x);
            let at = |layout: &Layout| layout.at(y, x, [0, 0]);
            let input = layouts
                .input
                .at(y * walk.stride[0], x * walk.stride[1], walk.before);
            let strip = Tile {
                input: [input; 2],
                output: [at(&layouts.output); 2],
                residual: [layouts.residual.as_ref().map_or(0, at); 2],
                pixels,
                strips: 1,
            };
            let slot = &mut waiting[usize::from(pixels == rest)];
            match slot.take() {
                Some(first) if strips == 2 => tiles.push(pair(&first, &strip)),
                Some(first) => {
                    tiles.push(first);
                    *slot = Some(strip);
                }
                None => *slot = Some(strip),
            }
        }
    }
    tiles.extend(waiting.into_iter().flatten());
    tiles
}

fn pair(first: &Tile, second: &Tile) -> Tile {
    Tile {
        input: [first.input[0], second.input[0]],
        output: [first.output[0], second.output[0]],
        residual: [first.residual[0], second.residual[0]],
        pixels: first.pixels,
        strips: 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Shape;

    #[test]
    fn widths_split_evenly() {
        let cases = [
            (56, (7, 0)),
            (12, (6, 0)),
            (10, (5, 0)),
            (13, (7, 6)),
            (1, (1, 0)),
        ];
        for (width, expected) in cases {
            assert_eq!(split(width, 7), expected, "{width}");
        }
    }

    /// Every output pixel is written once, and no tile reads or writes outside its values.
    #[test]
    fn tiles_cover_the_output_once() {
        let mut random = fastrand::Rng::with_seed(2);
        for _ in 0..500 {
            let walk = Walk {
                kernel: [random.usize(1..4), random.usize(1..4)],
                stride: [random.usize(1..3), random.usize(1..3)],
                dilation: [1, random.usize(1..3)],
                before: [random.usize(0..2), random.usize(0..2)],
            };
            let output = Shape {
                height: random.usize(1..12),
                width: random.usize(1..30),
                channels: 16,
            };
            let reach = |axis: usize, steps: usize| {
                let reach = (walk.kernel[axis] - 1) * walk.dilation[axis] + 1;
                ((steps - 1) * walk.stride[axis] + reach).saturating_sub(walk.before[axis])
            };
            let input = Shape {
                height: reach(0, output.height).max(1),
                width: reach(1, output.width).max(1),
                channels: 16,
            };
            let halo = [walk.before[0], walk.before[1], 0, 0];
            let layouts = Layouts {
                input: Layout::new(input, 4, halo),
                output: Layout::new(output, 4, [random.usize(0..2), 0, 0, 1]),
                residual: None,
            };
            let images = random.usize(1..4);
            let tiling = Tiling::new(&walk, &layouts, images, (random.usize(1..3), 7));
            let (list, repeat) = tiling.tiles(images);
            let (segments, run) = walk.segments(&layouts.input);
            let (pixel, step) = (
                layouts.output.pixel(),
                walk.stride[1] * layouts.input.pixel(),
            );
            let last = segments.last().unwrap() + run * layouts.input.pixel();
            let mut seen = vec![0; images * layouts.output.image() / pixel];
            for image in 0..repeat {
                for tile in list {
                    for strip in 0..tile.strips {
                        let end = tile.input[strip] + (tile.pixels - 1) * step + last;
                        assert!(end <= layouts.input.image() * images / repeat);
                        let start = image * layouts.output.image() + tile.output[strip];
                        for x in 0..tile.pixels {
                            seen[start / pixel + x] += 1;
                        }
                    }
                }
            }
            for image in 0..images {
                for y in 0..output.height {
                    for x in 0..output.width {
                        let at = layouts.output.at(y, x, [0, 0]);
                        let index = (image * layouts.output.image() + at) / pixel;
                        assert_eq!(std::mem::take(&mut seen[index]), 1);
                    }
                }
            }
            assert!(seen.iter().all(|&n| n == 0));
        }
    }
}
