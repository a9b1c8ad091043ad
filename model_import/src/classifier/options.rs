//! How a classifier is to run on the processor: precision, threads, fused or not.
//!
//! Must not know: models, how anything is computed.

use std::fmt;
use std::num::NonZero;
use std::path::Path;
use std::str::FromStr;

use fused::{Crew, Ranges};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What may be chosen when a classifier is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Fused, or operator by operator.
    pub execution: Execution,
    /// The numbers that a fused network computes with.
    pub precision: Precision,
    /// Threads of a fused network; `None` is one for each core that this process may use.
    pub threads: Option<NonZero<usize>>,
    /// Threads, memory and packed weights that a fused network shares with others, which then run
    /// one after the other; `threads` is not read. `None` are its own.
    pub crew: Option<&'a Crew>,
    /// Whether each thread of a fused network keeps to a core of its own; on Linux only.
    pub pin_threads: bool,
    /// The range of every value, which [`Precision::Int8`] needs; see [`crate::quantize`].
    pub ranges: Option<&'a Ranges>,
    /// A record of weights that go before those of the same names: for [`Precision::Int8`] those that
    /// were rounded together.
    pub weights: Option<&'a Path>,
}

/// Which program runs the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Execution {
    /// One fused operation where the device is the processor and the model has a plan, else as
    /// [`Execution::Generated`].
    #[default]
    Fused,
    /// The generated network, operator by operator, on every device.
    Generated,
}

/// The numbers that a fused network computes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// float32, as the weights are published.
    #[default]
    F32,
    /// bfloat16: half the width; products are summed in float32.
    Bf16,
    /// 8-bit integers; products are summed in 32 bits.
    Int8,
}

impl Precision {
    /// Every precision, the most exact first.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    /// The precision's name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no precision.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{0}' is not a precision: say f32, bf16 or int8")]
pub struct NotAPrecision(String);

impl FromStr for Precision {
    type Err = NotAPrecision;

    fn from_str(text: &str) -> Result<Self, NotAPrecision> {
        let named = Self::ALL.into_iter().find(|each| each.name() == text);
        named.ok_or_else(|| NotAPrecision(text.to_owned()))
    }
}

/// What `--precision` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum PrecisionChoice {
    /// The fastest that is known to answer as well as is asked of it.
    Auto,
    /// This one.
    Only(Precision),
}

/// A text that names no choice of precision.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{0}' is not a precision: say auto, f32, bf16 or int8")]
pub struct NotAChoice(String);

impl Default for PrecisionChoice {
    fn default() -> Self {
        Self::Only(Precision::F32)
    }
}

impl fmt::Display for PrecisionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Only(precision) => precision.fmt(f),
        }
    }
}

impl FromStr for PrecisionChoice {
    type Err = NotAChoice;

    fn from_str(text: &str) -> Result<Self, NotAChoice> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let precision = text.parse().map_err(|_| NotAChoice(text.to_owned()))?;
        Ok(Self::Only(precision))
    }
}

impl TryFrom<String> for PrecisionChoice {
    type Error = NotAChoice;

    fn try_from(text: String) -> Result<Self, NotAChoice> {
        text.parse()
    }
}

impl From<PrecisionChoice> for String {
    fn from(choice: PrecisionChoice) -> Self {
        choice.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_is_read_as_it_is_written() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        let error = "fp16".parse::<Precision>().unwrap_err().to_string();
        assert!(
            error.contains("'fp16'") && error.contains("int8"),
            "{error}"
        );
    }

    #[test]
    fn a_choice_is_a_precision_or_auto() {
        for text in ["auto", "f32", "bf16", "int8"] {
            assert_eq!(text.parse::<PrecisionChoice>().unwrap().to_string(), text);
        }
        let error = "half".parse::<PrecisionChoice>().unwrap_err().to_string();
        assert!(
            error.contains("'half'") && error.contains("auto"),
            "{error}"
        );
        assert_eq!(PrecisionChoice::default().to_string(), "f32");
    }
}
