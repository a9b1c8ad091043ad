//! The closed list of what a caller may be told went wrong.
//!
//! A code is for programs and never changes; the message is for people. Must not know: HTTP
//! statuses, which `http/answer.rs` gives.

use std::time::Duration;

use crate::decode::DecodeError;
use crate::store::StoreError;

/// What went wrong, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The request itself cannot be understood.
    BadRequest,
    /// No key was shown, or one that is none.
    Unauthorized,
    /// The key is good, and may not do this.
    Forbidden,
    /// The key, or the address, asks too often.
    RateLimited,
    /// The key has as many images in flight as it may.
    TooManyInFlight,
    /// An address has as many connections as it may. Counted, and told to nobody: the connection
    /// is closed.
    TooManyConnections,
    /// There is no such page.
    NotFound,
    /// The page has no such method.
    MethodNotAllowed,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// The request carries more images than allowed.
    TooManyImages,
    /// The request took too long to arrive.
    UploadTooSlow,
    /// The body is neither multipart nor JSON nor an image.
    UnsupportedMediaType,
    /// The URL to call back cannot be called.
    BadCallback,
    /// This server calls nobody back.
    CallbacksOff,
    /// No profile of that name is served.
    UnknownProfile,
    /// An image of a JSON body is not base64.
    MalformedBase64,
    /// The image has no bytes.
    EmptyImage,
    /// See [`DecodeError::TooManyBytes`].
    ImageTooManyBytes,
    /// See [`DecodeError::UnsupportedFormat`].
    UnsupportedFormat,
    /// See [`DecodeError::TooWide`].
    ImageTooWide,
    /// See [`DecodeError::TooHigh`].
    ImageTooHigh,
    /// See [`DecodeError::TooManyPixels`].
    ImageTooManyPixels,
    /// See [`DecodeError::TooMuchMemory`].
    ImageTooMuchMemory,
    /// See [`DecodeError::Malformed`].
    MalformedImage,
    /// The decoder panicked on the image.
    DecoderPanicked,
    /// The server has as many uploads, jobs or watchers as it may.
    QueueFull,
    /// The job store cannot be reached.
    StoreUnavailable,
    /// The server is about to stop.
    ShuttingDown,
    /// The idempotency key names another request.
    KeyReused,
    /// No answer came in the time the caller gave.
    TimedOut,
    /// The job was taken back.
    Cancelled,
    /// Every attempt at the job failed.
    DeadLetter,
    /// There is no such job, or nothing is known of it any more.
    UnknownJob,
    /// The process lost track of the request; asking again is safe.
    Lost,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: [Self; 34] = [
        Self::BadRequest,
        Self::Unauthorized,
        Self::Forbidden,
        Self::RateLimited,
        Self::TooManyInFlight,
        Self::TooManyConnections,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::BodyTooLarge,
        Self::TooManyImages,
        Self::UploadTooSlow,
        Self::UnsupportedMediaType,
        Self::BadCallback,
        Self::CallbacksOff,
        Self::UnknownProfile,
        Self::MalformedBase64,
        Self::EmptyImage,
        Self::ImageTooManyBytes,
        Self::UnsupportedFormat,
        Self::ImageTooWide,
        Self::ImageTooHigh,
        Self::ImageTooManyPixels,
        Self::ImageTooMuchMemory,
        Self::MalformedImage,
        Self::DecoderPanicked,
        Self::QueueFull,
        Self::StoreUnavailable,
        Self::ShuttingDown,
        Self::KeyReused,
        Self::TimedOut,
        Self::Cancelled,
        Self::DeadLetter,
        Self::UnknownJob,
        Self::Lost,
    ];

    /// Its name in answers: lower case with underscores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate_limited",
            Self::TooManyInFlight => "too_many_in_flight",
            Self::TooManyConnections => "too_many_connections",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::BodyTooLarge => "body_too_large",
            Self::TooManyImages => "too_many_images",
            Self::UploadTooSlow => "upload_too_slow",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::BadCallback => "bad_callback",
            Self::CallbacksOff => "callbacks_off",
            Self::UnknownProfile => "unknown_profile",
            Self::MalformedBase64 => "malformed_base64",
            Self::EmptyImage => "empty_image",
            Self::ImageTooManyBytes => "image_too_many_bytes",
            Self::UnsupportedFormat => "unsupported_format",
            Self::ImageTooWide => "image_too_wide",
            Self::ImageTooHigh => "image_too_high",
            Self::ImageTooManyPixels => "image_too_many_pixels",
            Self::ImageTooMuchMemory => "image_too_much_memory",
            Self::MalformedImage => "malformed_image",
            Self::DecoderPanicked => "decoder_panicked",
            Self::QueueFull => "queue_full",
            Self::StoreUnavailable => "store_unavailable",
            Self::ShuttingDown => "shutting_down",
            Self::KeyReused => "key_reused",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::DeadLetter => "dead_letter",
            Self::UnknownJob => "unknown_job",
            Self::Lost => "lost",
        }
    }
}

/// Why somebody does not get what they asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub code: ErrorCode,
    /// For people: what is wrong and what to do.
    pub message: String,
    /// When asking again may help.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal that asking again does not change.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    /// Says when to ask again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl From<&DecodeError> for Refusal {
    fn from(error: &DecodeError) -> Self {
        let code = match error {
            DecodeError::Empty => ErrorCode::EmptyImage,
            DecodeError::TooManyBytes { .. } => ErrorCode::ImageTooManyBytes,
            DecodeError::UnsupportedFormat { .. } => ErrorCode::UnsupportedFormat,
            DecodeError::TooWide { .. } => ErrorCode::ImageTooWide,
            DecodeError::TooHigh { .. } => ErrorCode::ImageTooHigh,
            DecodeError::TooManyPixels { .. } => ErrorCode::ImageTooManyPixels,
            DecodeError::TooMuchMemory { .. } => ErrorCode::ImageTooMuchMemory,
            DecodeError::Malformed { .. } => ErrorCode::MalformedImage,
        };
        Self::new(code, error.to_string())
    }
}

impl From<&StoreError> for Refusal {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::TooManyJobs { .. }
            | StoreError::TooManyBytes { .. }
            | StoreError::TooManyCallbacks { .. } => {
                Self::new(ErrorCode::QueueFull, error.to_string())
            }
            StoreError::KeyReused { .. } => Self::new(ErrorCode::KeyReused, error.to_string()),
            StoreError::ShardDown { .. }
            | StoreError::Unavailable(_)
            | StoreError::InUse(_)
            | StoreError::Unusable(_) => {
                // The reason may name hosts and paths: it is for the log, not for the caller.
                let message = "the job store is not available: ask again, with an Idempotency-Key if the \
                               work must not be done twice";
                Self::new(ErrorCode::StoreUnavailable, message)
                    .with_retry_after(Duration::from_secs(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_has_a_name_of_its_own() {
        let names: HashSet<&str> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn a_decoding_error_keeps_its_code() {
        let errors = [
            DecodeError::Empty,
            DecodeError::TooManyBytes { limit: 1 },
            DecodeError::UnsupportedFormat {
                found: String::new(),
            },
            DecodeError::TooWide { width: 2, limit: 1 },
            DecodeError::TooHigh {
                height: 2,
                limit: 1,
            },
            DecodeError::TooManyPixels {
                pixels: 2,
                limit: 1,
            },
            DecodeError::TooMuchMemory { bytes: 2, limit: 1 },
            DecodeError::Malformed {
                format: "PNG",
                reason: String::new(),
            },
        ];
        for error in errors {
            assert_eq!(Refusal::from(&error).code.name(), error.code());
        }
    }

    #[test]
    fn a_stores_reason_is_not_told_to_callers() {
        let error = StoreError::Unavailable("connection to db.internal refused".to_owned());
        let refusal = Refusal::from(&error);
        assert_eq!(refusal.code, ErrorCode::StoreUnavailable);
        assert!(!refusal.message.contains("internal"), "{}", refusal.message);
    }
}
