//! Texts of which there are few, as schemas.
//!
//! Must not know: pages.

use utoipa::openapi::schema::{ObjectBuilder, Ref, Schema, Type};

use crate::error::ErrorCode;
use crate::store::{DeliveryState, JobState, Priority};

/// The names of all codes that answer anything: a connection that is one too many is closed
/// without a word, and only counted.
pub(in crate::http) fn codes() -> Schema {
    let answered = |code: &ErrorCode| *code != ErrorCode::TooManyConnections;
    names(
        ErrorCode::ALL
            .into_iter()
            .filter(answered)
            .map(ErrorCode::name),
    )
}

/// The names of all states.
pub(in crate::http) fn states() -> Schema {
    names(JobState::ALL.map(JobState::name))
}

/// The names of all states of a delivery.
pub(in crate::http) fn deliveries() -> Schema {
    names(DeliveryState::ALL.map(DeliveryState::name))
}

/// A job as JSON in a line of text.
pub(in crate::http) fn job_in_text() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("What is known of the job then"))
        .content_media_type("application/json")
        .content_schema(Some(Ref::from_schema_name("Job")))
        .into()
}

/// The names of all priorities.
pub(in crate::http) fn priorities() -> Schema {
    names(Priority::ALL.map(Priority::name))
}

fn names(names: impl IntoIterator<Item = &'static str>) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .into()
}
