use api::{
    Page,
    evaluator::{Evaluation, EvaluationQuery, EvaluationValues, NewEvaluation},
};
use uuid::Uuid;

use crate::{ClientError, Endpoint, connection::Connection};

/// The evaluator's client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Evaluator {
    connection: Connection,
}

/// Every call fails with a [`ClientError`] that says whether trying again can help.
#[allow(clippy::missing_errors_doc)] // said once above
impl Evaluator {
    /// A client of the evaluator at this endpoint. It does not connect yet.
    ///
    /// # Errors
    /// The URL or the key cannot be used.
    pub fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        Ok(Self { connection: Connection::new(Some("evaluator"), endpoint)? })
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

    /// `POST /v1/evaluations`. The same key gets the same evaluation again, so the call may be
    /// repeated.
    pub async fn create_evaluation(
        &self,
        evaluation: &NewEvaluation,
        idempotency_key: Option<&str>,
    ) -> Result<Evaluation, ClientError> {
        let call = self.connection.post(&["v1", "evaluations"]).idempotency_key(idempotency_key);
        call.json(evaluation).answer().await
    }

    /// `GET /v1/evaluations`, newest first.
    pub async fn evaluations(&self, query: &EvaluationQuery) -> Result<Page<Evaluation>, ClientError> {
        self.connection.get(&["v1", "evaluations"]).query(query).answer().await
    }

    /// `GET /v1/evaluations/{id}`.
    pub async fn evaluation(&self, id: Uuid) -> Result<Evaluation, ClientError> {
        self.connection.get(&["v1", "evaluations", &id.to_string()]).answer().await
    }

    /// `GET /v1/evaluations/{id}/results.csv`.
    pub async fn results_csv(&self, id: Uuid) -> Result<String, ClientError> {
        let call = self.connection.get(&["v1", "evaluations", &id.to_string(), "results.csv"]);
        call.accept("text/csv").text().await
    }

    /// `GET /v1/evaluations/{id}/values`.
    pub async fn values(&self, id: Uuid) -> Result<EvaluationValues, ClientError> {
        self.connection.get(&["v1", "evaluations", &id.to_string(), "values"]).answer().await
    }

    /// `GET /v1/evaluations/{id}/values.csv`.
    pub async fn values_csv(&self, id: Uuid) -> Result<String, ClientError> {
        let call = self.connection.get(&["v1", "evaluations", &id.to_string(), "values.csv"]);
        call.accept("text/csv").text().await
    }
}
