//! One request sent, and what it was told.
//!
//! Must not know: who asks, what happens to the servers meanwhile.

use std::net::SocketAddr;

use beagle::store::JobId;
use serde_json::Value;
use ureq::Body;
use ureq::http::Response;

use crate::GUARD;
use crate::fake::{Act, picture};
use crate::history::{Asked, Job, Patience, Told};

struct Reply {
    status: u16,
    json: Value,
    job: Option<JobId>,
}

/// An HTTP client that tells every status and hangs never for ever.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(GUARD))
        .build()
        .into()
}

/// A request that is asked with patience, under a key.
pub(crate) fn keyed(number: u16, act: Act, patience: Patience) -> Asked {
    Asked {
        number,
        act,
        keyed: true,
        patience,
        told: Vec::new(),
    }
}

/// Sends one request and hears what it is told.
pub(crate) fn send(agent: &ureq::Agent, server: SocketAddr, asked: &Asked) -> Told {
    let url = format!("http://{server}/predict?top={}", asked.number + 1);
    let mut request = agent.post(url).header("Content-Type", "image/bmp");
    if asked.keyed {
        request = request.header("Idempotency-Key", format!("key-{}", asked.number));
    }
    request = match asked.patience {
        Patience::Waits => request,
        Patience::Async => request.header("Prefer", "respond-async"),
        Patience::Hasty => request.header("X-Request-Timeout", "300ms"),
    };
    let response = request.send(&picture(asked.class(), asked.act)[..]);
    let Some(Reply { status, json, job }) = response.ok().and_then(read) else {
        return Told::Broken;
    };
    match (status, job) {
        (200, Some(job)) => Told::Answered(job, json["predictions"].clone()),
        (202, Some(job)) => Told::Accepted(job),
        (500, Some(job)) if json["error"]["code"] == "dead_letter" => Told::Dead(job),
        (504, Some(job)) => Told::TimedOut(job),
        (503, _) => Told::Refused(json["error"].to_string()),
        _ => Told::Other(format!("{status} {json}")),
    }
}

/// Asks how a job stands. `None` if nobody knows it, an error while nobody says.
pub(crate) fn look(
    agent: &ureq::Agent,
    server: SocketAddr,
    id: JobId,
) -> Result<Option<Job>, String> {
    let response = agent.get(format!("http://{server}/jobs/{id}")).call();
    let response = response.map_err(|error| error.to_string())?;
    let Reply { status, json, .. } = read(response).ok_or("the connection broke")?;
    match status {
        200 => Ok(Some(Job {
            id,
            number: u16::try_from(json["top"].as_u64().unwrap()).unwrap() - 1,
            state: serde_json::from_value(json["state"].clone()).unwrap(),
            attempts: u32::try_from(json["attempts"].as_u64().unwrap()).unwrap(),
            predictions: json.get("predictions").cloned(),
        })),
        404 => Ok(None),
        _ => Err(format!("{status} {json}")),
    }
}

/// A reply, read to its end; nothing if the connection breaks before.
fn read(response: Response<Body>) -> Option<Reply> {
    let (parts, mut body) = response.into_parts();
    let text = body.read_to_string().ok()?;
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let job = parts.headers.get("x-job-id");
    Some(Reply {
        status: parts.status.as_u16(),
        json,
        job: job.map(|id| id.to_str().unwrap().parse().unwrap()),
    })
}
