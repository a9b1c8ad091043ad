//! `GET /`: the page for people, and its parts. All of it is in the program: nothing is asked of
//! anybody else.
//!
//! Must not know: images, jobs; the page itself speaks to the same routes as every client.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Resource};

/// Only what comes from this server, and pictures that the page has been given.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' blob:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// A part of the page: where it is, what it is, what is in it.
struct Part {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

const PARTS: [Part; 7] = [
    Part {
        path: "/",
        media_type: HTML,
        text: include_str!("../../assets/page/index.html"),
    },
    Part {
        path: "/page/page.css",
        media_type: "text/css; charset=utf-8",
        text: include_str!("../../assets/page/page.css"),
    },
    Part {
        path: "/page/icon.svg",
        media_type: "image/svg+xml",
        text: include_str!("../../assets/page/icon.svg"),
    },
    Part {
        path: "/page/page.js",
        media_type: SCRIPT,
        text: include_str!("../../assets/page/page.js"),
    },
    Part {
        path: "/page/send.js",
        media_type: SCRIPT,
        text: include_str!("../../assets/page/send.js"),
    },
    Part {
        path: "/page/card.js",
        media_type: SCRIPT,
        text: include_str!("../../assets/page/card.js"),
    },
    Part {
        path: "/page/gauges.js",
        media_type: SCRIPT,
        text: include_str!("../../assets/page/gauges.js"),
    },
];

/// The routes of the page.
pub(super) fn routes(routes: &mut ServiceConfig) {
    for part in &PARTS {
        routes.service(resource(part));
    }
}

fn resource(part: &'static Part) -> Resource {
    web::resource(part.path)
        .get(move || async move {
            HttpResponse::Ok()
                .insert_header((CONTENT_TYPE, part.media_type))
                .insert_header((CONTENT_SECURITY_POLICY, POLICY))
                .insert_header((REFERRER_POLICY, "no-referrer"))
                // A new version of the program has a new page.
                .insert_header((CACHE_CONTROL, "no-cache"))
                .body(part.text)
        })
        .default_service(super::only("GET"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_asks_nobody_else() {
        let bytes: usize = PARTS.iter().map(|part| part.text.len()).sum();
        assert!(bytes < 100_000, "{bytes} bytes");
        for part in &PARTS {
            let known = part.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!known.contains("://"), "{} names another place", part.path);
        }
    }
}
