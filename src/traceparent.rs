//! The W3C `traceparent`: which trace a request belongs to, and the span that called.
//!
//! Pure. It travels with a job through the store, so that spans of all processes meet. Must not
//! know: who makes spans, HTTP.
//!
//! Source: W3C Trace Context, "traceparent Header Field Values".

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A position in a trace: `00-<trace>-<span>-<flags>`, in lower case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The trace, 16 bytes, not 0.
    pub trace: u128,
    /// The span that called, 8 bytes, not 0.
    pub span: u64,
    /// Whether the caller records its spans.
    pub sampled: bool,
}

impl TraceParent {
    /// What travelled with a job, if it did.
    #[must_use]
    pub fn of(text: Option<&str>) -> Option<Self> {
        text?.parse().ok()
    }
}

/// A text that is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a traceparent is 00-<32 hexadecimal digits>-<16>-<2>, in lower case and not all zeros")]
pub struct NoTraceParent;

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        let mut parts = text.splitn(5, '-');
        let mut part = |digits| parts.next().and_then(|part| hexadecimal(part, digits));
        let (version, trace, span, flags) = (part(2), part(32), part(16), part(2));
        let (Some(version), Some(trace), Some(span), Some(flags)) = (version, trace, span, flags)
        else {
            return Err(NoTraceParent);
        };
        // Later versions may say more, and begin like this one. 255 is none.
        let more = parts.next().is_some();
        if version == 255 || (version == 0 && more) || trace == 0 || span == 0 {
            return Err(NoTraceParent);
        }
        Ok(Self {
            trace,
            span: u64::try_from(span).map_err(|_| NoTraceParent)?,
            sampled: flags & 1 == 1,
        })
    }
}

/// A number of so many digits, in lower case.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let sound = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != digits || !text.bytes().all(sound) {
        return None;
    }
    u128::from_str_radix(text, 16).ok()
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace, self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_specifications_example_is_read_and_written() {
        let parent: TraceParent = EXAMPLE.parse().unwrap();
        assert_eq!(parent.trace, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
        assert_eq!(parent.span, 0x00f0_67aa_0ba9_02b7);
        assert!(parent.sampled);
        assert_eq!(parent.to_string(), EXAMPLE);
        let unsampled: TraceParent = EXAMPLE.replace("-01", "-02").parse().unwrap();
        assert!(!unsampled.sampled);
        let later = EXAMPLE.replacen("00", "cc", 1) + "-what-comes";
        assert_eq!(later.parse(), Ok(parent), "a later version begins alike");
    }

    #[test]
    fn anything_else_is_not_one() {
        for wrong in [
            "",
            "00",
            &EXAMPLE.to_uppercase(),
            &EXAMPLE.replacen("00", "ff", 1),
            &format!("{EXAMPLE}-more"),
            &EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &EXAMPLE.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &EXAMPLE.replace("-01", "-1"),
            &EXAMPLE.replace("00f0", "+0f0"),
            &EXAMPLE.replace('-', ""),
        ] {
            assert_eq!(wrong.parse::<TraceParent>(), Err(NoTraceParent), "{wrong}");
        }
    }
}
