//! What a process shows of itself, whatever its role: health, readiness, metrics.
//!
//! Must not know: requests, stages.

use std::sync::Arc;

use crate::health::Health;
use crate::metrics::Metrics;
use crate::observe::Observer;
use crate::store::JobStore;
use crate::traces::Traces;

/// Shared by every worker of the web server.
pub struct Signs {
    /// Whether the process can do its work.
    pub health: Arc<Health>,
    /// Asked how it stands.
    pub store: Arc<dyn JobStore>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Told of refusals.
    pub observer: Arc<dyn Observer>,
    /// Makes the spans of requests.
    pub traces: Traces,
    /// Models that this process has.
    pub models: usize,
    /// What it does of the whole.
    pub role: &'static str,
}
