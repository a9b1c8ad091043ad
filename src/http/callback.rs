//! `?callback=URL`: who is told of the job's end, checked as far as that can be done at once.
//!
//! Must not know: how somebody is told.

use crate::edge::Callbacks;
use crate::error::{ErrorCode, Refusal};
use crate::store::Callback;
use crate::webhook::target;

/// Reads a callback.
///
/// # Errors
/// [`ErrorCode::CallbacksOff`] if this server calls nobody, [`ErrorCode::BadCallback`] if it would
/// not call this URL.
pub(super) fn read(url: Option<&str>, callbacks: &Callbacks) -> Result<Option<Callback>, Refusal> {
    let Some(url) = url else {
        return Ok(None);
    };
    let Some(guard) = callbacks else {
        let message = "this server calls nobody back: it has no secrets to sign with, see \
                       --webhook-secrets";
        return Err(Refusal::new(ErrorCode::CallbacksOff, message));
    };
    match target::check(url, guard) {
        Ok(_) => Ok(Some(Callback {
            url: url.to_owned(),
        })),
        Err(error) => {
            let message = format!("the callback cannot be called: {error}");
            Err(Refusal::new(ErrorCode::BadCallback, message))
        }
    }
}
