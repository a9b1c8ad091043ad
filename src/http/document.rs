//! `GET /openapi.json`: what the server takes and says, made of the handlers and types themselves.
//!
//! Each handler says what it takes and what it gives when all is well; here is what is the same
//! for many, and every refusal of the closed list. Must not know: how anything is done.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use actix_web::web::Data;
use bytes::Bytes;
use serde_json::{Value, json};
use utoipa::OpenApi;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{
    ArrayBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Ref, Schema, SchemaFormat, Type,
};
use utoipa::openapi::{Content, ContentBuilder, RefOr, Required, Response, ResponseBuilder};

use super::{answer, events, health, jobs, listed, metrics, predict, said, upload};
use crate::error::ErrorCode;
use crate::store::{DeliveryState, JobState, Priority};

/// A PNG file of one pixel.
pub(super) const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mPYWuUKAANcAXVqh3R4AAAAAElFTkSuQmCC";
/// Media types of image files.
const FILES: [&str; 7] = [
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/gif",
    "image/bmp",
    "image/tiff",
    "application/octet-stream",
];
/// What a header can carry as the name of a field.
const FIELD_NAME: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]*$";
/// Why images may be refused.
const OF_IMAGES: [ErrorCode; 31] = [
    ErrorCode::BadRequest,
    ErrorCode::BadCallback,
    ErrorCode::CallbacksOff,
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
    ErrorCode::MalformedBase64,
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
/// Why a look at a job may be refused.
const OF_LOOKS: [ErrorCode; 6] = [
    ErrorCode::BadRequest,
    ErrorCode::Unauthorized,
    ErrorCode::RateLimited,
    ErrorCode::UnknownJob,
    ErrorCode::QueueFull,
    ErrorCode::StoreUnavailable,
];
/// Why it may not be possible to take a job back.
const OF_DELETION: [ErrorCode; 4] = [
    ErrorCode::Unauthorized,
    ErrorCode::RateLimited,
    ErrorCode::UnknownJob,
    ErrorCode::StoreUnavailable,
];

/// What each handler says of itself.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Beagle",
        description = "A crash-safe image-classification server: photos in, labels out, and \
                       nothing that was accepted is lost.\n\nEvery path also has 405 \
                       (`method_not_allowed`, with `Allow`) for other methods, and every other \
                       path 404 (`not_found`)."
    ),
    paths(
        predict::predict,
        jobs::post,
        jobs::get,
        jobs::delete,
        events::get,
        health::live,
        health::ready,
        metrics::page,
        get,
    ),
    components(schemas(
        said::Success,
        said::Items,
        said::Accepted,
        said::Failure,
        listed::Images,
    ))
)]
struct Handlers;

/// The document, written once.
#[derive(Clone)]
pub(super) struct Document(Bytes);

impl Document {
    /// Of a server that has these profiles, the default first, and takes so many images at once.
    pub(super) fn new(profiles: &[&str], images: usize) -> Self {
        let document = whole(profiles, images).to_json();
        Self(Bytes::from(document.unwrap_or_default()))
    }
}

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operations",
    operation_id = "document",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
pub(super) async fn get(document: Data<Document>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::json())
        .body(document.0.clone())
}

/// What handlers say, what is the same for many of them, and what is known of this server alone.
fn whole(profiles: &[&str], most: usize) -> utoipa::openapi::OpenApi {
    let mut document = Handlers::openapi();
    // Wherever it was asked for it is, on this host and port.
    document.servers = Some(vec![utoipa::openapi::Server::new("/")]);
    let paths = &mut document.paths.paths;
    for path in ["/predict", "/jobs"] {
        if let Some(post) = paths.get_mut(path).and_then(|item| item.post.as_mut()) {
            post.request_body = Some(images(most).into());
            refuse(post, &OF_IMAGES, &["Failure", "Items"]);
            name_profiles(post, profiles);
        }
    }
    for path in ["/jobs/{id}", "/jobs/{id}/events"] {
        if let Some(item) = paths.get_mut(path) {
            if let Some(get) = &mut item.get {
                refuse(get, &OF_LOOKS, &["Failure"]);
            }
            if let Some(delete) = &mut item.delete {
                refuse(delete, &OF_DELETION, &["Failure"]);
            }
        }
    }
    for operation in paths.values_mut().flat_map(operations) {
        for (status, response) in &mut operation.responses.responses {
            if let RefOr::T(response) = response {
                add_headers(status, response);
            }
        }
    }
    if let Some(components) = &mut document.components
        && let Some(RefOr::T(Schema::Object(body))) = components.schemas.get_mut("Images")
        && let Some(RefOr::T(Schema::Array(list))) = body.properties.get_mut("images")
    {
        list.max_items = Some(most);
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.delete]
        .into_iter()
        .flatten()
}

/// Says which profiles there are.
fn name_profiles(operation: &mut Operation, profiles: &[&str]) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && parameter.name == "profile"
        {
            let names = ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(profiles.iter().copied()))
                .default(profiles.first().map(|first| json!(first)));
            parameter.schema = Some(names.into());
        }
    }
}

/// Every form of a body with so many images at most.
fn images(most: usize) -> utoipa::openapi::request_body::RequestBody {
    let binary = || {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
    };
    let form = ObjectBuilder::new()
        .property(
            "image",
            ArrayBuilder::new()
                .items(binary())
                .min_items(Some(1))
                .max_items(Some(most)),
        )
        .required("image")
        // Others are passed over.
        .max_properties(Some(1 + upload::OTHER_FIELDS))
        .property_names(Some(
            ObjectBuilder::new()
                .schema_type(Type::String)
                .pattern(Some(FIELD_NAME)),
        ))
        .description(Some("The files, each in a field named image"));
    let listed = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Images")))
        .example(Some(
            json!({"images": [{"data": PIXEL, "id": "holiday-17"}]}),
        ))
        .build();
    let body = RequestBodyBuilder::new()
        .description(Some("One image or several, each a job of its own"))
        .required(Some(Required::True))
        .content("multipart/form-data", Content::new(Some(form)))
        .content("application/json", listed);
    FILES
        .iter()
        .fold(body, |body, kind| {
            body.content(*kind, Content::new(Some(binary())))
        })
        .build()
}

/// Adds the refusals that an operation may answer with, by their statuses.
fn refuse(operation: &mut Operation, codes: &[ErrorCode], bodies: &[&str]) {
    let mut statuses: BTreeMap<StatusCode, Vec<&str>> = BTreeMap::new();
    for code in codes {
        let status = statuses.entry(answer::status(*code)).or_default();
        status.push(code.name());
    }
    for (status, codes) in statuses {
        let schemas = bodies.iter().map(|name| Ref::from_schema_name(*name));
        let schema: RefOr<Schema> = match bodies {
            [only] => Ref::from_schema_name(*only).into(),
            _ => RefOr::T(schemas.fold(OneOfBuilder::new(), OneOfBuilder::item).into()),
        };
        let example = json!({
            "success": false,
            "error": {"code": codes[0], "message": "what is wrong and what to do"},
        });
        let content = ContentBuilder::new()
            .schema(Some(schema))
            .example(Some(example))
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
fn add_headers(status: &str, response: &mut Response) {
    let mut add = |name: &str, description: &str, example: Value| {
        response
            .headers
            .insert(name.to_owned(), header(description, example).into());
    };
    add(
        "X-Request-Id",
        "yours, if you sent a sound one; else a new one",
        json!("01a21050-264e-7654-933e-2bd55b7122a7"),
    );
    if status == "503" {
        add(
            "Retry-After",
            "seconds after which to ask again, by how fast the queue empties",
            json!("2"),
        );
    }
}

fn header(description: &str, example: Value) -> Header {
    HeaderBuilder::new()
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(example))
        .build()
}

/// The names of all codes.
pub(super) fn codes() -> Schema {
    names(ErrorCode::ALL.map(ErrorCode::name))
}

/// The names of all states.
pub(super) fn states() -> Schema {
    names(JobState::ALL.map(JobState::name))
}

/// The names of all states of a delivery.
pub(super) fn deliveries() -> Schema {
    names(DeliveryState::ALL.map(DeliveryState::name))
}

/// A job as JSON in a line of text.
pub(super) fn job_in_text() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("What is known of the job then"))
        .content_media_type("application/json")
        .content_schema(Some(Ref::from_schema_name("Job")))
        .into()
}

/// The names of all priorities.
pub(super) fn priorities() -> Schema {
    names(Priority::ALL.map(Priority::name))
}

fn names<const N: usize>(names: [&'static str; N]) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .into()
}
