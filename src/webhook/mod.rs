//! Callbacks: the end of a job told to whoever asked for it, signed, and again until it is heard.
//!
//! In the order of the flow: `target` says which URLs can be called, `guard` which addresses,
//! `actor` takes deliveries from the store and, as `hosts` allows, hands each to a `poster`, which signs (`sign`) and
//! calls (`caller`); `policy` says what an answer means. Must not know: actix-web, how an end is
//! written down, which store it is.

pub mod actor;
pub mod caller;
pub mod guard;
mod hosts;
pub mod policy;
pub mod poster;
pub mod sign;
pub mod target;

use std::sync::Arc;
use std::time::Duration;

use caller::{Certificates, Names};
use guard::Guard;
use policy::Waits;
use sign::Keyring;

/// Everything that is needed to call back.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What signs.
    pub keys: Arc<Keyring>,
    /// Who may be called.
    pub guard: Arc<Guard>,
    /// Where names lead.
    pub names: Arc<dyn Names>,
    /// Calls at once.
    pub callers: usize,
    /// How long a name or a connection may take.
    pub connect_timeout: Duration,
    /// How long a call may take in all.
    pub timeout: Duration,
    /// How long to wait between tries.
    pub waits: Waits,
    /// Who may vouch for a receiver; the public authorities if nobody is named.
    pub certificates: Option<Certificates>,
}
