//! An inference request that was understood: which images, what of them.
//!
//! Pure. Must not know: which protocol, how it is answered.

use std::sync::Arc;

use super::error::OipError;
use super::model::{LABEL, PROBABILITIES, PROBABILITY};
use super::parameter::{self, Parameters, Said};
use super::rows::{self, Rows};
use super::tensor::{Input, Requested};
use crate::classify::catalog::Served;

/// An inference request as any protocol has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The caller's name for it.
    pub id: Option<String>,
    /// What it says beside its tensors.
    pub parameters: Parameters,
    /// Its inputs.
    pub inputs: Vec<Input>,
    /// The outputs it names.
    pub outputs: Vec<Requested>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The caller's name for the request.
    pub id: Option<String>,
    /// By which profile.
    pub model: Arc<Served>,
    /// What the request says beside its tensors.
    pub said: Said,
    /// The outputs, in the order they were asked for.
    pub outputs: Vec<Wanted>,
}

/// An output that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What it shows.
    pub shows: Shows,
    /// Whether as binary data.
    pub binary: bool,
}

/// What an output shows of each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// The best labels.
    Label,
    /// Their probabilities.
    Probability,
    /// Every class' probability.
    Probabilities,
    /// So many of the best classes as texts, Triton's `value:index:label`.
    Classification(u16),
}

impl Plan {
    /// Understands a request; gives its images beside it.
    ///
    /// # Errors
    /// [`OipError`], naming what is wrong.
    pub fn new(
        request: Request,
        model: &Arc<Served>,
        most_rows: usize,
    ) -> Result<(Self, Rows), OipError> {
        let said = parameter::read(&request.parameters)?;
        let outputs = wanted(&request.outputs, said.binary)?;
        let [input] = <[Input; 1]>::try_from(request.inputs)
            .map_err(|inputs| OipError::Inputs(inputs.len()))?;
        let rows = rows::of(input, model, most_rows)?;
        let plan = Self {
            id: request.id,
            model: model.clone(),
            said,
            outputs,
        };
        Ok((plan, rows))
    }

    /// Labels that the answers must have for all outputs to be made of them.
    #[must_use]
    pub fn top(&self) -> u16 {
        let all = u16::try_from(self.model.labels.count()).unwrap_or(u16::MAX);
        let tops = self.outputs.iter().map(|output| match output.shows {
            Shows::Label | Shows::Probability => self.said.top,
            Shows::Probabilities => all,
            Shows::Classification(count) => count.min(all),
        });
        tops.max().unwrap_or(self.said.top)
    }
}

fn wanted(requested: &[Requested], binary: bool) -> Result<Vec<Wanted>, OipError> {
    if requested.is_empty() {
        let shows = [Shows::Label, Shows::Probability];
        return Ok(shows.map(|shows| Wanted { shows, binary }).to_vec());
    }
    let mut wanted = Vec::with_capacity(requested.len());
    for (at, Requested { name, parameters }) in requested.iter().enumerate() {
        if requested[..at].iter().any(|before| before.name == *name) {
            return Err(OipError::RepeatedOutput(name.clone()));
        }
        parameters.check_here()?;
        let count = parameters.whole("classification", 0..=i128::from(u16::MAX))?;
        let count = count.and_then(|count| u16::try_from(count).ok());
        let shows = match (name.as_str(), count.filter(|count| *count > 0)) {
            (LABEL, None) => Shows::Label,
            (PROBABILITY, None) => Shows::Probability,
            (PROBABILITIES, None) => Shows::Probabilities,
            (PROBABILITIES, Some(count)) => Shows::Classification(count),
            (LABEL | PROBABILITY, Some(_)) => return Err(OipError::Classification(name.clone())),
            _ => return Err(OipError::UnknownOutput(name.clone())),
        };
        let binary = parameters.truth("binary_data")?.unwrap_or(binary);
        wanted.push(Wanted { shows, binary });
    }
    Ok(wanted)
}
