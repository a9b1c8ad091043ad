//! What the protocol says over HTTP: errors in its own form, tensors as JSON and as binary data.
//!
//! Must not know: how an answer came about.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, ContentType, HeaderName};
use bytes::BytesMut;

use super::said::{BinaryData, Data, InferenceError, InferenceResponse, OutputTensor};
use crate::error::{ErrorCode, Refusal};
use crate::http::answer::{self as plain, JOB_ID};
use crate::oip::infer::Inferred;
use crate::oip::model::VERSION;
use crate::oip::plan::Plan;
use crate::oip::tensor::{Output, Values};

/// Bytes of JSON before the binary data.
pub(super) const JSON_LENGTH: HeaderName =
    HeaderName::from_static("inference-header-content-length");

/// The status of each code here.
pub(in crate::http) const fn status(code: ErrorCode) -> StatusCode {
    match code {
        // The model is part of the path.
        ErrorCode::UnknownProfile => StatusCode::NOT_FOUND,
        code => plain::status(code),
    }
}

/// A refusal, in the protocol's form.
pub(in crate::http) fn refused(refusal: &Refusal) -> HttpResponse {
    plain::refusing(status(refusal.code), refusal).json(error(refusal))
}

pub(super) async fn wrong_method(allowed: &'static str) -> HttpResponse {
    let message = format!("this page takes {allowed}");
    let refusal = Refusal::new(ErrorCode::MethodNotAllowed, message);
    plain::refusing(status(refusal.code), &refusal)
        .insert_header((ALLOW, allowed))
        .json(error(&refusal))
}

fn error(refusal: &Refusal) -> InferenceError<'_> {
    InferenceError {
        error: &refusal.message,
    }
}

pub(super) async fn no_page() -> HttpResponse {
    let message = "there is no such page: GET /v2, /v2/health/live, /v2/health/ready, \
                   /v2/models/NAME with /ready and /config, POST /v2/models/NAME/infer and \
                   /v2/repository/index; models are not loaded or unloaded, memory is not shared, and \
                   statistics are at /metrics";
    refused(&Refusal::new(ErrorCode::NotFound, message))
}

/// The answer to an inference: JSON, and behind it the outputs that are wanted as binary data.
pub(super) fn inferred(plan: &Plan, inferred: &Inferred) -> HttpResponse {
    let mut binary = BytesMut::new();
    let mut tensor = |output: &Output| -> usize {
        let raw = output.values.raw();
        binary.extend_from_slice(&raw);
        raw.len()
    };
    let outputs: Vec<OutputTensor<'_>> = inferred
        .outputs
        .iter()
        .map(|output| OutputTensor {
            name: output.name,
            datatype: output.values.datatype().name(),
            shape: output.shape,
            parameters: output.binary.then(|| BinaryData {
                binary_data_size: tensor(output),
            }),
            data: (!output.binary).then(|| match &output.values {
                Values::Strings(strings) => Data::Strings(strings),
                Values::Floats(floats) => Data::Floats(floats),
            }),
        })
        .collect();
    let has_binary = outputs.iter().any(|output| output.parameters.is_some());
    let response = InferenceResponse {
        model_name: &plan.model.name,
        model_version: VERSION,
        id: plan.id.as_deref(),
        outputs,
    };
    let jobs: Vec<String> = inferred.jobs.iter().map(ToString::to_string).collect();
    let mut answer = HttpResponse::Ok();
    answer.insert_header((JOB_ID, jobs.join(",")));
    if !has_binary {
        return answer.json(response);
    }
    match serde_json::to_vec(&response) {
        Ok(mut body) => {
            answer.insert_header((JSON_LENGTH, body.len().to_string()));
            answer.insert_header(ContentType::octet_stream());
            body.extend_from_slice(&binary);
            answer.body(body)
        }
        Err(error) => {
            let message = format!("the answer cannot be written: {error}");
            refused(&Refusal::new(ErrorCode::Lost, message))
        }
    }
}
