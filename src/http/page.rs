//! `GET /docs/`: the document as a page for people, its files in the program.
//!
//! Nothing of it comes from elsewhere, and a browser is told to fetch nothing elsewhere. Must not
//! know: what the document says.

use std::borrow::Cow;

use std::sync::{Arc, LazyLock};

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY};
use actix_web::web::Path;
use bytes::Bytes;
use utoipa_swagger_ui::Config;

use super::not_found;

/// Scripts and styles are the page's own files, none is in its text; pictures may be in the
/// styles. Nobody may put the page into another. One style that a script writes into the text is
/// lost by this, an ornament of the logo (seen with Chromium 156).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How the page is set up. A validator would be asked by the browser, outside.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::from("/openapi.json")
        .validator_url("none")
        .display_request_duration(true);
    Arc::new(config)
});

/// The page's place is a folder, so that its files are found.
pub(super) async fn folder() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((LOCATION, "/docs/"))
        .finish()
}

pub(super) async fn file(name: Path<String>) -> HttpResponse {
    match utoipa_swagger_ui::serve(&name, CONFIG.clone()) {
        Ok(Some(file)) => HttpResponse::Ok()
            .content_type(file.content_type)
            .insert_header((CACHE_CONTROL, "no-cache"))
            .insert_header((CONTENT_SECURITY_POLICY, POLICY))
            .insert_header((REFERRER_POLICY, "no-referrer"))
            .body(match file.bytes {
                Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                Cow::Owned(bytes) => Bytes::from(bytes),
            }),
        Ok(None) => not_found().await,
        Err(error) => {
            tracing::error!(%error, page.file = %name, "a file of the page cannot be given");
            HttpResponse::InternalServerError().finish()
        }
    }
}
