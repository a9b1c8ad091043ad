//! `GET /jobs/{id}` and `DELETE /jobs/{id}`: how a job stands, and taking it back.
//!
//! Must not know: stages.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};

use super::answer;
use crate::edge::Edge;
use crate::error::{ErrorCode, Refusal};
use crate::observe::Fact;
use crate::respond::outcome;
use crate::store::{Cancelled, JobId, StoreError};

pub(super) async fn get(id: Path<String>, edge: Data<Edge>) -> HttpResponse {
    let found = match parse(&id) {
        Err(refusal) => Err(refusal),
        Ok(id) => edge
            .store
            .job(id)
            .await
            .map_err(|error| refuse(&edge, &error)),
    };
    match found {
        Ok(Some(job)) => answer::job(&job),
        Ok(None) => answer::refused(&outcome::forgotten(), None),
        Err(refusal) => answer::refused(&refusal, None),
    }
}

pub(super) async fn delete(id: Path<String>, edge: Data<Edge>) -> HttpResponse {
    let id = match parse(&id) {
        Err(refusal) => return answer::refused(&refusal, None),
        Ok(id) => id,
    };
    match edge.store.cancel(id).await {
        Ok(Some(cancelled)) => {
            if cancelled == Cancelled::Now {
                edge.observer.saw(Fact::Cancelled);
            }
            answer::job_state(id, cancelled.state())
        }
        Ok(None) => answer::refused(&outcome::forgotten(), None),
        Err(error) => answer::refused(&refuse(&edge, &error), None),
    }
}

fn parse(id: &str) -> Result<JobId, Refusal> {
    id.parse().map_err(|_| {
        let message = "this is not a job's name: names are UUIDs, as in the header X-Job-Id";
        Refusal::new(ErrorCode::UnknownJob, message)
    })
}

fn refuse(edge: &Edge, error: &StoreError) -> Refusal {
    edge.health.store_fails(error);
    Refusal::from(error)
}
