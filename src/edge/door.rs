//! What stands before the edge, whatever the protocol: who may ask, over what, how slowly.
//!
//! Must not know: HTTP, gRPC, what is asked.

use std::sync::Arc;

use crate::access::Access;
use crate::gate::Limits;
use crate::gate::pace::Tempo;
use crate::tls::Tls;

/// Shared by everything that listens.
#[derive(Clone, Debug)]
pub struct Door {
    /// The keys.
    pub access: Arc<Access>,
    /// What TLS is spoken with, if it is.
    pub tls: Option<Arc<Tls>>,
    /// Whether the metrics need no key.
    pub open_metrics: bool,
    /// Origins whose pages may ask from a browser.
    pub origins: Vec<String>,
    /// Bounds on connections.
    pub connections: Limits,
    /// How fast a body must come.
    pub upload: Tempo,
}

impl Default for Door {
    /// Everybody, in the clear, within the usual bounds.
    fn default() -> Self {
        Self {
            access: Arc::new(Access::open()),
            tls: None,
            open_metrics: false,
            origins: Vec::new(),
            connections: Limits::default(),
            upload: Tempo::default(),
        }
    }
}
