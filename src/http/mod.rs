//! The edge: one file a resource, [`answer`] for what is said.
//!
//! Must not know: models, images, which store.

mod ask;
mod answer;
mod callback;
mod health;
mod jobs;
mod metrics;
mod predict;
mod request_id;
pub mod signs;
mod upload;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, Error, HttpResponse};

pub use answer::job_body;

use crate::edge::Edge;
use crate::error::{ErrorCode, Refusal};
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
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(signs)
        .wrap(from_fn(metrics::count_refusals))
        .wrap(from_fn(request_id::name))
        .service(web::resource("/healthz").get(health::live))
        .service(web::resource("/readyz").get(health::ready))
        .service(web::resource("/metrics").get(metrics::page))
        .configure(|routes| match face {
            Face::Edge(edge) => pages(routes, edge),
            Face::Worker => {
                routes.default_service(web::to(takes_no_images));
            }
        })
}

fn pages(routes: &mut ServiceConfig, edge: Data<Edge>) {
    routes
        .app_data(edge)
        .service(
            web::resource("/predict")
                .post(predict::predict)
                .default_service(web::to(|| refuse_method("POST"))),
        )
        .service(
            web::resource("/jobs/{id}")
                .get(jobs::get)
                .delete(jobs::delete)
                .default_service(web::to(|| refuse_method("GET or DELETE"))),
        )
        .default_service(web::to(not_found));
}

async fn refuse_method(allowed: &'static str) -> HttpResponse {
    let message = format!("this page takes {allowed}");
    answer::refused(&Refusal::new(ErrorCode::MethodNotAllowed, message), None)
}

async fn not_found() -> HttpResponse {
    let message = "there is no such page: POST /predict, GET /jobs/{id}, GET /readyz";
    answer::refused(&Refusal::new(ErrorCode::NotFound, message), None)
}

async fn takes_no_images() -> HttpResponse {
    let message = "this process is a worker and has GET /healthz, /readyz and /metrics alone: send \
                   images to one with --role web or all";
    answer::refused(&Refusal::new(ErrorCode::NotFound, message), None)
}
