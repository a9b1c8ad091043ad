//! `[jobs]`: callers that wait for jobs.
//!
//! Must not know: what is done with it.

use clap::Args;
use serde::{Deserialize, Serialize};

/// What may be said of jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JobsLayer {
    /// Callers that wait for a job's end or its events at once [default: 1024]
    #[arg(long, env = "BEAGLE_MAX_WATCHERS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_watchers: Option<usize>,
}
