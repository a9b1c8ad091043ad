//! What browsers are told: headers of every answer, and which other origins may read it.

use crate::app::TestApp;
use crate::raw::{self, Raw};

const ORIGIN: (&str, &str) = ("Origin", "https://shop.example");

fn preflight(app: &TestApp, origin: (&str, &str)) -> Raw {
    let headers = [
        origin,
        ("Access-Control-Request-Method", "POST"),
        (
            "Access-Control-Request-Headers",
            "content-type, authorization, idempotency-key",
        ),
    ];
    raw::ask(app.addr, "OPTIONS /predict", &headers, &[])
}

#[test]
fn every_answer_says_what_it_is_and_that_it_is_not_to_be_kept() {
    let app = TestApp::start();
    for line in [
        "GET /healthz",
        "GET /metrics",
        "GET /nothing",
        "POST /predict",
        "PUT /predict",
    ] {
        let told = raw::ask(app.addr, line, &[], &[]);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
        ] {
            assert_eq!(told.header(name), Some(value), "{line}");
        }
    }
}

#[test]
fn no_other_origin_may_read_unless_it_is_named() {
    let app = TestApp::start();
    for told in [
        raw::ask(app.addr, "GET /healthz", &[ORIGIN], &[]),
        preflight(&app, ORIGIN),
    ] {
        assert_eq!(told.header("access-control-allow-origin"), None);
    }
}

#[test]
fn an_origin_that_is_named_may_ask_and_read_the_headers() {
    let app = TestApp::with(|wanted| {
        wanted.settings.door.origins = vec![ORIGIN.1.to_owned()];
    });
    let allowed = preflight(&app, ORIGIN);
    assert_eq!(allowed.status, 200, "{}", allowed.text());
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        Some(ORIGIN.1)
    );
    let headers = allowed.header("access-control-allow-headers").unwrap();
    for name in ["authorization", "idempotency-key"] {
        assert!(headers.to_lowercase().contains(name), "{headers}");
    }
    let read = raw::ask(app.addr, "GET /jobs/1", &[ORIGIN], &[]);
    assert_eq!(read.status, 404);
    assert_eq!(read.header("access-control-allow-origin"), Some(ORIGIN.1));
    let exposed = read
        .header("access-control-expose-headers")
        .unwrap()
        .to_lowercase();
    for name in [
        "x-job-id",
        "location",
        "retry-after",
        "x-request-id",
        "server-timing",
    ] {
        assert!(exposed.contains(name), "{exposed}");
    }
    for other in ["https://shop.example.evil", "http://shop.example", "null"] {
        let told = preflight(&app, ("Origin", other));
        assert_eq!(told.header("access-control-allow-origin"), None, "{other}");
    }
}
