//! The service: each of its calls answered.
//!
//! Must not know: connections, bytes, stages.

use std::sync::Arc;

use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, async_trait};

use super::admit::{Deadline, Held};
use super::proto::grpc_inference_service_server::GrpcInferenceService;
use super::proto::model_metadata_response::TensorMetadata;
use super::proto::repository_index_response::ModelIndex;
use super::{convert, proto, status};
use crate::access::caller::Caller;
use crate::classify::catalog::Served;
use crate::edge::{Edge, check_key};
use crate::error::{ErrorCode, Refusal};
use crate::observe::Fact;
use crate::oip::infer::{self, Around};
use crate::oip::model::{self, Described, EXTENSIONS, PLATFORM, SERVER, VERSION};
use crate::oip::plan::Plan;
use crate::traceparent::TraceParent;

/// The caller's own name for its request.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// W3C Trace Context.
const TRACEPARENT: &str = "traceparent";
/// The names of the jobs, row by row.
const JOB_ID: &str = "x-job-id";

/// Answers.
pub(super) struct Inference {
    edge: Arc<Edge>,
}

impl Inference {
    pub(super) const fn new(edge: Arc<Edge>) -> Self {
        Self { edge }
    }

    fn find(&self, name: &str, version: &str) -> Result<&Arc<Served>, Status> {
        let found = model::find(&self.edge.catalog, name, version);
        found.map_err(|error| self.refuse(error.into()))
    }

    fn refuse(&self, refusal: Refusal) -> Status {
        self.edge.observer.saw(Fact::Refused(refusal.code));
        status::of(&self.edge.with_retry_after(refusal))
    }

    async fn infer(
        &self,
        request: Request<proto::ModelInferRequest>,
    ) -> Result<Response<proto::ModelInferResponse>, Refusal> {
        let held = request.extensions().get::<Held>().cloned();
        let deadline = request.extensions().get::<Deadline>().copied();
        let caller = request.extensions().get::<Caller>().cloned();
        let traceparent = traceparent(request.metadata());
        let key = key(request.metadata())?;
        let message = request.into_inner();
        let model = model::find(
            &self.edge.catalog,
            &message.model_name,
            &message.model_version,
        )?;
        let (request, is_raw) = convert::request(message)?;
        let (plan, rows) = Plan::new(request, model, self.edge.body.images)?;
        let around = Around {
            caller: caller.unwrap_or_else(Caller::anyone),
            traceparent,
            key,
            timeout: deadline.map(|Deadline(then)| then.saturating_duration_since(Instant::now())),
            place: held.unwrap_or_default().take(),
        };
        let inferred = infer::infer(&self.edge, &plan, rows, around).await?;
        let jobs: Vec<String> = inferred.jobs.iter().map(ToString::to_string).collect();
        let mut response = Response::new(convert::response(&plan, inferred, is_raw));
        if let Ok(jobs) = jobs.join(",").parse() {
            response.metadata_mut().insert(JOB_ID, jobs);
        }
        Ok(response)
    }
}

fn key(metadata: &MetadataMap) -> Result<Option<String>, Refusal> {
    let Some(key) = metadata.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = key
        .to_str()
        .map_err(|_| Refusal::new(ErrorCode::BadRequest, "idempotency-key is not text"))?;
    check_key(key)?;
    Ok(Some(key.to_owned()))
}

/// The request's place in a trace; what is none is passed over, as W3C Trace Context asks.
fn traceparent(metadata: &MetadataMap) -> Option<String> {
    let text = metadata.get(TRACEPARENT)?.to_str().ok();
    TraceParent::of(text).map(|parent| parent.to_string())
}

fn metadata(described: Described) -> TensorMetadata {
    TensorMetadata {
        name: described.name.to_owned(),
        datatype: described.datatype.name().to_owned(),
        shape: described.shape,
    }
}

fn configuration(model: &Served) -> proto::ModelConfig {
    let input = |described: Described| proto::ModelInput {
        name: described.name.to_owned(),
        data_type: described.datatype.configured().1,
        dims: described.shape,
    };
    let output = |described: Described| proto::ModelOutput {
        name: described.name.to_owned(),
        data_type: described.datatype.configured().1,
        dims: described.shape,
    };
    let labels = proto::ModelParameter {
        string_value: model::labels(model),
    };
    proto::ModelConfig {
        name: model.name.clone(),
        platform: PLATFORM.to_owned(),
        // Shapes are with their first dimension, which Triton's number would stand for.
        max_batch_size: 0,
        input: model::inputs(model).map(input).to_vec(),
        output: model::outputs(model).map(output).to_vec(),
        parameters: [("labels".to_owned(), labels)].into(),
        backend: SERVER.to_owned(),
    }
}

#[async_trait]
impl GrpcInferenceService for Inference {
    async fn server_live(
        &self,
        _: Request<proto::ServerLiveRequest>,
    ) -> Result<Response<proto::ServerLiveResponse>, Status> {
        Ok(Response::new(proto::ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<proto::ServerReadyRequest>,
    ) -> Result<Response<proto::ServerReadyResponse>, Status> {
        let ready = self.edge.is_ready();
        Ok(Response::new(proto::ServerReadyResponse { ready }))
    }

    /// A model that there is not is not ready, which is what was asked.
    async fn model_ready(
        &self,
        request: Request<proto::ModelReadyRequest>,
    ) -> Result<Response<proto::ModelReadyResponse>, Status> {
        let proto::ModelReadyRequest { name, version } = request.into_inner();
        let known = model::find(&self.edge.catalog, &name, &version).is_ok();
        let ready = known && self.edge.is_ready();
        Ok(Response::new(proto::ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<proto::ServerMetadataRequest>,
    ) -> Result<Response<proto::ServerMetadataResponse>, Status> {
        Ok(Response::new(proto::ServerMetadataResponse {
            name: SERVER.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: EXTENSIONS.map(str::to_owned).to_vec(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<proto::ModelMetadataRequest>,
    ) -> Result<Response<proto::ModelMetadataResponse>, Status> {
        let proto::ModelMetadataRequest { name, version } = request.into_inner();
        let model = self.find(&name, &version)?;
        Ok(Response::new(proto::ModelMetadataResponse {
            name: model.name.clone(),
            versions: vec![VERSION.to_owned()],
            platform: PLATFORM.to_owned(),
            inputs: model::inputs(model).map(metadata).to_vec(),
            outputs: model::outputs(model).map(metadata).to_vec(),
            properties: [("labels".to_owned(), model::labels(model))].into(),
        }))
    }

    async fn model_infer(
        &self,
        request: Request<proto::ModelInferRequest>,
    ) -> Result<Response<proto::ModelInferResponse>, Status> {
        let inferred = self.infer(request).await;
        inferred.map_err(|refusal| self.refuse(refusal))
    }

    async fn model_config(
        &self,
        request: Request<proto::ModelConfigRequest>,
    ) -> Result<Response<proto::ModelConfigResponse>, Status> {
        let proto::ModelConfigRequest { name, version } = request.into_inner();
        let config = Some(configuration(self.find(&name, &version)?));
        Ok(Response::new(proto::ModelConfigResponse { config }))
    }

    async fn repository_index(
        &self,
        request: Request<proto::RepositoryIndexRequest>,
    ) -> Result<Response<proto::RepositoryIndexResponse>, Status> {
        let ready = self.edge.is_ready();
        let wanted = ready || !request.into_inner().ready;
        let models = self.edge.catalog.iter().filter(|_| wanted);
        let models = models.map(|model| ModelIndex {
            name: model.name.clone(),
            version: VERSION.to_owned(),
            state: model::state(ready).to_owned(),
            reason: String::new(),
        });
        Ok(Response::new(proto::RepositoryIndexResponse {
            models: models.collect(),
        }))
    }
}
