//! `/openapi.json` says what the server does, and the page for people shows it without a word to
//! anybody else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use beagle::error::ErrorCode;
use serde_json::Value;
use walkdir::WalkDir;

use crate::app::TestApp;

/// Pages for people, which the document for programs does not describe.
const FOR_PEOPLE: [&str; 2] = ["/docs", "/docs/{file:.*}"];

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

/// Every `web::resource("PATH")` of the sources, with the methods that follow it.
fn routed() -> Routes {
    let mut routes = Routes::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    for entry in WalkDir::new(root).into_iter().map(Result::unwrap) {
        if entry.path().extension().is_none_or(|ending| ending != "rs") {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        for after in text.split("web::resource(\"").skip(1) {
            let (path, rest) = after.split_once('"').unwrap();
            let chain = rest.split(".default_service").next().unwrap();
            let methods = ["get", "post", "put", "patch", "delete", "head"]
                .into_iter()
                .filter(|name| chain.contains(&format!(".{name}(")))
                .map(str::to_uppercase);
            routes.insert(path.to_owned(), methods.collect());
        }
    }
    routes
}

#[test]
fn the_document_has_every_route_and_no_other() {
    let app = TestApp::start();
    let mut routed = routed();
    for path in FOR_PEOPLE {
        assert!(routed.remove(path).is_some(), "{path} is no route");
    }
    assert!(routed.len() >= 8, "{routed:?}");
    assert_eq!(documented(&document(&app)), routed);
}

#[test]
fn the_server_takes_the_methods_of_the_document_and_names_them() {
    let app = TestApp::start();
    for (path, methods) in documented(&document(&app)) {
        let path = path.replace("{id}", "01a21050-264e-7654-933e-2bd55b7122a7");
        let told = app.method("PUT", &path);
        told.assert_error(405, "method_not_allowed");
        let allowed: BTreeSet<String> = told
            .header("allow")
            .split(", ")
            .map(str::to_owned)
            .collect();
        assert_eq!(allowed, methods, "{path}");
    }
}

#[test]
fn every_error_code_is_documented_and_under_its_status() {
    let app = TestApp::start();
    let document = document(&app);
    let codes =
        document["components"]["schemas"]["ErrorBody"]["properties"]["code"]["enum"].clone();
    let all: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
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
                    status == "503",
                    response["headers"]["Retry-After"].is_object()
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
    ] {
        let response = &document["paths"][path]["post"]["responses"][status]["description"];
        assert!(
            response.as_str().unwrap().contains(code),
            "{path}: {response}"
        );
    }
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
