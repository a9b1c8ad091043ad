//! One request's trace, as a collector sees it: every stage, from the web process and the worker.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use beagle::observe::Stage;
use beagle::traceparent::TraceParent;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::net::TcpListener;
use tonic::codegen::tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::GUARD;
use crate::ask::agent;
use crate::fake::{Act, picture};
use crate::fleet::Fleet;

/// A span and what its process is.
#[derive(Clone)]
struct Seen {
    span: Span,
    role: String,
}

/// An OpenTelemetry collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector(Arc<(Mutex<Vec<Seen>>, Condvar)>);

impl Collector {
    /// Listens on a free port; as long as the test runs.
    fn start(&self) -> SocketAddr {
        let (tell, told) = std::sync::mpsc::channel();
        let service = TraceServiceServer::new(self.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let arriving = TcpListenerStream::new(listener);
                let server = Server::builder().add_service(service);
                server.serve_with_incoming(arriving).await.unwrap();
            });
        });
        told.recv_timeout(GUARD).unwrap()
    }

    /// Waits until a trace has so many spans, and gives them.
    fn spans_of(&self, trace: u128, count: usize) -> Vec<Seen> {
        let ours = |seen: &Vec<Seen>| {
            let ours = seen
                .iter()
                .filter(|seen| seen.span.trace_id == trace.to_be_bytes());
            ours.cloned().collect::<Vec<Seen>>()
        };
        let (seen, more) = &*self.0;
        let (seen, waited) = more
            .wait_timeout_while(seen.lock().unwrap(), GUARD, |seen| ours(seen).len() < count)
            .unwrap();
        let ours = ours(&seen);
        let names: Vec<&str> = ours.iter().map(|seen| &seen.span.name[..]).collect();
        assert!(!waited.timed_out(), "the collector has only {names:?}");
        ours
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let (seen, more) = &*self.0;
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap().attributes;
            let role = text(&attributes, "beagle.role");
            let spans = resource
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans);
            seen.lock().unwrap().extend(spans.map(|span| Seen {
                span,
                role: role.clone(),
            }));
        }
        more.notify_all();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    let value = found.and_then(|attribute| attribute.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        value => panic!("{key} is {value:?}"),
    }
}

#[test]
fn a_trace_has_every_stage_of_a_job_across_processes() {
    let collector = Collector::default();
    let endpoint = format!("http://{}", collector.start());
    let fleet = Fleet::with(1, 1, |_, orders| orders.otlp = Some(endpoint.clone()));
    let caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let response = agent()
        .post(format!("http://{}/predict", fleet.members[0].server.addr))
        .header("Content-Type", "image/bmp")
        .header("X-Request-Id", "traced-1")
        .header("traceparent", caller)
        .send(&picture(7, Act::Answer)[..])
        .unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let (job, told) = (header("x-job-id"), header("traceparent"));
    let (caller, told): (TraceParent, TraceParent) =
        (caller.parse().unwrap(), told.parse().unwrap());
    assert_eq!(told.trace, caller.trace, "the caller's trace goes on");
    assert_ne!(told.span, caller.span, "with a span of ours");

    let spans = collector.spans_of(caller.trace, Stage::ALL.len() + 1);
    let (request, stages): (Vec<Seen>, Vec<Seen>) = spans
        .into_iter()
        .partition(|seen| seen.span.name == "POST /predict");
    assert_eq!(request.len(), 1);
    let request = &request[0];
    assert_eq!(request.role, "web");
    assert_eq!(request.span.span_id, told.span.to_be_bytes());
    assert_eq!(request.span.parent_span_id, caller.span.to_be_bytes());
    let attribute = |key| text(&request.span.attributes, key);
    assert_eq!(attribute("http.response.status_code"), "200");
    assert_eq!(attribute("beagle.request.id"), "traced-1");

    let mut roles = BTreeMap::new();
    for Seen { span, role } in &stages {
        assert_eq!(
            span.parent_span_id,
            told.span.to_be_bytes(),
            "{}",
            span.name
        );
        assert_eq!(
            text(&span.attributes, "beagle.job.id"),
            job,
            "{}",
            span.name
        );
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
        roles.insert(span.name.as_str(), role.as_str());
    }
    let names: BTreeSet<&str> = Stage::ALL.iter().map(|stage| stage.name()).collect();
    assert_eq!(roles.keys().copied().collect::<BTreeSet<_>>(), names);
    for (stage, role) in roles {
        let here = ["decode", "enqueue", "respond"].contains(&stage);
        assert_eq!(role, if here { "web" } else { "worker" }, "{stage}");
    }
    fleet.finish();
}

#[test]
fn what_a_caller_does_not_record_is_not_recorded_and_a_collector_that_is_down_costs_nothing() {
    let collector = Collector::default();
    let endpoint = format!("http://{}", collector.start());
    let nobody = format!("http://127.0.0.1:{}", crate::redis_server::free_port());
    // The worker's collector does not answer.
    let fleet = Fleet::with(1, 1, |number, orders| {
        orders.otlp = Some(if number == 0 {
            endpoint.clone()
        } else {
            nobody.clone()
        });
    });
    let ask = |caller: &str| {
        let response = agent()
            .post(format!("http://{}/predict", fleet.members[0].server.addr))
            .header("Content-Type", "image/bmp")
            .header("traceparent", caller)
            .send(&picture(9, Act::Answer)[..])
            .unwrap();
        assert_eq!(response.status().as_u16(), 200);
    };
    ask("00-11111111111111111111111111111111-00f067aa0ba902b7-00");
    ask("00-22222222222222222222222222222222-00f067aa0ba902b7-01");
    let hex = |digit: u32| u128::from_str_radix(&digit.to_string().repeat(32), 16).unwrap();
    // decode, enqueue, respond and the request itself; spans are sent in the order of their ends.
    assert_eq!(collector.spans_of(hex(2), 4).len(), 4);
    assert!(collector.spans_of(hex(1), 0).is_empty());
    fleet.finish();
}
