//! The k best classes of a row of probabilities.
//!
//! Pure. Must not know: the network, labels' files, JSON.

use serde::{Deserialize, Serialize};

/// One line of an answer: the article's JSON, key for key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The class' name.
    pub label: String,
    /// Its probability, 0 to 1.
    pub probability: f32,
    /// Its number in the network's order, which tells classes of one name apart; no part of the
    /// article's JSON. Not known of an answer kept by a version that did not keep it.
    #[serde(skip)]
    pub class: Option<u32>,
}

/// Indices of the `k` largest probabilities, the largest first; equal ones in the order of their
/// classes. What is not a number ranks last. At most as many as there are classes.
#[must_use]
pub fn top(probabilities: &[f32], k: usize) -> Vec<usize> {
    let rank = |class: &usize| {
        let probability = probabilities[*class];
        if probability.is_nan() {
            f32::NEG_INFINITY
        } else {
            probability
        }
    };
    let better = |a: &usize, b: &usize| rank(b).total_cmp(&rank(a)).then(a.cmp(b));
    let mut classes: Vec<usize> = (0..probabilities.len()).collect();
    let k = k.min(classes.len());
    if k > 0 && k < classes.len() {
        classes.select_nth_unstable_by(k - 1, better);
    }
    classes.truncate(k);
    classes.sort_unstable_by(better);
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_equals_in_class_order() {
        assert_eq!(top(&[0.1, 0.4, 0.1, 0.4, 0.0], 4), [1, 3, 0, 2]);
    }

    #[test]
    fn more_than_there_are_is_all_of_them_and_none_is_none() {
        assert_eq!(top(&[0.2, 0.8], 9), [1, 0]);
        assert!(top(&[0.2, 0.8], 0).is_empty());
        assert!(top(&[], 5).is_empty());
    }

    #[test]
    fn what_is_not_a_number_never_wins() {
        assert_eq!(top(&[f32::NAN, 0.5, f32::NAN, 0.7], 3), [3, 1, 0]);
    }
}
