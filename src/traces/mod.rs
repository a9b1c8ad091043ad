//! Spans of requests and of the stages of their jobs, sent to an OpenTelemetry collector (OTLP over
//! gRPC).
//!
//! Spans are made with the times that the stages have measured, under the `traceparent` that travels
//! with the job; they wait in a bounded queue for a thread of its own, and are dropped when it is
//! full: tracing never slows a stage. Must not know: HTTP, stages, stores.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use thiserror::Error;
use tokio::runtime::Runtime;

use crate::observe::{Observer, Point, Span};
use crate::store::JobId;
use crate::traceparent::TraceParent;

/// Name of the spans' maker.
const SCOPE: &str = "beagle";
/// Longest wait for what is still to be sent, at the end.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// Where spans go.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    /// The collector: `http://127.0.0.1:4317`.
    pub endpoint: String,
    /// Part of the traces that begin here which is recorded, 0 to 1. Those that a caller has begun
    /// are recorded if the caller does.
    pub ratio: f64,
    /// What the process is called: `service.name`.
    pub service: String,
}

/// Why spans cannot be sent.
#[derive(Debug, Error)]
pub enum TracesError {
    /// The endpoint is none.
    #[error("traces cannot go to {endpoint}: {reason}: say --otlp-endpoint http://HOST:4317")]
    Endpoint {
        /// What was said.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no thread for it.
    #[error("traces have no thread to be sent by: {0}")]
    Thread(#[from] std::io::Error),
}

/// Who makes spans; cheap to clone.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Recorder>>);

struct Recorder {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    /// Carries the connection; the servers' own runtimes end before the last spans are sent.
    _runtime: Runtime,
}

impl Traces {
    /// Sends spans to a collector; one that is down costs its spans and nothing else.
    ///
    /// # Errors
    /// [`TracesError`] when the endpoint is none.
    pub fn start(settings: &TraceSettings, role: &'static str) -> Result<Self, TracesError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("traces")
            .enable_all()
            .build()?;
        let inside = runtime.enter();
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&settings.endpoint)
            .build()
            .map_err(|error| TracesError::Endpoint {
                endpoint: settings.endpoint.clone(),
                reason: error.to_string(),
            })?;
        drop(inside);
        let resource = Resource::builder()
            .with_service_name(settings.service.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("beagle.role", role))
            .build();
        let sampler = Sampler::TraceIdRatioBased(settings.ratio);
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .build();
        Ok(Self(Some(Arc::new(Recorder {
            tracer: provider.tracer(SCOPE),
            provider,
            _runtime: runtime,
        }))))
    }

    /// Begins the span of a request, in the caller's trace or in a new one. `None` if spans go
    /// nowhere.
    #[must_use]
    pub fn enter(&self, name: String, caller: Option<TraceParent>) -> Option<Entered> {
        let recorder = self.0.as_ref()?;
        let parent = caller.map_or_else(Context::new, |caller| context(&caller));
        let span = recorder
            .tracer
            .span_builder(name)
            .with_kind(SpanKind::Server);
        let span = recorder.tracer.build_with_context(span, &parent);
        Some(Entered { span })
    }

    /// Sends what is left, for at most a few seconds. Blocks.
    pub fn end(&self) {
        let Some(recorder) = &self.0 else { return };
        if let Err(error) = recorder.provider.shutdown_with_timeout(LAST_FLUSH) {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

impl Observer for Traces {
    fn reached(&self, _: Point, _: JobId) {}

    fn spent(&self, span: &Span) {
        let Some(recorder) = &self.0 else { return };
        let mut attributes = vec![KeyValue::new("beagle.job.id", span.job.to_string())];
        if let Some(images) = span.images {
            let images = i64::try_from(images).unwrap_or(i64::MAX);
            attributes.push(KeyValue::new("beagle.batch.size", images));
        }
        let builder = recorder
            .tracer
            .span_builder(span.stage.name())
            .with_start_time(span.from)
            .with_attributes(attributes);
        let parent = context(&span.parent);
        let mut made = recorder.tracer.build_with_context(builder, &parent);
        if let Some(failure) = &span.failure {
            made.set_status(Status::error(failure.clone()));
        }
        made.end_with_timestamp(span.until);
    }
}

/// The span of a request that is being answered; ends when it is dropped.
pub struct Entered {
    span: opentelemetry_sdk::trace::Span,
}

impl Entered {
    /// Its place in its trace: what its stages belong under.
    #[must_use]
    pub fn parent(&self) -> TraceParent {
        let context = self.span.span_context();
        TraceParent {
            trace: u128::from_be_bytes(context.trace_id().to_bytes()),
            span: u64::from_be_bytes(context.span_id().to_bytes()),
            sampled: context.is_sampled(),
        }
    }

    /// Adds what is known of the request.
    pub fn note(&mut self, name: &'static str, value: impl Into<opentelemetry::Value>) {
        self.span.set_attribute(KeyValue::new(name, value));
    }

    /// Notes that the server could not do its part.
    pub fn fail(&mut self, why: String) {
        self.span.set_status(Status::error(why));
    }
}

fn context(parent: &TraceParent) -> Context {
    let flags = if parent.sampled {
        TraceFlags::SAMPLED
    } else {
        TraceFlags::NOT_SAMPLED
    };
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from_bytes(parent.trace.to_be_bytes()),
        SpanId::from_bytes(parent.span.to_be_bytes()),
        flags,
        true,
        TraceState::default(),
    ))
}
