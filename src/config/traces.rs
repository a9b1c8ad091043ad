//! What a person may say about traces: the group `[otlp]`.
//!
//! Must not know: spans.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::ConfigError;
use crate::traces::TraceSettings;

/// The group.
#[derive(Clone, Debug, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TraceLayer {
    /// Send traces to this OpenTelemetry collector (OTLP over gRPC): http://127.0.0.1:4317
    /// [default: none are made]
    #[arg(
        id = "otlp_endpoint",
        long = "otlp-endpoint",
        env = "BEAGLE_OTLP_ENDPOINT",
        value_name = "URL"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// Part of the traces begun here that is recorded, 0 to 1; those a caller has begun are recorded
    /// if the caller does [default: 1]
    #[arg(
        id = "otlp_ratio",
        long = "otlp-ratio",
        env = "BEAGLE_OTLP_RATIO",
        value_name = "PART"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,

    /// What this process is called in traces [default: beagle]
    #[arg(
        id = "otlp_service",
        long = "otlp-service",
        env = "BEAGLE_OTLP_SERVICE",
        value_name = "NAME"
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

impl TraceLayer {
    /// What is meant; nothing if no traces are wanted.
    ///
    /// # Errors
    /// [`ConfigError::Range`] for a part that is none.
    pub fn settings(&self) -> Result<Option<TraceSettings>, ConfigError> {
        let ratio = self.ratio.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&ratio) {
            return Err(ConfigError::Range {
                name: "otlp-ratio",
                value: ratio.to_string(),
                remedy: "say a number from 0 to 1",
            });
        }
        Ok(self.endpoint.clone().map(|endpoint| TraceSettings {
            endpoint,
            ratio,
            service: self.service.clone().unwrap_or_else(|| "beagle".to_owned()),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_endpoint_is_no_traces_and_a_part_is_checked() {
        assert_eq!(TraceLayer::default().settings().unwrap(), None);
        let said: TraceLayer = toml::from_str("endpoint = \"http://c:4317\"\nratio = 0.1").unwrap();
        let settings = said.settings().unwrap().unwrap();
        assert_eq!((settings.ratio, settings.service.as_str()), (0.1, "beagle"));
        for wrong in [-0.1, 1.5, f64::NAN] {
            let said = TraceLayer {
                ratio: Some(wrong),
                ..TraceLayer::default()
            };
            let error = said.settings().unwrap_err().to_string();
            assert!(error.contains("otlp-ratio"), "{error}");
        }
    }
}
