//! What a request asks: its query and headers, read once and checked.
//!
//! Must not know: bodies, stages.

use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::web;
use serde::Deserialize;

use super::callback;
use crate::classify::catalog::Catalog;
use crate::edge::{Callbacks, Patience, Times};
use crate::error::{ErrorCode, Refusal};
use crate::message::Ask;
use crate::store::{Priority, UnixMillis};

/// Header that shortens the time to wait: a number with a unit, such as `500ms`.
const REQUEST_TIMEOUT: &str = "X-Request-Timeout";
/// The caller's own name for its request (IETF draft idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// RFC 7240: `respond-async` and `wait=<seconds>`.
const PREFER: &str = "Prefer";
/// Longest idempotency key, in bytes.
const LONGEST_KEY: usize = 200;

/// The query of `/predict`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    top: Option<u16>,
    profile: Option<String>,
    #[serde(default)]
    priority: Priority,
    #[serde(default)]
    keep: bool,
    callback: Option<String>,
}

/// Labels in an answer when nothing is said: the article's five.
const TOP: u16 = 5;
/// Most labels in an answer.
const MOST: u16 = 1000;

/// Reads a request's query and headers.
///
/// # Errors
/// [`ErrorCode::BadRequest`] or [`ErrorCode::UnknownProfile`], naming what is wrong.
pub(super) fn read(
    query: &str,
    headers: &HeaderMap,
    catalog: &Catalog,
    times: &Times,
    callbacks: &Callbacks,
) -> Result<(Ask, Patience), Refusal> {
    let query = web::Query::<Query>::from_query(query).map_err(|error| {
        bad(format!(
            "the query is wrong ({error}): top, profile, priority, keep and callback are known"
        ))
    })?;
    let top = query.top.unwrap_or(TOP);
    if !(1..=MOST).contains(&top) {
        return Err(bad(format!("top is {top}: say a number from 1 to {MOST}")));
    }
    let profile = match &query.profile {
        None => catalog.default_profile(),
        Some(name) => catalog
            .get(name)
            .ok_or_else(|| unknown_profile(name, catalog))?,
    };
    let timeout = request_timeout(headers, times.request_timeout)?;
    let (respond_async, wait) = prefer(headers)?;
    let idempotency_key = idempotency_key(headers)?;
    let patience = Patience {
        wait: wait
            .unwrap_or(if respond_async {
                Duration::ZERO
            } else {
                timeout
            })
            .min(timeout),
        respond_async: respond_async || wait.is_some(),
    };
    let callback = callback::read(query.callback.as_deref(), callbacks)?;
    let keep =
        query.keep || patience.respond_async || idempotency_key.is_some() || callback.is_some();
    let lives = if keep { times.keep_for } else { timeout };
    let ask = Ask {
        profile: profile.clone(),
        top,
        priority: query.priority,
        deadline: UnixMillis::now().after(lives),
        idempotency_key,
        keep,
        callback,
        traceparent: None,
    };
    Ok((ask, patience))
}

fn request_timeout(headers: &HeaderMap, longest: Duration) -> Result<Duration, Refusal> {
    let Some(text) = text(headers, REQUEST_TIMEOUT)? else {
        return Ok(longest);
    };
    let asked = humantime::parse_duration(text).map_err(|_| {
        bad(format!(
            "{REQUEST_TIMEOUT} is '{text}': say a number with a unit, such as 500ms or 2s"
        ))
    })?;
    Ok(asked.min(longest))
}

/// Whether the caller prefers not to wait, and how long it is ready to.
fn prefer(headers: &HeaderMap) -> Result<(bool, Option<Duration>), Refusal> {
    let mut respond_async = false;
    let mut wait = None;
    for value in headers.get_all(PREFER) {
        let text = value
            .to_str()
            .map_err(|_| bad(format!("{PREFER} is not text")))?;
        for preference in text.split([',', ';']).map(str::trim) {
            match preference.split_once('=') {
                None if preference.eq_ignore_ascii_case("respond-async") => respond_async = true,
                Some((name, seconds)) if name.trim().eq_ignore_ascii_case("wait") => {
                    let seconds = seconds.trim().parse().map_err(|_| {
                        bad(format!(
                            "{PREFER} says '{preference}': say wait=SECONDS, a whole number"
                        ))
                    })?;
                    wait = Some(Duration::from_secs(seconds));
                }
                // RFC 7240: other preferences are passed over.
                _ => {}
            }
        }
    }
    Ok((respond_async, wait))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(key) = text(headers, IDEMPOTENCY_KEY)? else {
        return Ok(None);
    };
    if key.is_empty() || key.len() > LONGEST_KEY || !key.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(bad(format!(
            "{IDEMPOTENCY_KEY} must be 1 to {LONGEST_KEY} visible ASCII characters without spaces"
        )));
    }
    Ok(Some(key.to_owned()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(text) => Ok(Some(text.trim())),
        Err(_) => Err(bad(format!("{name} is not text"))),
    }
}

fn bad(message: String) -> Refusal {
    Refusal::new(ErrorCode::BadRequest, message)
}

fn unknown_profile(name: &str, catalog: &Catalog) -> Refusal {
    let known: Vec<&str> = catalog.iter().map(|served| served.name.as_str()).collect();
    let message = format!(
        "there is no profile '{name}': this server has {}",
        known.join(", ")
    );
    Refusal::new(ErrorCode::UnknownProfile, message)
}
