//! The parameters of a request and of its tensors: names with values.
//!
//! Pure. Must not know: how they were written.

use std::fmt;
use std::time::Duration;

use super::error::OipError;
use crate::edge::{LABELS, MOST_LABELS};
use crate::store::Priority;

/// A parameter's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// True or false.
    Truth(bool),
    /// A whole number.
    Whole(i128),
    /// Another number.
    Real(f64),
    /// A text.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truth(truth) => write!(f, "{truth}"),
            Self::Whole(number) => write!(f, "{number}"),
            Self::Real(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "'{text}'"),
        }
    }
}

/// Parameters by name. There are few.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(pub Vec<(String, Value)>);

impl Parameters {
    /// The value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        let named = self.0.iter().find(|(known, _)| known == name);
        named.map(|(_, value)| value)
    }

    /// A value that is true or false.
    ///
    /// # Errors
    /// [`OipError::Parameter`] if it is something else.
    pub fn truth(&self, name: &str) -> Result<Option<bool>, OipError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Truth(truth)) => Ok(Some(*truth)),
            Some(other) => Err(wrong(name, other, "say true or false")),
        }
    }

    /// A whole number of a range.
    ///
    /// # Errors
    /// [`OipError::Parameter`] if it is something else.
    pub fn whole(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<i128>,
    ) -> Result<Option<i128>, OipError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Whole(number)) if range.contains(number) => Ok(Some(*number)),
            Some(other) => {
                let (least, most) = (range.start(), range.end());
                let remedy = format!("say a whole number from {least} to {most}");
                Err(wrong(name, other, &remedy))
            }
        }
    }

    /// Refuses tensors that are elsewhere.
    ///
    /// # Errors
    /// [`OipError::SharedMemory`].
    pub fn check_here(&self) -> Result<(), OipError> {
        let elsewhere = self
            .0
            .iter()
            .find(|(name, _)| name.starts_with("shared_memory"));
        match elsewhere {
            Some((name, _)) => Err(OipError::SharedMemory(name.clone())),
            None => Ok(()),
        }
    }
}

fn wrong(name: &str, found: &Value, remedy: &str) -> OipError {
    OipError::Parameter {
        name: name.to_owned(),
        found: found.to_string(),
        remedy: remedy.to_owned(),
    }
}

/// What a request's own parameters say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// Labels wanted.
    pub top: u16,
    /// Which goes first, if that is said.
    pub priority: Option<Priority>,
    /// No answer is wanted after this.
    pub timeout: Option<Duration>,
    /// Whether outputs are binary data where nothing else is said of them.
    pub binary: bool,
}

/// Reads a request's own parameters.
///
/// # Errors
/// [`OipError`], naming the parameter.
pub fn read(parameters: &Parameters) -> Result<Said, OipError> {
    for (name, _) in &parameters.0 {
        match name.as_str() {
            "top" | "priority" | "timeout" | "binary_data_output" => {}
            name if name.starts_with("sequence_") => {
                return Err(OipError::Sequence(name.to_owned()));
            }
            name => return Err(OipError::UnknownParameter(name.to_owned())),
        }
    }
    let top = parameters.whole("top", 1..=i128::from(MOST_LABELS))?;
    let timeout = parameters.whole("timeout", 0..=i128::from(u64::MAX))?;
    // Triton's nothing, as over gRPC nothing and zero are the same.
    let timeout = timeout.and_then(|micros| u64::try_from(micros).ok());
    let timeout = timeout.filter(|micros| *micros > 0);
    Ok(Said {
        top: top
            .and_then(|top| u16::try_from(top).ok())
            .unwrap_or(LABELS),
        priority: priority(parameters.get("priority"))?,
        timeout: timeout.map(Duration::from_micros),
        binary: parameters.truth("binary_data_output")?.unwrap_or(false),
    })
}

/// Triton's numbers, 0 the usual and 1 the first to go, or the names that other requests use.
fn priority(said: Option<&Value>) -> Result<Option<Priority>, OipError> {
    let Some(value) = said else {
        return Ok(None);
    };
    let named = |name: &str| Priority::ALL.into_iter().find(|known| known.name() == name);
    let found = match value {
        // Nothing said, over gRPC.
        Value::Whole(0) => return Ok(None),
        Value::Whole(1) => Some(Priority::High),
        Value::Whole(2) => Some(Priority::Normal),
        Value::Whole(3) => Some(Priority::Low),
        Value::Text(name) => named(name),
        _ => None,
    };
    let remedy = "say 1 or 'high', 2 or 'normal' (as 0 and nothing do), 3 or 'low'";
    let found = found.ok_or_else(|| wrong("priority", value, remedy))?;
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(parameters: &[(&str, Value)]) -> Result<Said, OipError> {
        let named = parameters.iter().map(|(n, v)| ((*n).to_owned(), v.clone()));
        read(&Parameters(named.collect()))
    }

    #[test]
    fn nothing_said_is_five_labels_at_the_usual_priority() {
        let wanted = Said {
            top: 5,
            priority: None,
            timeout: None,
            binary: false,
        };
        assert_eq!(said(&[]), Ok(wanted));
        let nothing = [("priority", Value::Whole(0)), ("timeout", Value::Whole(0))];
        assert_eq!(said(&nothing), Ok(wanted));
    }

    #[test]
    fn priorities_are_tritons_numbers_or_names() {
        for (value, priority) in [
            (Value::Whole(1), Priority::High),
            (Value::Whole(2), Priority::Normal),
            (Value::Whole(3), Priority::Low),
            (Value::Text("high".to_owned()), Priority::High),
            (Value::Text("low".to_owned()), Priority::Low),
        ] {
            let found = said(&[("priority", value)]).unwrap().priority;
            assert_eq!(found, Some(priority));
        }
        for value in [
            Value::Whole(4),
            Value::Whole(-1),
            Value::Text("urgent".to_owned()),
            Value::Real(1.0),
        ] {
            let error = said(&[("priority", value)]).unwrap_err().to_string();
            assert!(error.contains("'high'"), "{error}");
        }
    }

    #[test]
    fn a_timeout_is_microseconds() {
        let timeout = said(&[("timeout", Value::Whole(1500))]).unwrap().timeout;
        assert_eq!(timeout, Some(Duration::from_micros(1500)));
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (name, value, says) in [
            ("top", Value::Whole(0), "from 1 to 1000"),
            ("top", Value::Whole(1001), "from 1 to 1000"),
            ("top", Value::Text("5".to_owned()), "'5'"),
            ("timeout", Value::Whole(-1), "timeout"),
            ("binary_data_output", Value::Whole(1), "true or false"),
            ("sequence_id", Value::Whole(7), "no sequences"),
            ("tpo", Value::Whole(3), "'tpo'"),
        ] {
            let error = said(&[(name, value)]).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
