//! How many calls may go to one host at once, so that a slow one does not hold up the others.
//!
//! A host whose last call was quick may have every thread. One that was slow, or that is not known
//! yet, has a part of them. Pure: times are arguments. Must not know: deliveries, connections.

use std::collections::HashMap;
use std::time::Duration;

/// The part of the threads that a host has which is not known to be quick.
const PART: usize = 4;
/// A call that takes no longer is quick.
const QUICK: Duration = Duration::from_secs(1);
/// Hosts that are remembered beside those that are being called.
const KNOWN: usize = 1024;
/// What is too much for a host that is not known yet comes again so soon.
const SOON: Duration = Duration::from_secs(1);
/// What is too much for any host comes again after at most so long.
const LATE: Duration = Duration::from_secs(60);

/// Hosts that are being called, and some that were.
#[derive(Debug)]
pub(super) struct Hosts {
    callers: usize,
    known: HashMap<String, Host>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Host {
    calls: usize,
    /// How long the last call took, if one is over.
    last: Option<Duration>,
    /// Calls that were put off since, but for those that began.
    put_off: usize,
}

impl Hosts {
    /// Nobody is called yet, by so many threads.
    pub(super) fn new(callers: usize) -> Self {
        Self {
            callers,
            known: HashMap::new(),
        }
    }

    /// Begins a call, if the host has not its part yet. If it has, says when to come again, for
    /// calls that may take so long: the more are waiting for a slow host, the later.
    pub(super) fn begin(&mut self, host: &str, timeout: Duration) -> Result<(), Duration> {
        let Host {
            calls,
            last,
            put_off,
        } = self.known.get(host).copied().unwrap_or_default();
        let most = match last {
            Some(last) if last <= QUICK => self.callers,
            _ => self.callers.div_ceil(PART),
        };
        if calls >= most {
            let Some(host) = self.known.get_mut(host).filter(|_| last.is_some()) else {
                return Err(SOON);
            };
            host.put_off = put_off.saturating_add(1);
            let turns = u32::try_from(1 + put_off / most).unwrap_or(u32::MAX);
            return Err((timeout / 2).saturating_mul(turns).min(LATE.max(timeout)));
        }
        if self.known.len() >= KNOWN {
            self.known.retain(|_, host| host.calls > 0);
        }
        let host = self.known.entry(host.to_owned()).or_default();
        host.calls += 1;
        host.put_off = put_off.saturating_sub(1);
        Ok(())
    }

    /// A call is over that took so long.
    pub(super) fn over(&mut self, host: &str, took: Duration) {
        if let Some(host) = self.known.get_mut(host) {
            host.calls = host.calls.saturating_sub(1);
            host.last = Some(took);
            if took <= QUICK {
                host.put_off = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn a_host_that_is_slow_or_not_known_has_a_part_and_a_quick_one_everything() {
        let mut hosts = Hosts::new(16);
        let began = |hosts: &mut Hosts, host| {
            let mut calls = 0;
            while calls < 100 && hosts.begin(host, TIMEOUT).is_ok() {
                calls += 1;
            }
            calls
        };
        assert_eq!(began(&mut hosts, "a"), 4);
        assert_eq!(hosts.begin("a", TIMEOUT), Err(SOON));
        assert_eq!(hosts.begin("b", TIMEOUT), Ok(()));
        hosts.over("a", Duration::from_millis(5));
        assert_eq!(began(&mut hosts, "a"), 13);
        hosts.over("a", TIMEOUT);
        assert_eq!(hosts.begin("a", TIMEOUT), Err(TIMEOUT / 2));
        (0..15).for_each(|_| hosts.over("a", TIMEOUT));
        assert_eq!(began(&mut hosts, "a"), 4);
        assert_eq!(Hosts::new(1).begin("a", TIMEOUT), Ok(()));
    }

    #[test]
    fn what_waits_for_a_slow_host_comes_again_in_turns() {
        let mut hosts = Hosts::new(16);
        hosts.begin("a", TIMEOUT).unwrap();
        hosts.over("a", TIMEOUT);
        (0..4).for_each(|_| hosts.begin("a", TIMEOUT).unwrap());
        let mut waits = || hosts.begin("a", TIMEOUT).unwrap_err().as_secs();
        let first: Vec<u64> = (0..12).map(|_| waits()).collect();
        assert_eq!(first, [5, 5, 5, 5, 10, 10, 10, 10, 15, 15, 15, 15]);
        assert_eq!((0..1000).map(|_| waits()).max(), Some(60));
        // One that turns quick is not waited for.
        hosts.over("a", QUICK);
        (0..13).for_each(|_| hosts.begin("a", TIMEOUT).unwrap());
        assert_eq!(hosts.begin("a", TIMEOUT), Err(TIMEOUT / 2));
    }

    #[test]
    fn hosts_that_are_not_called_are_forgotten_when_there_are_many() {
        let mut hosts = Hosts::new(16);
        hosts.begin("busy", TIMEOUT).unwrap();
        for number in 0..3 * KNOWN {
            let host = number.to_string();
            hosts.begin(&host, TIMEOUT).unwrap();
            hosts.over(&host, QUICK);
        }
        assert!(hosts.known.len() <= KNOWN);
        assert_eq!(hosts.known["busy"].calls, 1);
    }
}
