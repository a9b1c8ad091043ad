//! How a convolution's work falls into chunks: blocks of tiles times groups of panels.
//!
//! Pure arithmetic. Must not know: layers, memory, what a tile or a panel is.

use std::ops::Range;

/// Threads share a layer in at least so many chunks each, if there is so much to share, so that one
/// that is held up takes fewer.
const CHUNKS: usize = 8;
/// What a chunk costs beside its work, in tiles of a panel.
const OVERHEAD: usize = 1;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Blocking {
    /// Tiles and panels.
    work: [usize; 2],
    /// Blocks and groups.
    parts: [usize; 2],
    /// Whether all groups of a block come before the next block, or all blocks of a group.
    by_block: bool,
}

impl Blocking {
    /// For `[tiles, panels]`, at most so many in a block and in a group, for so many threads, each of which
    /// begins with an equal share of the chunks. Of all ways it is the one with which they end
    /// first. With `by_block` a thread's share is one of the tiles, else one of the panels.
    pub(crate) fn new(work: [usize; 2], most: [usize; 2], by_block: bool, threads: usize) -> Self {
        let fewest = [0, 1].map(|axis| work[axis].div_ceil(most[axis].clamp(1, work[axis])));
        if threads == 1 {
            return Self::even(work, fewest, false);
        }
        let wanted = (CHUNKS * threads).min(work[0] * work[1]);
        let ways = (fewest[0]..=work[0]).flat_map(|blocks| {
            let fewest = fewest[1].max(wanted.div_ceil(blocks));
            (fewest..=work[1]).map(move |groups| [blocks, groups])
        });
        let limit = (4 * wanted).max(fewest[0] * fewest[1]);
        let way = ways
            .filter(|[blocks, groups]| blocks * groups <= limit)
            .map(|parts| Self::even(work, parts, by_block))
            .min_by_key(|way| (way.span(threads), way.chunks()));
        way.unwrap_or(Self::even(work, fewest, by_block))
    }

    /// `[tiles, panels]` in as many `[blocks, groups]`, alike but for one.
    pub(crate) const fn even(work: [usize; 2], parts: [usize; 2], by_block: bool) -> Self {
        Self {
            work,
            parts,
            by_block,
        }
    }

    /// The most tiles of a chunk.
    pub(crate) const fn widest(&self) -> usize {
        self.work[0].div_ceil(self.parts[0])
    }

    /// The most panels of a chunk.
    pub(crate) const fn most_panels(&self) -> usize {
        self.work[1].div_ceil(self.parts[1])
    }

    pub(crate) const fn chunks(&self) -> usize {
        self.parts[0] * self.parts[1]
    }

    /// The tiles and the panels of a chunk.
    pub(crate) fn chunk(&self, chunk: usize) -> (Range<usize>, Range<usize>) {
        let [outer, inner] = self.axes();
        let parts = self.parts[inner];
        let [outer, inner] = [
            self.part(outer, chunk / parts),
            self.part(inner, chunk % parts),
        ];
        if self.by_block {
            (outer, inner)
        } else {
            (inner, outer)
        }
    }

    /// Of a thread that runs the chunks of `share` in order: the next one that reads other panels than
    /// `chunk` does, none where that is the next step's; and which part of the chunks until then it is. Where
    /// blocks come one after the other, the panels are few and stay near.
    pub(crate) fn following(
        &self,
        chunk: usize,
        share: &Range<usize>,
    ) -> (Option<usize>, [usize; 2]) {
        let within = |range: Range<usize>| {
            let (start, end) = (range.start.max(share.start), range.end.min(share.end));
            [chunk - start, end - start]
        };
        if !share.contains(&chunk) {
            return (None, [0, 1]);
        }
        if self.by_block {
            return (None, within(share.clone()));
        }
        let blocks = self.parts[0];
        let group = chunk / blocks;
        let part = within(group * blocks..(group + 1) * blocks);
        let next = (group + 1) * blocks;
        (
            Some(next).filter(|next| share.contains(next) && *next < self.chunks()),
            part,
        )
    }

    /// The axis whose parts come one after the other, and the one that is run through in each.
    const fn axes(&self) -> [usize; 2] {
        if self.by_block { [0, 1] } else { [1, 0] }
    }

    /// One of the parts along an axis.
    const fn part(&self, axis: usize, index: usize) -> Range<usize> {
        let (work, parts) = (self.work[axis], self.parts[axis]);
        index * work / parts..(index + 1) * work / parts
    }

    /// What all chunks before one cost.
    const fn before(&self, chunk: usize) -> usize {
        let [outer, inner] = self.axes();
        let parts = self.parts[inner];
        let part = self.part(outer, chunk / parts);
        let begun = (part.end - part.start) * self.part(inner, chunk % parts).start;
        part.start * self.work[inner] + begun + chunk * OVERHEAD
    }

    /// What the thread with the most to do has to do.
    fn span(&self, threads: usize) -> usize {
        let at = |thread| self.before(self.chunks() * thread / threads);
        let shares = (0..threads).map(|thread| at(thread + 1) - at(thread));
        shares.max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_work_once_within_bounds() {
        let random = &mut fastrand::Rng::with_seed(7);
        for _ in 0..300 {
            let work = [random.usize(1..60), random.usize(1..30)];
            let most = [random.usize(0..40), random.usize(0..20)];
            let blocking = Blocking::new(work, most, random.bool(), random.usize(1..5));
            let mut seen = vec![0; work[0] * work[1]];
            for chunk in 0..blocking.chunks() {
                let (tiles, panels) = blocking.chunk(chunk);
                assert!(tiles.len() <= most[0].max(1) && panels.len() <= most[1].max(1));
                for tile in tiles {
                    panels
                        .clone()
                        .for_each(|panel| seen[tile * work[1] + panel] += 1);
                }
            }
            assert!(seen.iter().all(|&times| times == 1), "{blocking:?}");
        }
    }

    #[test]
    fn what_follows_reads_other_panels_and_is_fetched_in_parts_that_are_all() {
        // 3 groups of 2 blocks each: chunks 0 and 1 read the first group's panels.
        let blocking = Blocking::even([10, 9], [2, 3], false);
        let of = |chunk| blocking.following(chunk, &(0..6));
        assert_eq!([of(0), of(1)], [(Some(2), [0, 2]), (Some(2), [1, 2])]);
        assert_eq!([of(4), of(5)], [(None, [0, 2]), (None, [1, 2])]);
        // A share that begins and ends within groups.
        let of = |chunk| blocking.following(chunk, &(1..4));
        assert_eq!([of(1), of(2)], [(Some(2), [0, 1]), (None, [0, 2])]);
        assert_eq!(of(3), (None, [1, 2]));
        assert_eq!(of(5), (None, [0, 1]), "another thread's");
        // Those of the border come last.
        let of = |chunk| blocking.following(chunk, &(0..8));
        assert_eq!(of(5), (None, [1, 2]));
        let blocking = Blocking::even([10, 9], [2, 3], true);
        assert_eq!(blocking.following(4, &(2..6)), (None, [2, 4]));
    }

    #[test]
    fn what_chunks_cost_adds_up() {
        for by_block in [true, false] {
            let blocking = Blocking::even([14, 9], [4, 2], by_block);
            let mut sum = 0;
            for chunk in 0..blocking.chunks() {
                assert_eq!(blocking.before(chunk), sum);
                let (tiles, panels) = blocking.chunk(chunk);
                sum += tiles.len() * panels.len() + OVERHEAD;
            }
            assert_eq!(blocking.before(blocking.chunks()), sum);
        }
    }

    #[test]
    fn threads_end_together() {
        // 14 tiles of 8 panels, two panels at most near at a time: each thread half.
        for by_block in [true, false] {
            let blocking = Blocking::new([14, 8], [100, 2], by_block, 2);
            let half = 14 * 8 / 2 + OVERHEAD * blocking.chunks() / 2;
            assert!(blocking.span(2) <= half, "{blocking:?}");
            assert!(blocking.chunks() >= 16);
        }
    }
}
