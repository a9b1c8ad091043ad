//! `GET /openapi.json`: what the server takes and says, made of the handlers and types themselves.
//!
//! Each handler says what it takes and what it gives when all is well; here is what is the same
//! for many, and every refusal of the closed list. Must not know: how anything is done.

mod images;
mod keys;
mod names;
mod refusals;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::Data;
use bytes::Bytes;
use serde_json::json;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{Components, RefOr};

use super::{events, health, jobs, listed, metrics, oip, predict, said};

pub(super) use names::{codes, deliveries, job_in_text, priorities, states};

/// A PNG file of one pixel.
pub(super) const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mPYWuUKAANcAXVqh3R4AAAAAElFTkSuQmCC";

/// What each handler says of itself.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Beagle",
        description = "A crash-safe image-classification server: photos in, labels out, and \
                       nothing that was accepted is lost.\n\nEvery path also has 405 \
                       (`method_not_allowed`, with `Allow`) for other methods, and every other \
                       path 404 (`not_found`). A server that has keys answers 401 or 429 \
                       before it looks at what is asked. Below `/v2` the Open Inference Protocol \
                       is spoken, with errors in its own form."
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
    /// Of a server that has these profiles, the default first, takes so many images at once, and
    /// calls back or not.
    pub(super) fn new(profiles: &[&str], images: usize, calls: bool) -> Self {
        let document = whole(profiles, images, calls).to_json();
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
fn whole(profiles: &[&str], most: usize, calls: bool) -> utoipa::openapi::OpenApi {
    let mut document = Handlers::openapi();
    // Wherever it was asked for it is, on this host and port.
    document.servers = Some(vec![utoipa::openapi::Server::new("/")]);
    document.merge(oip::Pages::openapi());
    oip::add_versions(&mut document.paths);
    keys::add(&mut document);
    let paths = &mut document.paths.paths;
    for path in ["/predict", "/jobs"] {
        if let Some(post) = paths.get_mut(path).and_then(|item| item.post.as_mut()) {
            post.request_body = Some(images::body(most).into());
            if !calls {
                leave_out(post, "callback");
            }
        }
    }
    for (path, item) in paths {
        refusals::add(path, item);
        for operation in operations(item) {
            refusals::add_headers(operation);
            name_profiles(operation, profiles);
        }
    }
    let components = document.components.get_or_insert_with(Components::new);
    if let Some(RefOr::T(Schema::Object(body))) = components.schemas.get_mut("Images")
        && let Some(RefOr::T(Schema::Array(list))) = body.properties.get_mut("images")
    {
        list.max_items = Some(most);
    }
    // The type does not know how many.
    let request = oip::request(most).into();
    components
        .schemas
        .insert("InferenceRequest".to_owned(), request);
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.delete]
        .into_iter()
        .flatten()
}

/// Leaves out a parameter that this server has no use for.
fn leave_out(operation: &mut Operation, name: &str) {
    if let Some(parameters) = &mut operation.parameters {
        parameters.retain(|parameter| match parameter {
            RefOr::T(parameter) => parameter.name != name,
            RefOr::Ref(_) => true,
        });
    }
}

/// Says which profiles there are; to the protocol they are models.
fn name_profiles(operation: &mut Operation, profiles: &[&str]) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else {
            continue;
        };
        let default = match &*parameter.name {
            "profile" => profiles.first().map(|first| json!(first)),
            "name" => None,
            _ => continue,
        };
        let names = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(profiles.iter().copied()))
            .default(default);
        parameter.schema = Some(names.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_calls_nobody_back_asks_for_no_callback() {
        for calls in [true, false] {
            let document = whole(&["plain"], 1, calls);
            for path in ["/predict", "/jobs"] {
                let post = document.paths.paths[path].post.as_ref();
                let mut parameters = post.into_iter().flat_map(|post| &post.parameters).flatten();
                let has = parameters.any(|parameter| {
                    matches!(parameter, RefOr::T(parameter) if parameter.name == "callback")
                });
                assert_eq!(has, calls, "{path}");
            }
        }
    }
}
