//! An answer as the store keeps it: JSON, so that any process of any version can read it.
//!
//! Must not know: stores, actors.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::classify::top::Prediction;

/// What is kept of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Labels, the most probable first.
    #[serde(serialize_with = "keep", deserialize_with = "kept")]
    pub predictions: Vec<Prediction>,
    /// Microseconds from arrival to the model.
    pub queue_us: u64,
    /// Microseconds in the model.
    pub infer_us: u64,
}

/// A prediction as it is kept: with its class, which callers' JSON leaves out.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    label: Cow<'a, str>,
    probability: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class: Option<u32>,
}

fn keep<S: Serializer>(predictions: &[Prediction], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(predictions.iter().map(|prediction| Kept {
        label: Cow::Borrowed(&prediction.label),
        probability: prediction.probability,
        class: prediction.class,
    }))
}

fn kept<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Prediction>, D::Error> {
    let kept = Vec::<Kept<'_>>::deserialize(deserializer)?.into_iter();
    let prediction = |kept: Kept<'_>| Prediction {
        label: kept.label.into_owned(),
        probability: kept.probability,
        class: kept.class,
    };
    Ok(kept.map(prediction).collect())
}

impl Record {
    /// Puts an answer together.
    #[must_use]
    pub fn new(predictions: Vec<Prediction>, queue: Duration, infer: Duration) -> Self {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            predictions,
            queue_us: us(queue),
            infer_us: us(infer),
        }
    }

    /// From acceptance to the end in the model.
    #[must_use]
    pub const fn took(&self) -> Duration {
        Duration::from_micros(self.queue_us.saturating_add(self.infer_us))
    }

    /// The bytes to keep.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        // Strings and numbers always serialise; what is not a number becomes null.
        Bytes::from(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads what was kept; `None` if another version wrote something else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_the_store_to_the_last_bit() {
        let predictions = vec![Prediction {
            label: "beagle".to_owned(),
            probability: 0.946_154_65,
            class: Some(162),
        }];
        let record = Record::new(
            predictions,
            Duration::from_micros(1500),
            Duration::from_millis(90),
        );
        assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
        assert_eq!(Record::from_bytes(b"\x80\x04"), None);
    }

    #[test]
    fn a_record_of_before_classes_were_kept_is_read() {
        let old =
            br#"{"predictions":[{"label":"beagle","probability":0.5}],"queue_us":1,"infer_us":2}"#;
        let record = Record::from_bytes(old).unwrap();
        assert_eq!(record.predictions[0].label, "beagle");
        assert_eq!(record.predictions[0].class, None);
    }
}
