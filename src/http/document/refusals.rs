//! Every refusal of the closed list, where it belongs, and the headers of every answer.
//!
//! Must not know: what is refused, bodies of other answers.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Ref, Schema, Type};
use utoipa::openapi::{ContentBuilder, RefOr, Response, ResponseBuilder};

use super::{keys, operations};
use crate::error::ErrorCode;
use crate::http::{answer, oip};

/// Why an inference may be refused, and images whatever asks for it.
const OF_INFERENCE: [ErrorCode; 28] = [
    ErrorCode::BadRequest,
    ErrorCode::Unauthorized,
    ErrorCode::Forbidden,
    ErrorCode::RateLimited,
    ErrorCode::TooManyInFlight,
    ErrorCode::UnknownProfile,
    ErrorCode::UnknownJob,
    ErrorCode::UploadTooSlow,
    ErrorCode::Cancelled,
    ErrorCode::BodyTooLarge,
    ErrorCode::TooManyImages,
    ErrorCode::ImageTooManyBytes,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::UnsupportedFormat,
    ErrorCode::EmptyImage,
    ErrorCode::ImageTooWide,
    ErrorCode::ImageTooHigh,
    ErrorCode::ImageTooManyPixels,
    ErrorCode::ImageTooMuchMemory,
    ErrorCode::MalformedImage,
    ErrorCode::DecoderPanicked,
    ErrorCode::KeyReused,
    ErrorCode::DeadLetter,
    ErrorCode::Lost,
    ErrorCode::QueueFull,
    ErrorCode::StoreUnavailable,
    ErrorCode::ShuttingDown,
    ErrorCode::TimedOut,
];
/// Why images alone may be refused.
const OF_IMAGES: [ErrorCode; 3] = [
    ErrorCode::BadCallback,
    ErrorCode::CallbacksOff,
    ErrorCode::MalformedBase64,
];
/// Why a look at a job may be refused.
const OF_LOOKS: [ErrorCode; 3] = [
    ErrorCode::BadRequest,
    ErrorCode::UnknownJob,
    ErrorCode::QueueFull,
];
/// Why it may not be possible to take a job back, or to look at it.
const OF_JOBS: [ErrorCode; 2] = [ErrorCode::UnknownJob, ErrorCode::StoreUnavailable];
/// Why any page may be refused that asks for a key.
const OF_KEYS: [ErrorCode; 2] = [ErrorCode::Unauthorized, ErrorCode::RateLimited];

/// How a refusal is told.
#[derive(Clone, Copy)]
enum Form {
    /// With its code, of one thing.
    Plain,
    /// With its code, of one image or of each of several.
    Images,
    /// As the Open Inference Protocol has it.
    Protocol,
}

impl Form {
    fn status(self, code: ErrorCode) -> StatusCode {
        match self {
            Self::Plain | Self::Images => answer::status(code),
            Self::Protocol => oip::status(code),
        }
    }

    fn schema(self) -> RefOr<Schema> {
        let one = Ref::from_schema_name("Failure");
        match self {
            Self::Plain => one.into(),
            Self::Images => {
                let either = OneOfBuilder::new().item(one);
                let either = either.item(Ref::from_schema_name("Items"));
                RefOr::T(either.into())
            }
            Self::Protocol => Ref::from_schema_name("InferenceError").into(),
        }
    }

    fn example(self, code: &str) -> Value {
        let message = "what is wrong and what to do";
        match self {
            Self::Plain | Self::Images => json!({
                "success": false,
                "error": {"code": code, "message": message},
            }),
            Self::Protocol => json!({"error": message}),
        }
    }
}

/// Adds every refusal that a path's operations may answer with.
pub(super) fn add(path: &str, item: &mut PathItem) {
    let form = match path {
        "/predict" | "/jobs" => Form::Images,
        _ if oip::has(path) => Form::Protocol,
        _ => Form::Plain,
    };
    let is_inference = path.ends_with("/infer");
    let mut codes: Vec<ErrorCode> = Vec::new();
    if matches!(form, Form::Images) || is_inference {
        codes.extend(OF_INFERENCE);
    }
    if matches!(form, Form::Images) {
        codes.extend(OF_IMAGES);
    }
    if path.starts_with("/jobs/") {
        codes.extend(OF_JOBS);
    }
    if path.starts_with("/v2/models/") {
        codes.push(ErrorCode::UnknownProfile);
    }
    if keys::asks(path) {
        codes.extend(OF_KEYS);
    }
    if path.starts_with("/jobs/")
        && let Some(get) = &mut item.get
    {
        refuse(get, &[&codes[..], &OF_LOOKS].concat(), form);
    }
    for operation in operations(item) {
        refuse(operation, &codes, form);
    }
}

/// Adds refusals by their statuses, but for statuses that are there.
fn refuse(operation: &mut Operation, codes: &[ErrorCode], form: Form) {
    let mut statuses: BTreeMap<StatusCode, Vec<&str>> = BTreeMap::new();
    for code in codes {
        let names = statuses.entry(form.status(*code)).or_default();
        if !names.contains(&code.name()) {
            names.push(code.name());
        }
    }
    for (status, codes) in statuses {
        let content = ContentBuilder::new()
            .schema(Some(form.schema()))
            .example(Some(form.example(codes[0])))
            .build();
        let names: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
        let refusal = ResponseBuilder::new()
            .description(names.join(", "))
            .content("application/json", content);
        let responses = &mut operation.responses.responses;
        responses
            .entry(status.as_str().to_owned())
            .or_insert_with(|| refusal.build().into());
    }
}

/// Adds the headers that responses of a status have.
pub(super) fn add_headers(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            add_headers_of(status, response);
        }
    }
}

fn add_headers_of(status: &str, response: &mut Response) {
    let mut add = |name: &str, description: &str, example: &str| {
        response
            .headers
            .insert(name.to_owned(), header(description, example).into());
    };
    add(
        "X-Request-Id",
        "yours, if you sent a sound one; else a new one",
        "01a21050-264e-7654-933e-2bd55b7122a7",
    );
    match status {
        "401" => add("WWW-Authenticate", "how to show a key", answer::CHALLENGE),
        "429" => add(
            "Retry-After",
            "seconds after which to ask again, where that helps",
            "1",
        ),
        "503" => add(
            "Retry-After",
            "seconds after which to ask again, by how fast the queue empties",
            "2",
        ),
        _ => {}
    }
}

fn header(description: &str, example: &str) -> Header {
    HeaderBuilder::new()
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(json!(example)))
        .build()
}
