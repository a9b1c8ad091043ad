//! How one network answers beside another: at the top, and value by value.
//!
//! Must not know: what makes them differ, how they are run.

use serde::{Deserialize, Serialize};

/// How the answers of a network agree with those of the exact one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// Images compared.
    pub images: usize,
    /// Those with the same first class, of 1.
    pub top1: f64,
    /// The mean absolute difference of what both give to the exact network's first class.
    pub difference: f64,
}

impl Agreement {
    /// The least part of the images that must keep their first class.
    pub const TOP1: f64 = 0.98;
    /// The largest mean difference of the first class' probability.
    pub const DIFFERENCE: f64 = 0.02;

    /// Of probabilities, row by row, both for the same images.
    #[must_use]
    pub fn of(exact: &[f32], other: &[f32], classes: usize) -> Self {
        let pairs = exact.chunks(classes).zip(other.chunks(classes));
        let (mut images, mut same, mut difference) = (0, 0, 0.0);
        for (exact, other) in pairs {
            let class = first(exact);
            images += 1;
            same += usize::from(first(other) == class);
            difference += f64::from((exact[class] - other[class]).abs());
        }
        let count = images.max(1) as f64;
        Self {
            images,
            top1: same as f64 / count,
            difference: difference / count,
        }
    }

    /// Whether it is as good as is asked of a network that `auto` may choose.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.images > 0 && self.top1 >= Self::TOP1 && self.difference <= Self::DIFFERENCE
    }

    /// Whether it is better than another: good beats not good, then less difference wins. On some
    /// hundred images the number of equal first classes is mostly luck.
    #[must_use]
    pub fn is_better_than(&self, other: &Self) -> bool {
        let ordered = self.is_good().cmp(&other.is_good());
        ordered
            .then(other.difference.total_cmp(&self.difference))
            .is_gt()
    }
}

/// The class with the largest probability; of equals the first.
fn first(row: &[f32]) -> usize {
    let best = row.iter().enumerate().fold((0, f32::NEG_INFINITY), {
        |best, (class, &score)| if score > best.1 { (class, score) } else { best }
    });
    best.0
}

/// How strong the numbers of a value are beside what is wrong with them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Noise {
    signal: f64,
    noise: f64,
}

impl Noise {
    /// Takes one image's numbers into account.
    pub fn add(&mut self, exact: &[f32], other: &[f32]) {
        for (&exact, &other) in exact.iter().zip(other) {
            let difference = f64::from(exact - other);
            self.signal += f64::from(exact) * f64::from(exact);
            self.noise += difference * difference;
        }
    }

    /// The ratio of the squares in decibels; more is better, infinite is exact.
    #[must_use]
    pub fn decibels(&self) -> f64 {
        10.0 * (self.signal / self.noise).log10()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_counts_first_classes_and_their_differences() {
        let exact = [0.5, 0.3, 0.2, 0.1, 0.9, 0.0];
        let other = [0.25, 0.75, 0.0, 0.0, 1.0, 0.0];
        let found = Agreement::of(&exact, &other, 3);
        assert_eq!((found.images, found.top1), (2, 0.5));
        assert!((found.difference - f64::midpoint(0.25, 0.1)).abs() < 1e-6);
        assert!(!found.is_good());
        let same = Agreement::of(&exact, &exact, 3);
        assert!(same.is_good() && same.is_better_than(&found));
        assert!(!same.is_better_than(&same));
        let near = Agreement {
            difference: 0.001,
            top1: 0.97,
            ..same
        };
        let far = Agreement {
            difference: 0.002,
            top1: 0.975,
            ..same
        };
        assert!(near.is_better_than(&far) && same.is_better_than(&near));
        assert!(!Agreement::of(&[], &[], 3).is_good());
    }

    #[test]
    fn a_hundredth_of_the_signal_is_twenty_decibels() {
        let mut noise = Noise::default();
        noise.add(&[10.0, -10.0], &[11.0, -9.0]);
        assert!((noise.decibels() - 20.0).abs() < 1e-9);
        let mut exact = Noise::default();
        exact.add(&[1.0], &[1.0]);
        assert_eq!(exact.decibels(), f64::INFINITY);
    }
}
