//! From a row of probabilities to the answer.

pub mod top;
