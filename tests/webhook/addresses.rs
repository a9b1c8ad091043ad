//! Names that lead astray: what was checked is what is connected to, and nothing else.
//!
//! Names are looked up in a script, and connections are written down and not made: nothing leaves
//! this process.

use std::env;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use beagle::webhook::caller::{Caller, Failure, Names, SystemNames, Times};
use beagle::webhook::guard::{Guard, Refused};
use beagle::webhook::target::BadUrl;
use ureq::unversioned::transport::{ConnectionDetails, Connector, Transport};

use crate::receiver::Receiver;
use crate::url;

/// The variable that says whom [`entry`] calls.
const CALL: &str = "BEAGLE_WEBHOOK_CALL";

/// Longer than anything takes here.
const TIMES: Times = Times {
    connect: Duration::from_secs(10),
    whole: Duration::from_secs(20),
};

/// Says the next of its answers each time, and counts.
#[derive(Debug)]
struct Script(Mutex<Vec<Vec<&'static str>>>);

impl Names for Script {
    fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        assert_eq!(host, "example.net");
        let next = self.0.lock().unwrap().remove(0);
        let address = |text: &&str| SocketAddr::new(text.parse().unwrap(), port);
        Ok(next.iter().map(address).collect())
    }
}

/// Writes down where a connection would go.
#[derive(Clone, Debug, Default)]
struct Record(Arc<Mutex<Vec<SocketAddr>>>);

impl Connector for Record {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        self.0.lock().unwrap().extend(details.addrs.iter());
        Err(io::Error::from(io::ErrorKind::ConnectionRefused).into())
    }
}

/// A caller, and where it has gone.
fn caller(answers: Vec<Vec<&'static str>>, guard: Guard) -> (Caller, Record, Arc<Script>) {
    let (record, script) = (Record::default(), Arc::new(Script(Mutex::new(answers))));
    let caller = Caller::with(script.clone(), Arc::new(guard), TIMES, None, record.clone());
    (caller, record, script)
}

fn gone(record: &Record) -> Vec<String> {
    let gone = record.0.lock().unwrap();
    gone.iter().map(ToString::to_string).collect()
}

fn post(caller: &Caller) -> Failure {
    caller
        .post("https://example.net/hook", &[], b"{}")
        .unwrap_err()
}

#[test]
fn a_name_that_changes_its_mind_is_looked_up_once_a_call() {
    let answers = vec![vec!["1.1.1.1"], vec!["127.0.0.1"], vec!["1.1.1.2"]];
    let (caller, record, script) = caller(answers, Guard::default());
    assert!(matches!(post(&caller), Failure::Connection(_)));
    assert_eq!(gone(&record), ["1.1.1.1:443"]);
    assert_eq!(
        script.0.lock().unwrap().len(),
        2,
        "one look-up, and what it gave is used"
    );
    let refused = Refused::Address {
        address: IpAddr::from([127, 0, 0, 1]),
        kind: "loopback",
    };
    assert_eq!(post(&caller), Failure::Address(refused));
    assert_eq!(gone(&record), ["1.1.1.1:443"], "nothing was tried");
    post(&caller);
    assert_eq!(gone(&record), ["1.1.1.1:443", "1.1.1.2:443"]);
}

#[test]
fn a_private_address_among_public_ones_is_enough_to_refuse_all() {
    for last in ["10.0.0.1", "::1", "169.254.169.254", "fd00::1"] {
        let (caller, record, _) = caller(vec![vec!["1.1.1.1", last]], Guard::default());
        assert!(matches!(
            post(&caller),
            Failure::Address(Refused::Address { .. })
        ));
        assert!(gone(&record).is_empty(), "{last}");
    }
}

#[test]
fn an_address_inside_another_is_judged_as_itself() {
    for hidden in [
        "::ffff:127.0.0.1",
        "::ffff:10.1.2.3",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "2002:c0a8:101::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    ] {
        let (caller, record, _) = caller(vec![vec![hidden]], Guard::default());
        match post(&caller) {
            Failure::Address(Refused::Address { address, .. }) => {
                assert_eq!(address, hidden.parse::<IpAddr>().unwrap());
            }
            other => panic!("{hidden}: {other:?}"),
        }
        assert!(gone(&record).is_empty());
    }
    let inner = Guard::new(vec!["10.0.0.0/8".parse().unwrap()]);
    let (caller, record, _) = caller(vec![vec!["::ffff:10.1.2.3"]], inner);
    post(&caller);
    assert_eq!(gone(&record), ["[::ffff:10.1.2.3]:443"]);
}

#[test]
fn a_url_that_was_accepted_under_other_rules_is_checked_again() {
    let (caller, record, _) = caller(Vec::new(), Guard::default());
    for url in [
        "https://[::ffff:127.0.0.1]/",
        "https://127.0.0.1:8443/",
        "http://example.net/",
        "https://me:secret@example.net/",
    ] {
        match caller.post(url, &[], b"{}").unwrap_err() {
            Failure::Url(BadUrl::Refused(_) | BadUrl::User) => {}
            other => panic!("{url}: {other:?}"),
        }
    }
    assert!(gone(&record).is_empty());
}

#[test]
fn a_name_that_leads_nowhere_is_not_called() {
    let (caller, record, _) = caller(vec![Vec::new()], Guard::default());
    assert_eq!(post(&caller), Failure::Name);
    assert!(gone(&record).is_empty());
}

/// A process that calls; as a test of its own it has nothing to do.
#[test]
fn entry() {
    let Ok(url) = env::var(CALL) else { return };
    let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let caller = Caller::new(Arc::new(SystemNames), Arc::new(guard), TIMES, None);
    assert_eq!(caller.post(&url, &[], b"{}").unwrap().status, 204);
}

#[test]
fn a_proxy_of_the_environment_is_not_used() {
    let (receiver, proxy) = (Receiver::start(), Receiver::start());
    let mut process = Command::new(env::current_exe().unwrap());
    process.args(["--exact", "addresses::entry", "--nocapture", "--quiet"]);
    for name in [
        "ALL_PROXY",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "all_proxy",
        "http_proxy",
    ] {
        process.env(name, format!("http://{}", proxy.addr));
    }
    process.env_remove("NO_PROXY").env_remove("no_proxy");
    let ended = process
        .env(CALL, url(receiver.addr, "hook"))
        .output()
        .unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(receiver.heard().len(), 1);
    assert!(proxy.heard().is_empty());
}
