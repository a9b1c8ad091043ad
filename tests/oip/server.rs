//! A server of its own for each test, with both protocols, on free ports of this machine.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use beagle::app::{App, Doors, Ended, Engines, Settings};
use beagle::classify::model::Model;
use beagle::grpc::proto::grpc_inference_service_client::GrpcInferenceServiceClient;
use beagle::observe::Nobody;
use beagle::store::memory::MemoryStore;
use beagle::store::{JobState, JobStore, StoreLimits};
use beagle::traces::Traces;
use futures_executor::block_on;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint};
use ureq::Body;
use ureq::http::{HeaderMap, Response};

use crate::GUARD;
use crate::fake::{self, Act, Fake, Stage, picture};
use crate::settings::settings;

/// A server that runs.
pub(crate) struct Server {
    http: SocketAddr,
    grpc: SocketAddr,
    pub(crate) stage: Arc<Stage>,
    pub(crate) store: Arc<dyn JobStore>,
    agent: ureq::Agent,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Ended>>,
}

/// A reply, read to its end.
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Told {
    fn of(response: Response<Body>) -> Self {
        let (parts, mut body) = response.into_parts();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            bytes: body.read_to_vec().expect("the reply can be read"),
        }
    }

    pub(crate) fn json(&self) -> Value {
        let json = serde_json::from_slice(&self.bytes);
        json.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.bytes)))
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        let value = value.unwrap_or_else(|| panic!("no {name}: {:?}", self.headers));
        value.to_str().unwrap()
    }

    /// The answer to an inference that was done.
    #[track_caller]
    pub(crate) fn done(&self) -> Value {
        let json = self.json();
        assert_eq!(self.status, 200, "{json}");
        json
    }

    /// An error in the protocol's form: nothing but a text, which says this.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, says: &str) {
        let json = self.json();
        assert_eq!(self.status, status, "{json}");
        let text = json["error"].as_str().unwrap_or_else(|| panic!("{json}"));
        assert_eq!(json.as_object().unwrap().len(), 1, "{json}");
        assert!(text.contains(says), "{says:?} is not in {text:?}");
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// A server in which some settings are otherwise.
    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(StoreLimits::default(), change)
    }

    pub(crate) fn on(limits: StoreLimits, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings(limits.lease, GUARD);
        change(&mut settings);
        let store: Arc<dyn JobStore> = Arc::new(MemoryStore::new(limits));
        let stage = Arc::new(Stage::default());
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let engines = Engines {
            store: store.clone(),
            catalog: fake::catalog(),
            models: vec![Box::new(Fake(stage.clone())) as Box<dyn Model>],
            observer: Arc::new(Nobody),
            traces: Traces::default(),
        };
        let thread = thread::spawn(move || {
            actix::System::new().block_on(async move {
                let free = || TcpListener::bind("127.0.0.1:0").unwrap();
                let doors = Doors {
                    http: free(),
                    grpc: Some(free()),
                };
                let app = App::start(doors, settings, engines).unwrap();
                tell.send((app.addr(), app.grpc_addr().unwrap())).unwrap();
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
        let (http, grpc) = told.recv_timeout(GUARD).expect("the server starts");
        Self {
            http,
            grpc,
            stage,
            store,
            agent: config.into(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http)
    }

    pub(crate) fn get(&self, path: &str) -> Told {
        Told::of(self.agent.get(self.url(path)).call().unwrap())
    }

    pub(crate) fn post(&self, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Told {
        let mut request = self.agent.post(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Told::of(request.send(body).expect("the server answers"))
    }

    /// Asks the first model for an inference.
    pub(crate) fn infer(&self, request: &Value) -> Told {
        let body = request.to_string();
        self.post("/v2/models/plain/infer", body.as_bytes(), &[])
    }

    /// The article's answer to an image.
    pub(crate) fn predict(&self, query: &str, image: &[u8]) -> Value {
        let bmp = [("Content-Type", "image/bmp")];
        self.post(&format!("/predict{query}"), image, &bmp).done()
    }

    /// A client of the other protocol.
    pub(crate) async fn client(&self) -> GrpcInferenceServiceClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc)).unwrap();
        let client = GrpcInferenceServiceClient::new(endpoint.connect().await.unwrap());
        client.max_decoding_message_size(usize::MAX)
    }

    pub(crate) const fn grpc_addr(&self) -> SocketAddr {
        self.grpc
    }

    /// Waits until so many jobs are in this state.
    #[track_caller]
    pub(crate) fn wait_for_jobs(&self, count: usize, state: JobState) {
        let until = Instant::now() + GUARD;
        loop {
            let jobs = block_on(self.store.list(None, 100)).unwrap();
            let found = jobs.iter().filter(|job| job.state == state).count();
            if found == count {
                return;
            }
            assert!(Instant::now() < until, "{count} in {state:?}: {jobs:?}");
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
        let thread = self.thread.take().expect("it runs");
        thread.join().expect("it ends without a panic")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stage.open();
        self.tell_to_stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !thread::panicking() {
                assert!(ended.is_ok(), "it ends without a panic");
            }
        }
    }
}

/// An inference of images as files, in JSON.
pub(crate) fn images(classes: &[(u8, Act)]) -> Value {
    let files = classes
        .iter()
        .map(|(class, act)| STANDARD.encode(picture(*class, *act)));
    let data: Vec<String> = files.collect();
    json!({
        "inputs": [{"name": "image", "datatype": "BYTES", "shape": [data.len()], "data": data}],
    })
}

/// The network's own input for a class.
pub(crate) fn pixels(class: u8) -> Vec<u8> {
    [class, Act::Answer as u8, 0].repeat(fake::BYTES / 3)
}

/// An output of an answer in JSON.
#[track_caller]
pub(crate) fn output<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let outputs = answer["outputs"].as_array().unwrap();
    let named = outputs.iter().find(|output| output["name"] == name);
    named.unwrap_or_else(|| panic!("no {name}: {answer}"))
}
