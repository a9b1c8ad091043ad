//! Refusals as gRPC statuses: the one table from code to status here.
//!
//! Must not know: how a refusal came about.

use std::time::Duration;

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::error::{ErrorCode, Refusal};

/// When to come again in whole seconds, as over HTTP.
const RETRY_AFTER: &str = "retry-after";
/// The same in milliseconds, which gRPC's own retries obey.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// The status of each code.
const fn code(code: ErrorCode) -> Code {
    match code {
        ErrorCode::BadRequest
        | ErrorCode::BadCallback
        | ErrorCode::CallbacksOff
        | ErrorCode::TooManyImages
        | ErrorCode::UnsupportedMediaType
        | ErrorCode::MalformedBase64
        | ErrorCode::EmptyImage
        | ErrorCode::ImageTooManyBytes
        | ErrorCode::UnsupportedFormat
        | ErrorCode::ImageTooWide
        | ErrorCode::ImageTooHigh
        | ErrorCode::ImageTooManyPixels
        | ErrorCode::ImageTooMuchMemory
        | ErrorCode::MalformedImage
        | ErrorCode::DecoderPanicked => Code::InvalidArgument,
        ErrorCode::NotFound | ErrorCode::UnknownProfile | ErrorCode::UnknownJob => Code::NotFound,
        ErrorCode::MethodNotAllowed => Code::Unimplemented,
        ErrorCode::Unauthorized => Code::Unauthenticated,
        ErrorCode::Forbidden => Code::PermissionDenied,
        ErrorCode::BodyTooLarge
        | ErrorCode::QueueFull
        | ErrorCode::RateLimited
        | ErrorCode::TooManyInFlight
        | ErrorCode::TooManyConnections => Code::ResourceExhausted,
        ErrorCode::StoreUnavailable | ErrorCode::ShuttingDown => Code::Unavailable,
        ErrorCode::UploadTooSlow | ErrorCode::TimedOut => Code::DeadlineExceeded,
        ErrorCode::KeyReused => Code::FailedPrecondition,
        ErrorCode::Cancelled => Code::Aborted,
        ErrorCode::DeadLetter | ErrorCode::Lost => Code::Internal,
    }
}

/// A refusal as a status.
pub(super) fn of(refusal: &Refusal) -> Status {
    let mut status = Status::new(code(refusal.code), &refusal.message);
    if let Some(after) = refusal.retry_after {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        let metadata = status.metadata_mut();
        metadata.insert(RETRY_AFTER, MetadataValue::from(seconds));
        metadata.insert(PUSHBACK, MetadataValue::from(millis(after)));
    }
    status
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_that_passes_says_when_to_come_again() {
        let refusal = Refusal::new(ErrorCode::QueueFull, "full")
            .with_retry_after(Duration::from_millis(1500));
        let status = of(&refusal);
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.metadata().get(RETRY_AFTER).unwrap(), "2");
        assert_eq!(status.metadata().get(PUSHBACK).unwrap(), "1500");
        let lasting = of(&Refusal::new(ErrorCode::BadRequest, "no"));
        assert_eq!(lasting.code(), Code::InvalidArgument);
        assert!(lasting.metadata().get(RETRY_AFTER).is_none());
    }
}
