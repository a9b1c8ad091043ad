//! What is refused before a job is accepted, and whom a server never calls.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use beagle::webhook::caller::Names;
use beagle::webhook::guard::Guard;

use crate::app::TestApp;
use crate::delivering::calling;
use crate::fake::{Act, picture};
use crate::receiver::{Answer, Receiver};
use crate::url;

fn ask(app: &TestApp, callback: &str) -> crate::app::Told {
    app.post(
        &format!("/predict?callback={callback}"),
        &picture(1, Act::Answer),
    )
}

/// Leads every name to one address.
#[derive(Debug)]
struct To(SocketAddr);

impl Names for To {
    fn look_up(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![self.0])
    }
}

#[test]
fn without_secrets_nobody_is_called_back() {
    let app = TestApp::start();
    ask(&app, "https://example.net/").assert_error(400, "callbacks_off");
}

#[test]
fn what_cannot_be_called_is_refused_at_once() {
    let app = calling(|wanted| {
        let calls = wanted.settings.webhook.as_mut().unwrap();
        calls.guard = Arc::new(Guard::default());
    });
    for callback in [
        "",
        "nowhere",
        "http://example.net/",
        "ftp://example.net/",
        "https://user:secret@example.net/",
        "https://example.net:22/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://10.0.0.1:8443/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:a00:1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[2002:7f00:1::]/",
        "https://[fd00::1]/",
    ] {
        let told = ask(&app, callback);
        told.assert_error(400, "bad_callback");
        let said = told.json.to_string();
        assert!(!said.contains("secret"), "{said}");
    }
    let all = futures_executor::block_on(app.store.list(None, 10)).unwrap();
    assert_eq!(all, []);
}

#[test]
fn more_callbacks_than_may_wait_are_refused() {
    let app = calling(|wanted| wanted.store.max_callbacks = 1);
    let receiver = Receiver::answering(|_, _| Answer::Status(503, String::new()));
    ask(&app, &url(receiver.addr, "one")).assert_class(1);
    let refused = ask(&app, &url(receiver.addr, "two"));
    refused.assert_error(503, "queue_full");
    refused.header("retry-after");
    app.classify(1, Act::Answer).assert_class(1);
}

#[test]
fn a_name_that_leads_to_this_machine_is_not_followed() {
    let receiver = Receiver::start();
    let app = calling(|wanted| {
        let calls = wanted.settings.webhook.as_mut().unwrap();
        calls.guard = Arc::new(Guard::default());
        calls.names = Arc::new(To(receiver.addr));
    });
    let port = receiver.addr.port();
    let told = ask(&app, &format!("https://example.net:{port}/"));
    told.assert_class(1);
    let id = told.header("x-job-id").parse().unwrap();
    let until = std::time::Instant::now() + crate::GUARD;
    let reason = loop {
        let view = futures_executor::block_on(app.store.job(id))
            .unwrap()
            .unwrap();
        let delivery = view.delivery.unwrap();
        if delivery.tries > 2 {
            break delivery.reason.unwrap();
        }
        assert!(std::time::Instant::now() < until);
        std::thread::yield_now();
    };
    assert!(reason.contains("127.0.0.1 is loopback"), "{reason}");
    assert!(receiver.heard().is_empty());
    // Why it failed is for the operator: a caller could look around with it.
    let seen = app.get(&format!("/jobs/{id}")).json;
    assert_eq!(seen["callback"], "due");
    assert!(!seen.to_string().contains("loopback"), "{seen}");
}

#[test]
fn a_redirect_is_not_followed() {
    let inner = Receiver::start();
    let there = url(inner.addr, "admin");
    let receiver = Receiver::answering(move |call, _| match call {
        0..5 => {
            let status = [301, 302, 303, 307, 308][call];
            Answer::Status(status, format!("Location: {there}\r\n"))
        }
        _ => Answer::Status(204, String::new()),
    });
    let app = calling(|_| {});
    ask(&app, &url(receiver.addr, "hook")).assert_class(1);
    let heard = receiver.wait_for(6);
    assert!(heard.iter().all(|heard| heard.path == "/hook"));
    assert!(inner.heard().is_empty());
}
