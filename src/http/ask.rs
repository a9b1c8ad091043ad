//! What a request asks: its query and headers, read once and checked.
//!
//! Must not know: bodies, stages.

use std::time::Duration;

use actix_web::http::header::HeaderMap;
use actix_web::web;
use serde::Deserialize;
use utoipa::IntoParams;

use super::callback;
use crate::access::caller::Caller;
use crate::classify::catalog::Catalog;
use crate::edge::{Callbacks, LABELS, MOST_LABELS, Patience, Times, check_key};
use crate::error::{ErrorCode, Refusal};
use crate::message::Ask;
use crate::store::{Priority, UnixMillis};
use crate::traceparent::TraceParent;

/// Header that shortens the time to wait: a number with a unit, such as `500ms`.
const REQUEST_TIMEOUT: &str = "X-Request-Timeout";
/// The caller's own name for its request (IETF draft idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// RFC 7240: `respond-async` and `wait=<seconds>`.
const PREFER: &str = "Prefer";
/// W3C Trace Context.
pub(super) const TRACEPARENT: &str = "traceparent";

/// What a request gets that does not say what it prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// The answer.
    Answer,
    /// The job's name, as soon as the job is durable.
    Name,
}

/// The query of a request that brings images.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// Labels in an answer.
    #[param(minimum = 1, maximum = 1000, default = 5, nullable = false)]
    top: Option<u16>,
    /// The profile to classify by; the server's first if nothing is said.
    #[param(nullable = false)]
    profile: Option<String>,
    /// Which goes first.
    #[serde(default)]
    #[param(schema_with = super::document::priorities, required = false)]
    priority: Option<Priority>,
    /// Whether the job runs even if nobody waits for it.
    #[serde(default)]
    #[param(default = false, required = false)]
    keep: bool,
    /// Called when the job has ended: an https address.
    #[param(
        format = "uri",
        max_length = 2048,
        example = "https://example.org/labels",
        nullable = false
    )]
    callback: Option<String>,
}

/// What the headers of a request with images may ask. They are read one by one, to say which is
/// wrong.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it describes what is read one by one")]
pub(super) struct Headers {
    /// Longest time to wait: a number with a unit (ms, s, m, h), at most `--request-timeout`.
    #[param(
        rename = "X-Request-Timeout",
        pattern = "^[0-9]{1,9}(ms|s|m|h)$",
        example = "10s",
        nullable = false
    )]
    timeout: Option<String>,
    /// `respond-async`: the job's name is enough. `wait=SECONDS`: the answer, if it comes in time,
    /// else the job's name. Other preferences are passed over.
    #[param(rename = "Prefer", example = "wait=10", nullable = false)]
    prefer: Option<String>,
    /// Your own name for the request: under the same one it is the same job. Of several images
    /// each has it with its number.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 200,
        pattern = "^[!-~]{1,200}$",
        nullable = false
    )]
    key: Option<String>,
}

/// The query of a job.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Look {
    /// Answer when the job has ended, or after this long: a number with a unit (ms, s, m, h), at
    /// most `--request-timeout`.
    #[param(pattern = "^[0-9]{1,9}(ms|s|m|h)$", example = "10ms", nullable = false)]
    wait: Option<String>,
}

/// How long a caller is ready to wait for a job's end, if it is, and at most `longest`.
///
/// # Errors
/// [`ErrorCode::BadRequest`], naming what is wrong.
pub(super) fn wait(query: &str, longest: Duration) -> Result<Option<Duration>, Refusal> {
    let query = web::Query::<Look>::from_query(query)
        .map_err(|error| bad(format!("the query is wrong ({error}): wait is known")))?;
    let wait = query.wait.as_ref().map(|text| {
        time(text).ok_or_else(|| {
            bad(format!(
                "wait is '{text}': say a number with a unit, such as 500ms or 30s"
            ))
        })
    });
    Ok(wait.transpose()?.map(|wait| wait.min(longest)))
}

/// Reads a request's query and headers.
///
/// # Errors
/// [`ErrorCode::BadRequest`], [`ErrorCode::UnknownProfile`] or [`ErrorCode::Forbidden`], naming
/// what is wrong.
pub(super) fn read(
    caller: Caller,
    query: &str,
    headers: &HeaderMap,
    catalog: &Catalog,
    times: &Times,
    callbacks: &Callbacks,
    manner: Manner,
) -> Result<(Ask, Patience), Refusal> {
    let query = web::Query::<Query>::from_query(query).map_err(|error| {
        bad(format!(
            "the query is wrong ({error}): top, profile, priority, keep and callback are known"
        ))
    })?;
    let top = query.top.unwrap_or(LABELS);
    if !(1..=MOST_LABELS).contains(&top) {
        return Err(bad(format!(
            "top is {top}: say a number from 1 to {MOST_LABELS}"
        )));
    }
    let profile = match &query.profile {
        None => catalog.default_profile(),
        Some(name) => catalog
            .get(name)
            .ok_or_else(|| unknown_profile(name, catalog))?,
    };
    let priority = caller.priority(query.priority)?;
    let timeout = request_timeout(headers, times.request_timeout)?;
    let (respond_async, wait) = prefer(headers)?;
    let respond_async = respond_async || manner == Manner::Name;
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
        caller,
        profile: profile.clone(),
        top,
        priority,
        deadline: UnixMillis::now().after(lives),
        idempotency_key,
        keep,
        callback,
        traceparent: traceparent(headers),
    };
    Ok((ask, patience))
}

/// A whole number of at most nine digits, and its unit: ms, s, m or h.
fn time(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let is_known = (1..=9).contains(&number.len()) && ["ms", "s", "m", "h"].contains(&unit);
    is_known
        .then(|| humantime::parse_duration(text).ok())
        .flatten()
}

fn request_timeout(headers: &HeaderMap, longest: Duration) -> Result<Duration, Refusal> {
    let Some(text) = text(headers, REQUEST_TIMEOUT)? else {
        return Ok(longest);
    };
    let asked = time(text).ok_or_else(|| {
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

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let Some(key) = text(headers, IDEMPOTENCY_KEY)? else {
        return Ok(None);
    };
    check_key(key)?;
    Ok(Some(key.to_owned()))
}

/// The request's place in a trace; what is none is passed over, as W3C Trace Context asks.
pub(super) fn traceparent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(TRACEPARENT)?.to_str().ok();
    TraceParent::of(text).map(|parent| parent.to_string())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_number_with_a_unit_and_nothing_else() {
        let ms = Duration::from_millis;
        assert_eq!(time("500ms"), Some(ms(500)));
        assert_eq!(time("0s"), Some(ms(0)));
        assert_eq!(time("2m"), Some(ms(120_000)));
        assert_eq!(
            time("999999999h"),
            Some(Duration::from_secs(999_999_999 * 3600))
        );
        for wrong in [
            "",
            "5",
            "0",
            "s",
            "1.5s",
            "-1s",
            "1s ",
            "1 s",
            "1d",
            "1000000000ms",
        ] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_wait_is_never_longer_than_the_longest() {
        let longest = Duration::from_secs(30);
        assert_eq!(wait("", longest), Ok(None));
        assert_eq!(wait("wait=2s", longest), Ok(Some(Duration::from_secs(2))));
        assert_eq!(wait("wait=1h", longest), Ok(Some(longest)));
        for (query, named) in [("wait=30", "wait is '30'"), ("weight=2s", "weight")] {
            let message = wait(query, longest).unwrap_err().message;
            assert!(message.contains(named), "{message}");
        }
    }
}
