use api::{
    Format, Hash, Page,
    psi_field::Intervention,
    trainer::{
        AgentState, Checkpoint, ComparisonFormat, ComparisonQuery, EpisodeMetrics, Exclusion, Federation,
        GossipMessages, MetricsQuery, NewRewind, NewRun, ProvedContribution, Resolution, Run, RunComparison,
        RunPatch, RunQuery, WindowMetrics,
    },
};
use uuid::Uuid;

use crate::{ClientError, Endpoint, PageQuery, connection::Connection, events::RunEvents};

/// The trainer's client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Trainer {
    pub(crate) connection: Connection,
}

/// Every call fails with a [`ClientError`] that says whether trying again can help.
#[allow(clippy::missing_errors_doc)] // said once above
impl Trainer {
    /// A client of the trainer at this endpoint. It does not connect yet.
    ///
    /// # Errors
    /// The URL or the key cannot be used.
    pub fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        Ok(Self { connection: Connection::new(Some("trainer"), endpoint)? })
    }

    /// The endpoint that it calls.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        self.connection.endpoint()
    }

    /// `GET /readyz`: ready to serve.
    pub async fn ready(&self) -> Result<(), ClientError> {
        self.connection.ready().await
    }

    /// `POST /v1/runs`. The same key gets the same run again, so the call may be repeated.
    pub async fn create_run(&self, run: &NewRun, idempotency_key: Option<&str>) -> Result<Run, ClientError> {
        self.connection.post(&["v1", "runs"]).idempotency_key(idempotency_key).json(run).answer().await
    }

    /// `GET /v1/runs`, newest first.
    pub async fn runs(&self, query: &RunQuery) -> Result<Page<Run>, ClientError> {
        self.connection.get(&["v1", "runs"]).query(query).answer().await
    }

    /// `GET /v1/runs/{id}`.
    pub async fn run(&self, id: Uuid) -> Result<Run, ClientError> {
        self.connection.get(&["v1", "runs", &id.to_string()]).answer().await
    }

    /// `GET /v1/federation`.
    pub async fn federation(&self) -> Result<Federation, ClientError> {
        self.connection.get(&["v1", "federation"]).answer().await
    }

    /// `GET /v1/federation/contributions/{sha256}`.
    pub async fn contribution(&self, sha256: &Hash) -> Result<ProvedContribution, ClientError> {
        self.connection
            .get(&["v1", "federation", "contributions", &sha256.to_string()])
            .large()
            .answer()
            .await
    }

    /// `POST /v1/federation/exclusions`: leaves an author out, or no longer.
    pub async fn exclude(&self, exclusion: &Exclusion) -> Result<Federation, ClientError> {
        self.connection.post(&["v1", "federation", "exclusions"]).json(exclusion).answer().await
    }

    /// `POST /v1/federation/messages`: what one trainer tells another, and the answer.
    pub async fn gossip(&self, said: &GossipMessages) -> Result<GossipMessages, ClientError> {
        self.connection.post(&["v1", "federation", "messages"]).json(said).answer().await
    }

    /// `POST /v1/runs/{id}/cancel`: it ends after its episode, with a checkpoint.
    pub async fn cancel_run(&self, id: Uuid) -> Result<Run, ClientError> {
        self.connection.post(&["v1", "runs", &id.to_string(), "cancel"]).answer().await
    }

    /// `PATCH /v1/runs/{id}`: its name, tags and notes.
    pub async fn label_run(&self, id: Uuid, patch: &RunPatch) -> Result<Run, ClientError> {
        self.connection.patch(&["v1", "runs", &id.to_string()]).json(patch).answer().await
    }

    /// `POST /v1/runs/{id}/pause`: it halts at the end of its step.
    pub async fn pause_run(&self, id: Uuid) -> Result<Run, ClientError> {
        self.connection.post(&["v1", "runs", &id.to_string(), "pause"]).answer().await
    }

    /// `POST /v1/runs/{id}/resume`: it continues where it halted, as soon as a place is free.
    pub async fn resume_run(&self, id: Uuid) -> Result<Run, ClientError> {
        self.connection.post(&["v1", "runs", &id.to_string(), "resume"]).answer().await
    }

    /// `POST /v1/runs/{id}/rewind`: a new run from a checkpoint of this one.
    pub async fn rewind_run(
        &self,
        id: Uuid,
        rewind: &NewRewind,
        idempotency_key: Option<&str>,
    ) -> Result<Run, ClientError> {
        let path = ["v1", "runs", &id.to_string(), "rewind"];
        self.connection.post(&path).idempotency_key(idempotency_key).json(rewind).answer().await
    }

    /// `GET /v1/runs/compare`.
    pub async fn compare_runs(&self, a: Uuid, b: Uuid) -> Result<RunComparison, ClientError> {
        let query = ComparisonQuery { a, b, format: Some(ComparisonFormat::Json) };
        self.connection.get(&["v1", "runs", "compare"]).query(&query).answer().await
    }

    /// `GET /v1/runs/{id}/metrics`, one row per episode, whatever resolution and format the query has.
    pub async fn episode_metrics(
        &self,
        id: Uuid,
        query: &MetricsQuery,
    ) -> Result<Page<EpisodeMetrics>, ClientError> {
        let query =
            MetricsQuery { resolution: Resolution::Episode, format: Some(Format::Json), ..query.clone() };
        self.connection.get(&["v1", "runs", &id.to_string(), "metrics"]).query(&query).answer().await
    }

    /// `GET /v1/runs/{id}/metrics`, one row per window, whatever resolution and format the query has.
    pub async fn window_metrics(
        &self,
        id: Uuid,
        query: &MetricsQuery,
    ) -> Result<Page<WindowMetrics>, ClientError> {
        let query =
            MetricsQuery { resolution: Resolution::Window, format: Some(Format::Json), ..query.clone() };
        self.connection.get(&["v1", "runs", &id.to_string(), "metrics"]).query(&query).answer().await
    }

    /// `GET /v1/runs/{id}/metrics` as CSV: all rows with a header, whatever format the query has.
    pub async fn metrics_csv(&self, id: Uuid, query: &MetricsQuery) -> Result<String, ClientError> {
        let query = MetricsQuery { format: Some(Format::Csv), ..query.clone() };
        self.connection
            .get(&["v1", "runs", &id.to_string(), "metrics"])
            .query(&query)
            .accept("text/csv")
            .large()
            .text()
            .await
    }

    /// `GET /v1/runs/{id}/agents`.
    pub async fn agents(&self, id: Uuid, page: &PageQuery) -> Result<Page<AgentState>, ClientError> {
        self.connection.get(&["v1", "runs", &id.to_string(), "agents"]).query(page).answer().await
    }

    /// `GET /v1/runs/{id}/interventions`: those that the run received.
    pub async fn interventions(&self, id: Uuid, page: &PageQuery) -> Result<Page<Intervention>, ClientError> {
        self.connection.get(&["v1", "runs", &id.to_string(), "interventions"]).query(page).answer().await
    }

    /// `GET /v1/runs/{id}/checkpoints`.
    pub async fn checkpoints(&self, id: Uuid, page: &PageQuery) -> Result<Page<Checkpoint>, ClientError> {
        self.connection.get(&["v1", "runs", &id.to_string(), "checkpoints"]).query(page).answer().await
    }

    /// `GET /v1/runs/{id}/events`: its events as they happen, from the window after `after` on.
    pub async fn events(&self, id: Uuid, after: Option<u64>) -> Result<RunEvents, ClientError> {
        let (url, response) = self
            .connection
            .get(&["v1", "runs", &id.to_string(), "events"])
            .accept("text/event-stream")
            .last_event_id(after.map(|window| window.to_string()))
            .open()
            .await?;
        Ok(RunEvents::new(url, response))
    }
}
