//! The ways to show a key, and which pages ask for one.
//!
//! Must not know: whose keys there are, how one is checked.

use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, OpenApi};

use super::operations;
use crate::access::key::API_KEY;
use crate::http::access;

const BEARER: &str = "bearer";
const HEADER: &str = "header";

/// Says how a key is shown, and of each page whether it asks for one.
pub(super) fn add(document: &mut OpenApi) {
    let components = document.components.get_or_insert_with(Components::new);
    for (name, scheme) in schemes() {
        components.add_security_scheme(name, scheme);
    }
    for (path, item) in &mut document.paths.paths {
        if asks(path) {
            operations(item).for_each(ask);
        }
    }
}

/// Whether a page asks for a key, if the server has any. The one of the metrics may be opened.
pub(super) fn asks(path: &str) -> bool {
    !access::is_open(path, false)
}

/// Either way, or none: a server may have no keys.
fn ask(operation: &mut Operation) {
    let none: [String; 0] = [];
    operation.security = Some(vec![
        SecurityRequirement::new(BEARER, none.clone()),
        SecurityRequirement::new(HEADER, none),
        SecurityRequirement::default(),
    ]);
}

fn schemes() -> [(&'static str, SecurityScheme); 2] {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A key of this server, if it has keys: without any, everybody may ask",
        ))
        .build();
    let header = ApiKeyValue::with_description(API_KEY, "The same in a header of its own");
    [
        (BEARER, SecurityScheme::Http(bearer)),
        (HEADER, SecurityScheme::ApiKey(ApiKey::Header(header))),
    ]
}
