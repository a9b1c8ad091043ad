//! The edge: one file a resource, [`answer`] for what is said.
//!
//! Must not know: models, images, which store.

mod access;
mod headers;
mod arriving;
mod ask;
mod callback;
mod upload;
mod fed;
mod listed;
mod submit;
mod oip;
mod predict;
mod jobs;
mod events;
mod answer;
mod said;
mod health;
mod metrics;
mod request_id;
pub mod signs;
mod document;
mod page;
mod home;
pub mod listen;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, Error, HttpResponse, Route};

pub use answer::job_body;

use crate::edge::Edge;
use crate::edge::door::Door;
use crate::error::{ErrorCode, Refusal};
use document::Document;
use signs::Signs;

/// What a process takes.
#[derive(Clone)]
pub enum Face {
    /// Everything.
    Edge(Data<Edge>),
    /// No images: it shows how it is, and nothing else.
    Worker,
}

/// The web application: routes, and what every answer has.
pub fn app(
    face: Face,
    signs: Data<Signs>,
    door: Data<Door>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    let cors = headers::cors(&door.origins);
    // The last that is wrapped around the pages is the first to see a request.
    App::new()
        .app_data(signs)
        .app_data(door)
        .wrap(from_fn(arriving::watch))
        .wrap(from_fn(access::guard))
        .wrap(from_fn(metrics::count_refusals))
        .wrap(cors)
        .wrap(from_fn(headers::add))
        .wrap(from_fn(request_id::name))
        .wrap(from_fn(arriving::begin))
        .service(
            web::resource("/healthz")
                .get(health::live)
                .default_service(only("GET")),
        )
        .service(
            web::resource("/readyz")
                .get(health::ready)
                .default_service(only("GET")),
        )
        .service(
            web::resource("/metrics")
                .get(metrics::page)
                .default_service(only("GET")),
        )
        .configure(|routes| match face {
            Face::Edge(edge) => pages(routes, edge),
            Face::Worker => {
                routes.default_service(web::to(takes_no_images));
            }
        })
}

fn pages(routes: &mut ServiceConfig, edge: Data<Edge>) {
    let profiles: Vec<&str> = edge.catalog.iter().map(|served| &*served.name).collect();
    let calls = edge.callbacks.is_some();
    let document = Data::new(Document::new(&profiles, edge.body.images, calls));
    routes
        .app_data(edge)
        .app_data(document)
        .service(
            web::resource("/predict")
                .post(predict::predict)
                .default_service(only("POST")),
        )
        .service(
            web::resource("/jobs")
                .post(jobs::post)
                .default_service(only("POST")),
        )
        .service(
            web::resource("/jobs/{id}")
                .get(jobs::get)
                .delete(jobs::delete)
                .default_service(only("GET, DELETE")),
        )
        .service(
            web::resource("/jobs/{id}/events")
                .get(events::get)
                .default_service(only("GET")),
        )
        .service(
            web::resource("/openapi.json")
                .get(document::get)
                .default_service(only("GET")),
        )
        .configure(home::routes)
        .service(
            web::resource("/docs")
                .get(page::folder)
                .default_service(only("GET")),
        )
        .service(
            web::resource("/docs/{file:.*}")
                .get(page::file)
                .default_service(only("GET")),
        )
        .configure(oip::pages)
        .default_service(web::to(not_found));
}

/// Refuses every method but these.
fn only(allowed: &'static str) -> Route {
    web::to(move || async move {
        let message = format!("this page takes {}", allowed.replace(", ", " or "));
        let refusal = Refusal::new(ErrorCode::MethodNotAllowed, message);
        answer::refused_method(&refusal, allowed)
    })
}

async fn not_found() -> HttpResponse {
    let message = "there is no such page: /openapi.json says which there are";
    answer::refused(&Refusal::new(ErrorCode::NotFound, message), None)
}

async fn takes_no_images() -> HttpResponse {
    let message = "this process is a worker and has GET /healthz, /readyz and /metrics alone: send \
                   images to one with --role web or all";
    answer::refused(&Refusal::new(ErrorCode::NotFound, message), None)
}
