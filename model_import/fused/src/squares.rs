//! How the outputs of a 3x3 convolution fall into squares, and which squares a point is of use to.
//!
//! Sides differ by one at most, and no square reaches out of the value: 14 outputs are 4, 4, 3 and 3 and
//! take 22 points where 4, 4, 4 and 4 take 24; 7 are 4 and 3 and take 11 for 12, or 2, 2, 2 and 1 and take 15 for
//! 16. The points of a shorter side are the first ones of a longer side's. Squares are numbered through all images
//! in the order of their sides: those that are as wide as any but not as tall, those that are both, those that are
//! only as tall, the rest. So the squares that have a given point are neighbours. Must not know: values, channels,
//! threads.

use std::ops::Range;

/// How one side of the output is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    /// Outputs of a long side.
    side: usize,
    /// How many of these come first, and how many of one output less after them.
    long: usize,
    short: usize,
}

impl Axis {
    /// Of `size` outputs, at most `most` in a side.
    const fn new(size: usize, most: usize) -> Self {
        let count = size.div_ceil(most);
        let side = size.div_ceil(count);
        let short = side * count - size;
        Self {
            side,
            long: count - short,
            short,
        }
    }

    /// The first output of a side, and how many there are.
    const fn at(&self, index: usize) -> [usize; 2] {
        match index.checked_sub(self.long) {
            None => [index * self.side, self.side],
            Some(short) => [index * self.side - short, self.side - 1],
        }
    }

    /// Points of a long side.
    const fn points(&self) -> usize {
        self.side + 2
    }

    /// Whether only long sides have this point.
    const fn is_of_long(&self, point: usize) -> bool {
        self.short > 0 && point + 1 == self.points()
    }
}

/// The squares of some images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Squares {
    down: Axis,
    across: Axis,
    images: usize,
}

/// Where a square is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) image: usize,
    /// Its first output row and column.
    pub(crate) first: [usize; 2],
    /// Its output rows and columns.
    pub(crate) sides: [usize; 2],
}

impl Squares {
    /// Of `images` values of `size` rows and columns, with at most `most` outputs in a side.
    pub(crate) const fn new([height, width]: [usize; 2], most: usize, images: usize) -> Self {
        Self {
            down: Axis::new(height, most),
            across: Axis::new(width, most),
            images,
        }
    }

    /// Where the squares of each kind start, and where they end.
    const fn ends(&self) -> [usize; 5] {
        let (down, across, images) = (self.down, self.across, self.images);
        let wide = images * down.short * across.long;
        let both = wide + images * down.long * across.long;
        let tall = both + images * down.long * across.short;
        let all = tall + images * down.short * across.short;
        [0, wide, both, tall, all]
    }

    pub(crate) const fn count(&self) -> usize {
        self.ends()[4]
    }

    /// Where square number `square` is.
    pub(crate) fn place(&self, square: usize) -> Place {
        let (down, across, ends) = (self.down, self.across, self.ends());
        let kind = (1..4).filter(|&kind| square >= ends[kind]).count();
        let [rows, columns] = [
            [down.long, 0, 0, down.long][kind],
            [0, 0, across.long, across.long][kind],
        ];
        let count = if columns == 0 {
            across.long
        } else {
            across.short
        };
        let each = (ends[kind + 1] - ends[kind]) / self.images;
        let (image, index) = ((square - ends[kind]) / each, (square - ends[kind]) % each);
        let [y, height] = down.at(rows + index / count);
        let [x, width] = across.at(columns + index % count);
        Place {
            image,
            first: [y, x],
            sides: [height, width],
        }
    }

    /// Those of `block` that have the point of this row and column.
    pub(crate) fn having(&self, [row, column]: [usize; 2], block: &Range<usize>) -> Range<usize> {
        if row >= self.down.points() || column >= self.across.points() {
            return block.start..block.start;
        }
        let [_, wide, both, tall, all] = self.ends();
        let (start, end) = match (self.down.is_of_long(row), self.across.is_of_long(column)) {
            (false, false) => (0, all),
            (true, false) => (wide, tall),
            (false, true) => (0, both),
            (true, true) => (wide, both),
        };
        let start = start.clamp(block.start, block.end);
        start..end.clamp(start, block.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_even_and_of_few_points() {
        let axis = |size, most| {
            let axis = Axis::new(size, most);
            let sides = (0..axis.long + axis.short).map(|index| axis.at(index)[1]);
            sides.collect::<Vec<_>>()
        };
        assert_eq!(axis(14, 4), [4, 4, 3, 3]);
        assert_eq!(axis(7, 4), [4, 3]);
        assert_eq!(axis(8, 4), [4, 4]);
        assert_eq!(axis(7, 2), [2, 2, 2, 1]);
        assert_eq!(axis(1, 4), [1]);
    }

    #[test]
    fn squares_cover_all_outputs_once_and_those_with_a_point_are_neighbours() {
        for (size, most, images) in [
            ([14, 14], 4, 3),
            ([5, 14], 4, 2),
            ([7, 7], 2, 4),
            ([1, 9], 4, 1),
            ([8, 13], 4, 2),
        ] {
            let squares = Squares::new(size, most, images);
            let mut seen = vec![0; images * size[0] * size[1]];
            let places: Vec<Place> = (0..squares.count()).map(|n| squares.place(n)).collect();
            for Place {
                image,
                first,
                sides,
            } in &places
            {
                for y in first[0]..first[0] + sides[0] {
                    for x in first[1]..first[1] + sides[1] {
                        seen[(image * size[0] + y) * size[1] + x] += 1;
                    }
                }
            }
            assert!(seen.iter().all(|&times| times == 1), "{size:?}");
            for block in [0..squares.count(), 1..squares.count() / 2 + 1] {
                for point in (0..36).map(|point| [point / 6, point % 6]) {
                    let has = |n: &usize| {
                        let sides = places[*n].sides;
                        point[0] < sides[0] + 2 && point[1] < sides[1] + 2
                    };
                    let expected: Vec<usize> = block.clone().filter(has).collect();
                    let found: Vec<usize> = squares.having(point, &block).collect();
                    assert_eq!(found, expected, "{size:?} {point:?}");
                }
            }
        }
    }
}
