//! `/openapi.json` says what the server does, and the page for people shows it without a word to
//! anybody else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use beagle::error::ErrorCode;
use serde_json::Value;
use walkdir::WalkDir;

use crate::access::Locked;
use crate::app::TestApp;
use crate::raw;

/// Pages for people, which the document for programs does not describe: the one at `/` and its
/// parts, and the document as a page. A browser reads them, and what they ask is documented.
const FOR_PEOPLE: [&str; 3] = ["/docs", "/docs/{file:.*}", "/"];
/// The parts of the page at `/`.
const PARTS: &str = "/page/";
/// The same page as `/v2`, for clients that write it so.
const TWICE: &str = "/v2/";
/// The code that answers nothing: a connection that is one too many is closed without a word, and
/// only counted.
const ONLY_COUNTED: ErrorCode = ErrorCode::TooManyConnections;

/// Paths with their methods.
type Routes = BTreeMap<String, BTreeSet<String>>;

fn document(app: &TestApp) -> Value {
    let told = app.get("/openapi.json");
    assert_eq!(told.header("content-type"), "application/json");
    told.json
}

fn documented(document: &Value) -> Routes {
    let paths = document["paths"].as_object().unwrap();
    let methods = |item: &Value| {
        let methods = item.as_object().unwrap().keys();
        methods.map(|name| name.to_uppercase()).collect()
    };
    paths
        .iter()
        .map(|(path, item)| (path.clone(), methods(item)))
        .collect()
}

/// Every resource of the sources, with the methods that follow its paths.
///
/// # Panics
/// If a route is written in a way that this does not read.
fn routed() -> Routes {
    let mut routes = Routes::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    for entry in WalkDir::new(root).into_iter().map(Result::unwrap) {
        if entry.path().extension().is_none_or(|ending| ending != "rs") {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        assert!(!text.contains(".route("), "{}", entry.path().display());
        for after in text.split("web::resource(").skip(1) {
            let (paths, rest) = after.split_once(')').unwrap();
            let chain = rest.split(".default_service").next().unwrap();
            let methods: BTreeSet<String> = ["get", "post", "put", "patch", "delete", "head"]
                .into_iter()
                .filter(|name| chain.contains(&format!(".{name}(")))
                .map(str::to_uppercase)
                .collect();
            // The parts of a page are a list of their own.
            let paths = match paths {
                "part.path" => quoted(&text, "path: \""),
                paths => quoted(paths, "\""),
            };
            assert!(!paths.is_empty(), "{}", entry.path().display());
            routes.extend(paths.into_iter().map(|path| (path, methods.clone())));
        }
    }
    routes
}

/// Every text that begins so, up to its last quote.
fn quoted(text: &str, begins: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(begins) {
        let (one, more) = after.split_once('"').unwrap();
        found.push(one.to_owned());
        rest = more;
    }
    found
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let app = TestApp::start();
    let mut routed = routed();
    for path in FOR_PEOPLE {
        assert!(routed.remove(path).is_some(), "{path} is no route");
    }
    let all = routed.len();
    routed.retain(|path, _| !path.starts_with(PARTS));
    assert!(all - routed.len() >= 5, "{routed:?}");
    assert_eq!(routed.remove(TWICE), routed.get("/v2").cloned());
    assert!(routed.len() >= 20, "{routed:?}");
    assert_eq!(documented(&document(&app)), routed);
}

#[test]
fn the_server_takes_the_methods_of_the_document_and_names_them() {
    let app = TestApp::start();
    for (path, methods) in documented(&document(&app)) {
        let path = path
            .replace("{id}", "01a21050-264e-7654-933e-2bd55b7122a7")
            .replace("{name}", "plain")
            .replace("{version}", "1");
        let told = raw::ask(app.addr, &format!("PUT {path}"), &[], &[]);
        assert_eq!(told.status, 405, "{path}");
        let said: Value = serde_json::from_slice(&told.body).unwrap();
        if path.starts_with("/v2") {
            assert!(said["error"].is_string(), "{path}: {said}");
        } else {
            assert_eq!(told.code(), "method_not_allowed", "{path}");
        }
        let allowed = told.header("allow").unwrap_or_default();
        let allowed: BTreeSet<String> = allowed.split(", ").map(str::to_owned).collect();
        assert_eq!(allowed, methods, "{path}");
    }
}

#[test]
fn every_error_code_is_documented_and_under_its_status() {
    let app = TestApp::start();
    let document = document(&app);
    let codes =
        document["components"]["schemas"]["ErrorBody"]["properties"]["code"]["enum"].clone();
    let all: Vec<&str> = ErrorCode::ALL
        .iter()
        .filter(|code| **code != ONLY_COUNTED)
        .map(|code| code.name())
        .collect();
    assert_eq!(codes, serde_json::json!(all));
    // Those that answer no operation are told of in the description of the whole.
    let mut told: BTreeSet<&str> = all
        .iter()
        .filter(|code| {
            let description = document["info"]["description"].as_str().unwrap();
            description.contains(&format!("`{code}`"))
        })
        .copied()
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            for (status, response) in operation["responses"].as_object().unwrap() {
                let description = response["description"].as_str().unwrap();
                assert!(response["headers"]["X-Request-Id"].is_object(), "{status}");
                assert_eq!(
                    status == "503" || status == "429",
                    response["headers"]["Retry-After"].is_object()
                );
                assert_eq!(
                    status == "401",
                    response["headers"]["WWW-Authenticate"].is_object()
                );
                let here = all
                    .iter()
                    .filter(|code| description.contains(&format!("`{code}`")));
                told.extend(here.copied());
            }
        }
    }
    assert_eq!(told, all.into_iter().collect());
    for (path, status, code) in [
        ("/predict", "422", "malformed_base64"),
        ("/predict", "504", "timed_out"),
        ("/jobs", "503", "queue_full"),
        ("/jobs", "413", "too_many_images"),
        ("/jobs", "400", "callbacks_off"),
        ("/predict", "403", "forbidden"),
        ("/predict", "429", "too_many_in_flight"),
        ("/predict", "408", "upload_too_slow"),
        ("/v2/models/{name}/infer", "404", "unknown_profile"),
        ("/v2/repository/index", "401", "unauthorized"),
    ] {
        let response = &document["paths"][path]["post"]["responses"][status]["description"];
        assert!(
            response.as_str().unwrap().contains(code),
            "{path}: {response}"
        );
    }
}

/// Of every page: the document says that it asks for a key, and a server that has keys does; it
/// takes them in both ways that are documented.
#[test]
fn a_page_asks_for_a_key_if_the_document_says_so() {
    let locked = Locked::start(&[""]);
    let document = document(&locked.app);
    let schemes = &document["components"]["securitySchemes"];
    assert_eq!(schemes["bearer"]["scheme"], "bearer");
    assert_eq!(schemes["header"]["name"], "x-api-key");
    let either = serde_json::json!([{"bearer": []}, {"header": []}, {}]);
    let mut open = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let asked = path
            .replace("{id}", "01a21050-264e-7654-933e-2bd55b7122a7")
            .replace("{name}", "plain")
            .replace("{version}", "1");
        for (method, operation) in item.as_object().unwrap() {
            let line = format!("{} {asked}", method.to_uppercase());
            let ask = |headers: &[(&str, &str)]| raw::ask(locked.app.addr, &line, headers, &[]);
            let status = |name: &str, value: &str| ask(&[(name, value)]).status;
            let told = ask(&[]);
            let refused = told.status == 401;
            if refused && path.starts_with("/v2") {
                let said: Value = serde_json::from_slice(&told.body).unwrap();
                assert!(said["error"].is_string(), "the protocol's form: {said}");
            }
            assert_eq!(operation["security"] == either, refused, "{method} {path}");
            assert_eq!(operation["responses"]["401"].is_object(), refused, "{path}");
            assert_eq!(operation["responses"]["429"].is_object(), refused, "{path}");
            if refused {
                assert_ne!(status("Authorization", &locked.bearer(0)), 401, "{path}");
                assert_ne!(status("X-API-Key", &locked.secrets[0]), 401, "{path}");
            } else {
                assert!(operation["security"].is_null(), "{path}");
                open += 1;
            }
        }
    }
    assert_eq!(open, 5, "health twice over, and the document");
}

#[test]
fn the_examples_are_taken_as_they_stand() {
    let app = TestApp::start();
    let document = document(&app);
    assert_eq!(document["openapi"], "3.1.0");
    let body = &document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"];
    let told = app.post_with(
        "/predict",
        body["example"].to_string().as_bytes(),
        &[("Content-Type", "application/json")],
    );
    assert_eq!(told.status, 200, "{}", told.json);
    assert_eq!(told.json["results"][0]["id"], "holiday-17");
    let parameters = &document["paths"]["/predict"]["post"]["parameters"];
    let profile = parameters
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == "profile");
    let names = serde_json::json!(["plain", "other"]);
    assert_eq!(
        profile.unwrap()["schema"]["enum"],
        names,
        "this server's own"
    );
    for parameter in document["paths"]["/predict"]["post"]["parameters"]
        .as_array()
        .unwrap()
    {
        let (name, example) = (parameter["name"].as_str().unwrap(), &parameter["example"]);
        let (Some(example), "header") = (example.as_str(), parameter["in"].as_str().unwrap())
        else {
            continue;
        };
        let told = app.post_with(
            "/predict",
            &crate::fake::picture(1, crate::fake::Act::Answer),
            &[("Content-Type", "image/bmp"), (name, example)],
        );
        assert_eq!(told.status, 200, "{name}: {}", told.json);
    }
}

#[test]
fn the_page_is_whole_and_asks_nobody_else() {
    let app = TestApp::start();
    let page = app.text("/docs/");
    let mut files: Vec<&str> = page
        .split(['"', '\''])
        .map(|text| text.trim_start_matches("./"))
        .filter(|text| text.ends_with(".js") || text.ends_with(".css") || text.ends_with(".png"))
        .collect();
    assert!(files.len() >= 5, "{page}");
    assert!(
        !page.contains("//\"") && !page.contains("http:") && !page.contains("https:"),
        "{page}"
    );
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains("onload="));
    files.push("");
    for file in files {
        let response = app.page(&format!("/docs/{file}"));
        assert_eq!(response.status().as_u16(), 200, "{file}");
        let header = |name: &str| response.headers()[name].to_str().unwrap();
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
    }
    let set_up = app.text("/docs/swagger-initializer.js");
    assert!(set_up.contains("\"url\": \"/openapi.json\""), "{set_up}");
    assert!(set_up.contains("\"validatorUrl\": \"none\""), "{set_up}");
    assert!(
        !set_up.contains("http:") && !set_up.contains("https:"),
        "{set_up}"
    );
    let moved = app.page("/docs");
    assert_eq!(moved.status().as_u16(), 200, "it leads to the folder");
    app.get("/docs/nothing.js").assert_error(404, "not_found");
    app.get("/docs/..%2f..%2fetc/passwd")
        .assert_error(404, "not_found");
}
