//! What one client may have of the uploads at once, in number and in bytes: half, so that no
//! client alone, however slowly it sends, keeps the others out.
//!
//! As many entries as there are bodies under way, so its bound is theirs. Must not know: HTTP,
//! what the bytes are.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::BodyLimits;
use super::admission::AdmissionLimits;
use crate::access::caller::Caller;
use crate::error::{ErrorCode, Refusal};
use crate::gate::addresses::neighbourhood;

/// One of so many parts is a client's.
const PARTS: usize = 2;

/// Who shares: a key if there is one, else an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// The key's id.
    Key(String),
    /// Where it comes from.
    Address(Option<IpAddr>),
}

impl Client {
    /// Who this caller is.
    #[must_use]
    pub fn of(caller: &Caller, from: Option<IpAddr>) -> Self {
        match caller.id() {
            Some(id) => Self::Key(id.to_owned()),
            None => Self::Address(from.map(neighbourhood)),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Used {
    uploads: usize,
    bytes: usize,
}

/// What each has. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shares {
    most: Used,
    used: Arc<Mutex<HashMap<Client, Used>>>,
}

/// A body's part of its client's share; given back when dropped.
#[derive(Debug)]
pub struct Share {
    shares: Shares,
    client: Client,
    bytes: usize,
}

impl Shares {
    /// Nobody has anything of these uploads.
    #[must_use]
    pub fn new(limits: AdmissionLimits, body: &BodyLimits) -> Self {
        Self {
            most: Used {
                uploads: limits.uploads.div_ceil(PARTS),
                // A whole body at any rate.
                bytes: limits.bytes.div_ceil(PARTS).max(body.bytes),
            },
            used: Arc::default(),
        }
    }

    /// Room for one more body of this client's.
    ///
    /// # Errors
    /// [`ErrorCode::TooManyInFlight`].
    pub fn enter(&self, client: Client) -> Result<Share, Refusal> {
        let mut all = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let used = all.entry(client.clone()).or_default();
        if used.uploads >= self.most.uploads {
            return Err(full("uploads"));
        }
        used.uploads += 1;
        drop(all);
        Ok(Share {
            shares: self.clone(),
            client,
            bytes: 0,
        })
    }
}

impl Share {
    /// Room for more bytes of the body.
    ///
    /// # Errors
    /// [`ErrorCode::TooManyInFlight`].
    pub fn add(&mut self, bytes: usize) -> Result<(), Refusal> {
        let mut all = self
            .shares
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let used = all.entry(self.client.clone()).or_default();
        if used.bytes.saturating_add(bytes) > self.shares.most.bytes {
            return Err(full("bytes of uploads"));
        }
        used.bytes += bytes;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self
            .shares
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = all.get_mut(&self.client) {
            used.uploads = used.uploads.saturating_sub(1);
            used.bytes = used.bytes.saturating_sub(self.bytes);
            if *used == Used::default() {
                all.remove(&self.client);
            }
        }
    }
}

fn full(what: &str) -> Refusal {
    let message = format!("this client has as many {what} under way as one may: ask again");
    Refusal::new(ErrorCode::TooManyInFlight, message).with_retry_after(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        Client::of(&Caller::anyone(), Some(address.parse().unwrap()))
    }

    #[test]
    fn each_client_has_half_and_leaves_no_trace() {
        let limits = AdmissionLimits {
            uploads: 4,
            bytes: 100,
        };
        let body = BodyLimits {
            bytes: 10,
            images: 1,
        };
        let shares = Shares::new(limits, &body);
        let mut first = shares.enter(client("192.0.2.1")).unwrap();
        let mut second = shares.enter(client("192.0.2.1")).unwrap();
        let refused = shares.enter(client("192.0.2.1")).unwrap_err();
        assert_eq!(refused.code, ErrorCode::TooManyInFlight);
        let mut other = shares.enter(client("192.0.2.2")).unwrap();
        first.add(30).unwrap();
        second.add(20).unwrap();
        assert!(second.add(1).is_err());
        other.add(50).unwrap();
        drop(first);
        second.add(30).unwrap();
        assert!(shares.enter(client("192.0.2.1")).is_ok());
        drop((second, other));
        assert!(shares.used.lock().unwrap().is_empty());
    }
}
