use api::{
    Page,
    psi_field::{
        DeletedSwarm, InterventionRecord, NewIntervention, Snapshot, Swarm, SwarmAnomaly, Window,
        WindowAnswer, WindowQuery,
    },
};

use crate::{ClientError, Endpoint, PageQuery, connection::Connection};

/// The psi-field's client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PsiField {
    connection: Connection,
}

/// Every call fails with a [`ClientError`] that says whether trying again can help.
#[allow(clippy::missing_errors_doc)] // said once above
impl PsiField {
    /// A client of the psi-field at this endpoint. It does not connect yet.
    ///
    /// # Errors
    /// The URL or the key cannot be used.
    pub fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        Ok(Self { connection: Connection::new(Some("psi-field"), endpoint)? })
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

    /// `POST /v1/swarms/{id}/windows`. The same window gets the same answer again, so the call may
    /// be repeated; another body under its number, or a gap, gets 409.
    pub async fn post_window(&self, swarm: &str, window: &Window) -> Result<WindowAnswer, ClientError> {
        self.connection.post(&["v1", "swarms", swarm, "windows"]).json(window).answer().await
    }

    /// `GET /v1/swarms/{id}/windows`: the answers, oldest first.
    pub async fn windows(&self, swarm: &str, query: &WindowQuery) -> Result<Page<WindowAnswer>, ClientError> {
        self.connection.get(&["v1", "swarms", swarm, "windows"]).query(query).answer().await
    }

    /// `GET /v1/swarms`.
    pub async fn swarms(&self, page: &PageQuery) -> Result<Page<Swarm>, ClientError> {
        self.connection.get(&["v1", "swarms"]).query(page).answer().await
    }

    /// `GET /v1/swarms/{id}`.
    pub async fn swarm(&self, swarm: &str) -> Result<Swarm, ClientError> {
        self.connection.get(&["v1", "swarms", swarm]).answer().await
    }

    /// `GET /v1/swarms/{id}/anomalies`, oldest first.
    pub async fn anomalies(&self, swarm: &str, page: &PageQuery) -> Result<Page<SwarmAnomaly>, ClientError> {
        self.connection.get(&["v1", "swarms", swarm, "anomalies"]).query(page).answer().await
    }

    /// `GET /v1/swarms/{id}/interventions`, oldest first.
    pub async fn interventions(
        &self,
        swarm: &str,
        page: &PageQuery,
    ) -> Result<Page<InterventionRecord>, ClientError> {
        self.connection.get(&["v1", "swarms", swarm, "interventions"]).query(page).answer().await
    }

    /// `POST /v1/swarms/{id}/interventions`: one by hand; the answer to the next window carries it.
    pub async fn post_intervention(
        &self,
        swarm: &str,
        intervention: &NewIntervention,
        idempotency_key: Option<&str>,
    ) -> Result<InterventionRecord, ClientError> {
        self.connection
            .post(&["v1", "swarms", swarm, "interventions"])
            .idempotency_key(idempotency_key)
            .json(intervention)
            .answer()
            .await
    }

    /// `POST /v1/swarms/{id}/end`: no window of the swarm comes any more. Saying so again changes nothing.
    pub async fn end_swarm(&self, swarm: &str) -> Result<Swarm, ClientError> {
        self.connection.post(&["v1", "swarms", swarm, "end"]).answer().await
    }

    /// `DELETE /v1/swarms/{id}`: what is in memory goes, what the ledger has stays. Saying so again changes nothing where there
    /// is a remembrancer, and gets 404 where there is none.
    pub async fn delete_swarm(&self, swarm: &str) -> Result<DeletedSwarm, ClientError> {
        self.connection.delete(&["v1", "swarms", swarm]).answer().await
    }

    /// `GET /v1/swarms/{id}/snapshot`: the field's whole state.
    pub async fn snapshot(&self, swarm: &str) -> Result<Snapshot, ClientError> {
        self.connection.get(&["v1", "swarms", swarm, "snapshot"]).answer().await
    }

    /// `PUT /v1/swarms/{id}/snapshot`: the field continues from this state.
    pub async fn put_snapshot(&self, swarm: &str, snapshot: &Snapshot) -> Result<Swarm, ClientError> {
        self.connection.put(&["v1", "swarms", swarm, "snapshot"]).json(snapshot).answer().await
    }

    /// `POST /v1/swarms/{id}/checkpoints`: makes a checkpoint of the state and returns it. Windows before it
    /// can no longer be repeated.
    pub async fn checkpoint(&self, swarm: &str) -> Result<Snapshot, ClientError> {
        self.connection.post(&["v1", "swarms", swarm, "checkpoints"]).answer().await
    }
}
