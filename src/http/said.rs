//! The JSON of every answer: its types, and with each what the document says of it.
//!
//! Must not know: how an answer comes about, statuses.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::classify::top::Prediction;
use crate::edge;
use crate::error::{ErrorCode, Refusal};
use crate::store::{DeliveryState, JobId, JobState, Place};

/// A label and its probability.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what another module serialises")]
pub(super) struct Label {
    /// The name of the class.
    #[schema(example = "Egyptian_cat")]
    label: String,
    /// From 0 to 1.
    #[schema(minimum = 0, maximum = 1, example = 0.769)]
    probability: f32,
}

/// The answer to one image.
#[derive(Serialize, ToSchema)]
pub(super) struct Success<'a> {
    /// Always true.
    pub(super) success: bool,
    /// The most probable first.
    #[schema(value_type = Vec<Label>)]
    pub(super) predictions: &'a [Prediction],
}

/// A refusal.
#[derive(Serialize, ToSchema)]
pub(super) struct Failure<'a> {
    /// Always false.
    pub(super) success: bool,
    pub(super) error: ErrorBody<'a>,
    /// The job, if it became one.
    #[schema(value_type = Option<String>, format = "uuid")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) job: Option<JobId>,
}

/// What is wrong.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorBody<'a> {
    /// For programs: it never changes.
    #[schema(schema_with = super::document::codes)]
    code: &'static str,
    /// For people: what is wrong and what to do.
    message: &'a str,
}

impl<'a> From<&'a Refusal> for ErrorBody<'a> {
    fn from(refusal: &'a Refusal) -> Self {
        Self {
            code: ErrorCode::name(refusal.code),
            message: &refusal.message,
        }
    }
}

/// Where a job stands in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Standing {
    /// Its place in the order of arrival among the jobs that have not ended; the first is 1.
    #[schema(minimum = 1, example = 12)]
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    /// Milliseconds until it has ended, by how fast jobs end now; null while too few do to say.
    #[schema(value_type = Option<u64>, required = false, example = 430)]
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_wait_ms: Option<Option<u64>>,
}

impl From<edge::Standing> for Standing {
    fn from(standing: edge::Standing) -> Self {
        let ms = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Self {
            position: Some(standing.position),
            expected_wait_ms: Some(standing.wait.map(ms)),
        }
    }
}

/// A job that goes on.
#[derive(Serialize, ToSchema)]
pub(super) struct Accepted {
    /// Always true.
    pub(super) success: bool,
    #[schema(value_type = String, format = "uuid")]
    pub(super) job: JobId,
    #[schema(schema_with = super::document::states)]
    pub(super) state: JobState,
    #[serde(flatten)]
    pub(super) standing: Standing,
}

/// One of several images.
#[derive(Serialize, ToSchema)]
pub(super) struct Item<'a> {
    /// What the status would have been for this image alone.
    #[schema(minimum = 200, maximum = 599, example = 200)]
    pub(super) status: u16,
    pub(super) success: bool,
    /// Your name for it, if you gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    /// The job, if it became one.
    #[schema(value_type = Option<String>, format = "uuid")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) job: Option<JobId>,
    /// The answer: the most probable first.
    #[schema(value_type = Option<Vec<Label>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) predictions: Option<&'a [Prediction]>,
    /// Of a job that goes on.
    #[schema(schema_with = super::document::states, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<JobState>,
    #[serde(flatten)]
    pub(super) standing: Standing,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<ErrorBody<'a>>,
}

/// Several images, in the order in which they came.
#[derive(Serialize, ToSchema)]
pub(super) struct Items<'a> {
    /// Whether none was refused.
    pub(super) success: bool,
    pub(super) results: Vec<Item<'a>>,
}

/// An answer, or one for each of several images.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what is one or the other")]
pub(super) enum Answers<'a> {
    One(Success<'a>),
    Several(Items<'a>),
}

/// A job, or one for each of several images.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what is one or the other")]
pub(super) enum Named<'a> {
    One(Accepted),
    Several(Items<'a>),
}

/// What is known of a job.
#[derive(Serialize, ToSchema)]
pub(super) struct Job<'a> {
    #[schema(value_type = String, format = "uuid")]
    pub(super) id: JobId,
    #[schema(schema_with = super::document::states)]
    pub(super) state: JobState,
    /// By which it is classified.
    #[schema(example = "imagenet")]
    pub(super) profile: &'a str,
    /// Labels in its answer.
    #[schema(minimum = 1, maximum = 1000, example = 5)]
    pub(super) top: u16,
    /// How often it was started.
    pub(super) attempts: u32,
    /// When it arrived, in milliseconds since 1970.
    pub(super) created_ms: u64,
    /// When it ended, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) finished_ms: Option<u64>,
    #[serde(flatten)]
    pub(super) standing: Standing,
    /// Its answer: the most probable first.
    #[schema(value_type = Option<Vec<Label>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) predictions: Option<Vec<Prediction>>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<ErrorBody<'a>>,
    /// How its callback stands, if it has one.
    #[schema(schema_with = super::document::deliveries, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) callback: Option<DeliveryState>,
}

/// One event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what is written line by line")]
pub(super) struct Event {
    /// Where the job stands: `attempts-state`.
    #[schema(example = "1-running")]
    id: String,
    #[schema(schema_with = super::document::states)]
    event: String,
    #[schema(schema_with = super::document::job_in_text)]
    data: String,
}

/// That the process runs.
#[derive(Serialize, ToSchema)]
pub(super) struct Live {
    #[schema(example = "ok")]
    pub(super) status: &'static str,
}

/// Whether it can do its work.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    #[schema(example = "ready")]
    pub(super) status: &'static str,
    /// Why it cannot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) reasons: Vec<&'static str>,
    /// Its Redis servers, if there are several.
    #[schema(value_type = Vec<Shard>)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) shards: Vec<Place>,
}

/// One of several Redis servers.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what another module serialises")]
pub(super) struct Shard {
    /// Its address, without secrets.
    name: String,
    /// Why it cannot be used now.
    trouble: Option<String>,
}
