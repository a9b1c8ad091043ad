//! How a value lies in memory: pixels, rows, borders, all in bytes.
//!
//! Pixels are stored one after the other, each with all its channels (NHWC). A pixel takes `pitch`
//! elements, of which `depth` are used. A value that a convolution reads with padding has a border, the halo, that holds zero.
//! Must not know: where a value is, what its numbers mean.

use crate::memory::LINE;
use crate::plan::Shape;

/// The channels of every value but the input are padded to a multiple of this.
pub(crate) const CHANNELS: usize = 16;
/// Pixels that lie a multiple of this apart, in bytes, push each other out of the first-level
/// cache: a tile's pixels would share two sets of it, or one.
const CONFLICT: usize = 2048;

/// The layout of one value of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) shape: Shape,
    /// Channels with padding: what kernels read and write.
    pub(crate) depth: usize,
    /// Elements from a pixel to the next: `depth`, or a line more where pixels would conflict.
    pub(crate) pitch: usize,
    /// Bytes an element.
    pub(crate) size: usize,
    /// Border: rows above, columns to the left, rows below, columns to the right.
    pub(crate) halo: [usize; 4],
}

impl Layout {
    /// A value of elements of `size` bytes that a kernel writes.
    pub(crate) fn new(shape: Shape, size: usize, halo: [usize; 4]) -> Self {
        let depth = shape.channels.next_multiple_of(CHANNELS);
        let conflict = (depth * size).is_multiple_of(CONFLICT);
        Self {
            shape,
            depth,
            pitch: if conflict { depth + LINE / size } else { depth },
            size,
            halo,
        }
    }

    /// The input image: its few channels are not padded, for the reduction is mostly padding else. A
    /// kernel reads the pixels under a row of its weights in groups of 4 bytes, up to 3 bytes too
    /// many: they are in the border.
    pub(crate) fn input(shape: Shape, size: usize, halo: [usize; 4]) -> Self {
        if shape.channels > 4 {
            return Self::new(shape, size, halo);
        }
        let [above, left, below, right] = halo;
        let more = match shape.channels * size % 4 {
            0 => 0,
            _ => 3_usize.div_ceil(shape.channels * size),
        };
        Self {
            shape,
            depth: shape.channels,
            pitch: shape.channels,
            size,
            halo: [above, left, below, right + more],
        }
    }

    /// Bytes a pixel.
    pub(crate) const fn pixel(&self) -> usize {
        self.pitch * self.size
    }

    /// Bytes from a row to the next, borders included.
    pub(crate) const fn row(&self) -> usize {
        (self.halo[1] + self.shape.width + self.halo[3]) * self.pixel()
    }

    /// Bytes of an image, borders included.
    pub(crate) const fn image(&self) -> usize {
        (self.halo[0] + self.shape.height + self.halo[2]) * self.row()
    }

    /// Where pixel (`y` - `above`, `x` - `left`) starts; it may lie in the border.
    pub(crate) const fn at(&self, y: usize, x: usize, [above, left]: [usize; 2]) -> usize {
        (self.halo[0] + y - above) * self.row() + (self.halo[1] + x - left) * self.pixel()
    }

    /// Whether the pixels of all images follow each other without a border.
    pub(crate) fn is_flat(&self) -> bool {
        self.halo == [0; 4]
    }

    /// The border as runs of bytes, each its start and its length.
    pub(crate) fn border(&self) -> impl Iterator<Item = (usize, usize)> {
        let (row, height) = (self.row(), self.shape.height);
        let [above, left, below, right] = self.halo.map(|pixels| pixels * self.pixel());
        let [above, below] = [above / self.pixel() * row, below / self.pixel() * row];
        let inside = (0..height).flat_map(move |y| {
            let start = above + y * row;
            [(start, left), (start + row - right, right)]
        });
        let last = above + height * row;
        let runs = [(0, above), (last, below)].into_iter().chain(inside);
        runs.filter(|&(_, length)| length > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        height: 3,
        width: 5,
        channels: 20,
    };

    #[test]
    fn border_and_pixels_cover_an_image_once() {
        let layout = Layout::new(SHAPE, 2, [1, 2, 0, 3]);
        let mut seen = vec![0; layout.image()];
        for (start, length) in layout.border() {
            seen[start..start + length].iter_mut().for_each(|n| *n += 1);
        }
        for y in 0..3 {
            for x in 0..5 {
                let start = layout.at(y, x, [0, 0]);
                let pixel = &mut seen[start..start + layout.pixel()];
                pixel.iter_mut().for_each(|n| *n += 1);
            }
        }
        assert!(seen.iter().all(|&n| n == 1));
        assert_eq!(layout.pixel(), 64);
    }

    #[test]
    fn a_group_of_four_bytes_from_any_pixel_of_an_input_is_in_its_image() {
        for channels in 1..=4 {
            for size in [1, 2, 4] {
                let shape = Shape { channels, ..SHAPE };
                let layout = Layout::input(shape, size, [0; 4]);
                let last = layout.at(shape.height - 1, shape.width - 1, [0, 0]);
                let bytes = layout.pixel().next_multiple_of(4);
                assert!(last + bytes <= layout.image(), "{channels} of {size}");
                assert_eq!(layout.pitch, channels);
            }
        }
    }

    #[test]
    fn pixels_that_would_conflict_lie_a_line_further_apart() {
        let shape = Shape {
            channels: 1024,
            ..SHAPE
        };
        let pitches = [4, 2, 1].map(|size| Layout::new(shape, size, [0; 4]).pitch);
        assert_eq!(pitches, [1040, 1056, 1024]);
    }
}
