//! Answers to output tensors.
//!
//! Pure. Must not know: which protocol, where answers come from.

use super::error::OipError;
use super::model::{LABEL, PROBABILITIES, PROBABILITY};
use super::plan::{Plan, Shows, Wanted};
use super::tensor::{Output, Values};
use crate::classify::top::Prediction;

/// The outputs of a request, of its rows' predictions.
///
/// # Errors
/// [`OipError::NoClasses`] if an answer that was kept does not say which classes it names.
pub fn of(plan: &Plan, rows: &[&[Prediction]]) -> Result<Vec<Output>, OipError> {
    let outputs = plan.outputs.iter();
    outputs.map(|wanted| output(plan, *wanted, rows)).collect()
}

fn output(plan: &Plan, wanted: Wanted, rows: &[&[Prediction]]) -> Result<Output, OipError> {
    let classes = plan.model.labels.count();
    let top = usize::from(plan.said.top).min(classes);
    let best = |top: usize| rows.iter().flat_map(move |row| row.iter().take(top));
    let (name, columns, values) = match wanted.shows {
        Shows::Label => {
            let labels = best(top).map(|prediction| prediction.label.clone());
            (LABEL, top, Values::Strings(labels.collect()))
        }
        Shows::Probability => {
            let probabilities = best(top).map(|prediction| prediction.probability);
            (PROBABILITY, top, Values::Floats(probabilities.collect()))
        }
        Shows::Probabilities => {
            let mut all = vec![f32::NAN; rows.len() * classes];
            for (row, all) in rows.iter().zip(all.chunks_mut(classes)) {
                for prediction in *row {
                    let class = class(prediction)? as usize;
                    *all.get_mut(class).ok_or(OipError::NoClasses)? = prediction.probability;
                }
            }
            (PROBABILITIES, classes, Values::Floats(all))
        }
        Shows::Classification(count) => {
            let count = usize::from(count).min(classes);
            let text = |prediction: &Prediction| {
                let (probability, label) = (prediction.probability, &prediction.label);
                Ok(format!("{probability}:{}:{label}", class(prediction)?))
            };
            let texts: Result<_, _> = best(count).map(text).collect();
            (PROBABILITIES, count, Values::Strings(texts?))
        }
    };
    Ok(Output {
        name,
        shape: [rows.len(), columns],
        values,
        binary: wanted.binary,
    })
}

fn class(prediction: &Prediction) -> Result<u32, OipError> {
    prediction.class.ok_or(OipError::NoClasses)
}
