//! How 3x3 convolutions of bytes that take fewer multiplications (Winograd) store their inputs at each point.
//!
//! See [`fused::calibrate`]. The factor of each point of each layer is the one whose bytes are nearest to the
//! numbers that were seen there, by the mean of the squared differences. Must not know: pictures, weights.

use std::collections::BTreeSet;

use fused::calibrate::{PARTS, POINTS, at_points, zero_of};
use fused::{Operation, Plan, PointFactors, Range, Ranges, Shape};

/// The least number at a point, and how many there are.
const LEAST: i16 = -510;
const NUMBERS: usize = 510 + 1020 + 1;
/// Steps between bytes that are tried: eighths from 1, where nothing is rounded, to 4, where nothing is cut
/// off.
const STEPS: std::ops::RangeInclusive<u8> = 8..=32;

/// What was seen at the points of some layers.
pub struct Points {
    layers: Vec<Seen>,
}

/// What was seen at the points of one layer.
struct Seen {
    layer: usize,
    /// The value that it reads, and as what that is stored.
    value: usize,
    shape: Shape,
    range: Range,
    /// How often each number was there, point by point.
    counts: Vec<[u64; NUMBERS]>,
}

impl Points {
    /// Nothing yet, of these layers.
    pub(super) fn new(plan: &Plan, shapes: &[Shape], ranges: &Ranges, layers: Vec<usize>) -> Self {
        let seen = |layer: usize| {
            let value = plan.layers[layer].input;
            Seen {
                layer,
                value,
                shape: shapes[value],
                range: ranges.values[stored(plan, value)],
                counts: vec![[0; NUMBERS]; POINTS],
            }
        };
        Self {
            layers: layers.into_iter().map(seen).collect(),
        }
    }

    /// Whether there are no layers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Takes one image's value into account.
    pub(super) fn add(&mut self, value: usize, numbers: &[f32]) {
        for seen in self.layers.iter_mut().filter(|seen| seen.value == value) {
            at_points(seen.shape, numbers, seen.range, &mut |point, numbers| {
                let counts = &mut seen.counts[point];
                for number in numbers {
                    counts[(number - LEAST) as usize] += 1;
                }
            });
        }
    }

    /// These ranges, with factors for ever fewer layers: all, then those of more channels only. The more
    /// channels the more there is to save.
    pub fn choices(&self, ranges: &Ranges) -> impl Iterator<Item = Ranges> {
        let channels = self.layers.iter().map(|seen| seen.shape.channels);
        let least: BTreeSet<usize> = channels.collect();
        least
            .into_iter()
            .map(|least| self.of_channels(least, ranges))
    }

    /// With factors for the layers of at least so many channels.
    fn of_channels(&self, least: usize, ranges: &Ranges) -> Ranges {
        let layers = self
            .layers
            .iter()
            .filter(|seen| seen.shape.channels >= least);
        let points = layers.map(|seen| PointFactors {
            layer: seen.layer,
            factors: seen
                .counts
                .iter()
                .enumerate()
                .map(|(point, counts)| factor(point, counts))
                .collect(),
        });
        Ranges {
            points: points.collect(),
            ..ranges.clone()
        }
    }
}

/// The value whose range one has: the largest of some bytes is one of them.
fn stored(plan: &Plan, value: usize) -> usize {
    let written = value.checked_sub(1).map(|layer| &plan.layers[layer]);
    match written {
        Some(layer) if matches!(layer.operation, Operation::MaxPool(_)) => {
            stored(plan, layer.input)
        }
        _ => value,
    }
}

/// The factor of the least error.
fn factor(point: usize, counts: &[u64; NUMBERS]) -> f32 {
    let zero = f32::from(zero_of(point));
    let factors = STEPS.map(|step| (PARTS * 8.0 / f32::from(step)).round() / PARTS);
    let error = |factor: f32| -> f64 {
        let wrong = (LEAST..).zip(counts).map(|(number, &count)| {
            let number = f32::from(number);
            let byte = (number * factor + zero).round_ties_even().clamp(0.0, 255.0);
            let difference = f64::from((byte - zero) / factor - number);
            count as f64 * difference * difference
        });
        wrong.sum()
    };
    let tried = factors.map(|factor| (error(factor), factor));
    let best = tried.reduce(|best, next| if next.0 < best.0 { next } else { best });
    best.map_or(1.0, |(_, factor)| factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(numbers: impl IntoIterator<Item = (i16, u64)>) -> [u64; NUMBERS] {
        let mut counts = [0; NUMBERS];
        for (number, count) in numbers {
            counts[(number - LEAST) as usize] += count;
        }
        counts
    }

    #[test]
    fn what_fits_a_byte_is_not_rounded_and_what_does_not_is_weighed() {
        // Point 5 has bytes from 0 on, others from -128.
        let all = |least: i16, largest: i16| counts((least..=largest).map(|number| (number, 1)));
        assert_eq!(factor(0, &all(-128, 127)), 1.0);
        assert_eq!(factor(5, &all(0, 255)), 1.0);
        let every = |step: i16, least: i16| counts((0..256).map(|index| (least + index * step, 1)));
        assert_eq!(factor(0, &every(2, -256)), 0.5);
        assert_eq!(factor(5, &every(4, 0)), 0.25);
        // A few that are far away are not worth rounding all others for.
        let few = counts(
            (-100..=100)
                .map(|number| (number, 1_000_000))
                .chain([(400, 1)]),
        );
        assert_eq!(factor(0, &few), 1.0);
        assert_eq!(factor(0, &counts([])), 1.0);
    }

    #[test]
    fn layers_are_seen_where_they_read_and_stored_as_what_is_pooled() {
        let text = "
            input = { height = 3, width = 3, channels = 3 }
            [[layers]]
            input = 0
            operation = \"convolution\"
            weights = \"a\"
            outputs = 1
            kernel = [1, 1]
            [[layers]]
            input = 1
            operation = \"max-pool\"
            kernel = [1, 1]
            stride = [1, 1]
            [[layers]]
            input = 2
            operation = \"convolution\"
            weights = \"b\"
            outputs = 1
            kernel = [3, 3]
            padding = [1, 1, 1, 1]
        ";
        let plan: Plan = toml::from_str(text).expect("a plan");
        let shapes = plan.shapes().expect("a plan");
        let range = |high| Range { low: 0.0, high };
        let ranges = Ranges {
            values: [1.0, 255.0, 3.0, 4.0].map(range).to_vec(),
            points: Vec::new(),
        };
        let mut points = Points::new(&plan, &shapes, &ranges, vec![2]);
        assert!(!points.is_empty());
        points.add(1, &[9.0; 9]);
        points.add(2, &[0.0, 0.0, 0.0, 0.0, 200.0, 0.0, 0.0, 0.0, 0.0]);
        // The stored 200 is in the inputs of all four squares.
        let found = points.layers[0].counts[5];
        let at = |number: i16| found[(number - LEAST) as usize];
        assert_eq!((at(200), at(0), found.iter().sum()), (1, 3, 4));
        let complete = points.choices(&ranges).next().expect("one choice");
        assert_eq!(complete.values, ranges.values);
        let [layer] = &complete.points[..] else {
            panic!("one layer: {complete:?}");
        };
        assert_eq!((layer.layer, layer.factors[5]), (2, 1.0));
        assert!(layer.factors[0] < 1.0, "200 is more than 127");
    }
}
