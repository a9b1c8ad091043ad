//! The body of a request that brings images, in every form of it.
//!
//! Must not know: other bodies, answers.

use serde_json::json;
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ArrayBuilder, KnownFormat, ObjectBuilder, Ref, SchemaFormat, Type};
use utoipa::openapi::{Content, ContentBuilder, Required};

use super::PIXEL;
use crate::http::upload;

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
/// Every form of a body with so many images at most.
pub(super) fn body(most: usize) -> RequestBody {
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
