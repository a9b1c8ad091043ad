//! A server of its own for each test, on a free port of this machine.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use beagle::app::{App, Ended, Engines, Settings};
use beagle::classify::model::Model;
use beagle::observe::Nobody;
use beagle::store::memory::MemoryStore;
use beagle::store::{JobStore, StoreLimits};
use beagle::traces::Traces;
use serde_json::Value;
use tokio::sync::oneshot;
use ureq::Body;
use ureq::http::Response;

use crate::GUARD;
use crate::fake::{self, Act, Fake, Stage, picture};
use crate::settings::settings;

/// Boundary of multipart bodies here.
const BOUNDARY: &str = "between-the-parts";

/// A server that runs.
pub(crate) struct TestApp {
    pub(crate) addr: SocketAddr,
    pub(crate) stage: Arc<Stage>,
    pub(crate) store: Arc<dyn JobStore>,
    agent: ureq::Agent,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Ended>>,
}

/// What a test wants otherwise.
pub(crate) struct Wanted {
    pub(crate) settings: Settings,
    pub(crate) store: StoreLimits,
    pub(crate) models: usize,
}

impl Default for Wanted {
    fn default() -> Self {
        let store = StoreLimits::default();
        Self {
            settings: settings(store.lease, GUARD),
            store,
            models: 1,
        }
    }
}

/// A reply, read to its end.
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) json: Value,
}

impl Told {
    pub(crate) fn of(response: Response<Body>) -> Self {
        let (parts, mut body) = response.into_parts();
        let text = body.read_to_string().expect("the reply is text");
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            json: serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")),
        }
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .unwrap_or_else(|| panic!("no {name}: {:?}", self.headers))
            .to_str()
            .unwrap()
    }

    #[track_caller]
    pub(crate) fn assert_class(&self, class: u8) {
        assert_eq!(self.status, 200, "{}", self.json);
        assert_eq!(self.json["success"], true);
        assert_eq!(self.json["predictions"][0]["label"], fake::label(class));
    }

    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(self.json["success"], false, "{}", self.json);
        assert_eq!(
            (self.status, self.json["error"]["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.json
        );
        assert!(
            self.json["error"]["message"]
                .as_str()
                .is_some_and(|text| text.len() > 10)
        );
    }
}

impl TestApp {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// A server in which some things are otherwise.
    pub(crate) fn with(change: impl FnOnce(&mut Wanted)) -> Self {
        let mut wanted = Wanted::default();
        change(&mut wanted);
        wanted.settings.lease = wanted.store.lease;
        let store: Arc<dyn JobStore> = Arc::new(MemoryStore::new(wanted.store.clone()));
        Self::on(store, wanted)
    }

    /// A server on a store of the test's own.
    pub(crate) fn on(store: Arc<dyn JobStore>, wanted: Wanted) -> Self {
        let stage = Arc::new(Stage::default());
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let engines = Engines {
            store: store.clone(),
            catalog: fake::catalog(),
            models: (0..wanted.models)
                .map(|_| Box::new(Fake(stage.clone())) as Box<dyn Model>)
                .collect(),
            observer: Arc::new(Nobody),
            traces: Traces::default(),
        };
        let thread = thread::spawn(move || {
            actix::System::new().block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let app = App::start(listener, wanted.settings, engines).unwrap();
                tell.send(app.addr()).unwrap();
                let stop = async {
                    // A test that ends without a word stops its server, too.
                    let _ = stopped.await;
                };
                app.run_until(stop).await.unwrap()
            })
        });
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(GUARD))
            .build();
        Self {
            addr: told.recv_timeout(GUARD).expect("the server starts"),
            stage,
            store,
            agent: config.into(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Posts a bare image.
    pub(crate) fn post(&self, path: &str, image: &[u8]) -> Told {
        self.post_with(path, image, &[("Content-Type", "image/bmp")])
    }

    pub(crate) fn post_with(&self, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Told {
        let mut request = self.agent.post(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Told::of(request.send(body).expect("the server answers"))
    }

    /// Posts images as multipart fields named `image`.
    pub(crate) fn post_parts(&self, path: &str, images: &[Vec<u8>]) -> Told {
        let parts: Vec<(&str, &[u8])> = images
            .iter()
            .map(|image| ("image", image.as_slice()))
            .collect();
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.post_with(path, &multipart(&parts), &[("Content-Type", &kind)])
    }

    pub(crate) fn classify(&self, class: u8, act: Act) -> Told {
        self.post("/predict", &picture(class, act))
    }

    pub(crate) fn get(&self, path: &str) -> Told {
        Told::of(
            self.agent
                .get(self.url(path))
                .call()
                .expect("the server answers"),
        )
    }

    /// A page, to be looked at.
    pub(crate) fn page(&self, path: &str) -> Response<Body> {
        self.agent.get(self.url(path)).call().unwrap()
    }

    /// A page that is text.
    pub(crate) fn text(&self, path: &str) -> String {
        let mut response = self.agent.get(self.url(path)).call().unwrap();
        assert_eq!(response.status().as_u16(), 200);
        response.body_mut().read_to_string().unwrap()
    }

    pub(crate) fn delete(&self, path: &str) -> Told {
        Told::of(
            self.agent
                .delete(self.url(path))
                .call()
                .expect("the server answers"),
        )
    }

    /// Asks for a job until it is in this state, each time when one more thing has happened.
    #[track_caller]
    pub(crate) fn wait_for_state(&self, job: &str, state: &str) -> Told {
        let path = format!("/jobs/{job}");
        let until = std::time::Instant::now() + GUARD;
        loop {
            let told = self.get(&path);
            if told.json["state"] == state {
                return told;
            }
            assert!(std::time::Instant::now() < until, "{job} is {}", told.json);
            thread::yield_now();
        }
    }

    /// Tells the server to stop, without waiting for it.
    pub(crate) fn tell_to_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Stops the server in order.
    pub(crate) fn stop(mut self) -> Ended {
        self.tell_to_stop();
        self.stage.open();
        self.thread
            .take()
            .expect("it runs")
            .join()
            .expect("it ends without a panic")
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stage.open();
        self.tell_to_stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !thread::panicking() {
                assert_eq!(ended.expect("it ends without a panic"), Ended::InOrder);
            }
        }
    }
}

/// A multipart body of named fields.
pub(crate) fn multipart(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in parts {
        body.extend_from_slice(
            format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"p.bmp\"\r\n\
                 Content-Type: image/bmp\r\n\r\n"
            )
            .as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}
