//! The names of a network's classes, one a line, in the order of its outputs.
//!
//! Must not know: models, scores.

use std::sync::Arc;

use thiserror::Error;

/// Labels that do not fit the network.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum LabelsError {
    /// The number of names is not the number of outputs.
    #[error(
        "{found} labels for a network of {expected} classes: give one line a class, in the order of the outputs"
    )]
    Count {
        /// Lines found.
        found: usize,
        /// Outputs of the network.
        expected: usize,
    },
    /// A line holds no name.
    #[error("label {line} is empty: give one line a class")]
    Empty {
        /// The line, counted from 1.
        line: usize,
    },
}

/// Names by class index. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels(Arc<[String]>);

impl Labels {
    /// Reads one name a line and checks their number. A name may occur twice: ImageNet has two
    /// cranes (134 and 517) and two maillots (638 and 639).
    ///
    /// # Errors
    /// [`LabelsError`] when a line is empty or the number is not `classes`.
    pub fn parse(text: &str, classes: usize) -> Result<Self, LabelsError> {
        let names: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        if let Some(line) = names.iter().position(String::is_empty) {
            return Err(LabelsError::Empty { line: line + 1 });
        }
        if names.len() == classes {
            Ok(Self(names.into()))
        } else {
            Err(LabelsError::Count {
                found: names.len(),
                expected: classes,
            })
        }
    }

    /// The name of a class, if there is a class of that index.
    #[must_use]
    pub fn get(&self, class: usize) -> Option<&str> {
        self.0.get(class).map(String::as_str)
    }

    /// How many classes there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Landmarks of ImageNet's order: a list shifted by one line would move all of them.
    #[test]
    fn imagenet_has_1000_names_in_the_order_of_the_outputs() {
        let text = include_str!("../../assets/labels/imagenet.txt");
        let labels = Labels::parse(text, 1000).unwrap();
        let landmarks = [
            (0, "tench"),
            (134, "crane"),
            (162, "beagle"),
            (517, "crane"),
            (638, "maillot"),
            (639, "maillot"),
            (812, "space_shuttle"),
            (999, "toilet_tissue"),
        ];
        for (class, name) in landmarks {
            assert_eq!(labels.get(class), Some(name));
        }
    }

    #[test]
    fn a_wrong_number_or_an_empty_line_is_refused() {
        assert_eq!(
            Labels::parse("a\nb", 3),
            Err(LabelsError::Count {
                found: 2,
                expected: 3
            })
        );
        assert_eq!(
            Labels::parse("a\n\nb", 3),
            Err(LabelsError::Empty { line: 2 })
        );
    }
}
