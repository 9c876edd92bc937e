use std::time::Duration;

use api::{
    Format, Hash, Page,
    remembrancer::{
        Artifact, BatchReceipts, Checkpoint, ConsistencyProof, ConsistencyQuery, Cosignatures,
        CosignedCheckpoint, DecisionBatch, DecisionQuery, DeletedDecisions, DeletionQuery, Evidence, Fence,
        FenceQuery, InclusionProof, LeafQuery, Lease, LeaseClaim, LeaseQuery, LeaseRelease, LeaseRenewal,
        LogKey, NewRecord, Record, RecordQuery, RecordReceipt, RecordedDecision, RunHead, TrustQuery,
        Verdict,
    },
};
use bytes::Bytes;
use reqwest::{Response, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::{
    ClientError, Endpoint,
    connection::{self, Connection},
};

/// The remembrancer's client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Remembrancer {
    connection: Connection,
    /// What appends are sent under.
    fence: FenceQuery,
}

/// Every call fails with a [`ClientError`] that says whether trying again can help.
#[allow(clippy::missing_errors_doc)] // said once above
impl Remembrancer {
    /// A client of the remembrancer at this endpoint. It does not connect yet.
    ///
    /// # Errors
    /// The URL or the key cannot be used.
    pub fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        Ok(Self {
            connection: Connection::new(Some("remembrancer"), endpoint)?,
            fence: FenceQuery::default(),
        })
    }

    /// The same client, whose decisions and records are refused (`lease_lost`) once a later claim of the lease was
    /// made, or this one was given back.
    #[must_use]
    pub fn fenced(&self, fence: &Fence) -> Self {
        Self { fence: fence.into(), ..self.clone() }
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

    /// `POST /v1/decisions`. The same batch gets the same receipts again, so the call may be
    /// repeated; another body under the same identity gets 409.
    pub async fn post_decisions(&self, batch: &DecisionBatch) -> Result<BatchReceipts, ClientError> {
        self.connection.post(&["v1", "decisions"]).query(&self.fence).json(batch).answer().await
    }

    /// [`Self::post_decisions`] with a batch that is JSON already.
    pub(crate) async fn post_encoded_decisions(&self, batch: Bytes) -> Result<BatchReceipts, ClientError> {
        let call = self.connection.post(&["v1", "decisions"]).query(&self.fence);
        call.body("application/json", batch).answer().await
    }

    /// `DELETE /v1/log/runs/{digest}/decisions`. May be repeated.
    pub async fn delete_decisions(
        &self,
        run: &Hash,
        query: &DeletionQuery,
    ) -> Result<DeletedDecisions, ClientError> {
        let run = run.to_string();
        self.connection.delete(&["v1", "log", "runs", &run, "decisions"]).query(query).answer().await
    }

    /// `GET /v1/decisions`.
    pub async fn decisions(&self, query: &DecisionQuery) -> Result<Page<RecordedDecision>, ClientError> {
        self.connection.get(&["v1", "decisions"]).query(query).answer().await
    }

    /// `GET /v1/decisions` as a stream of all matching decisions in this format; the query's own `format` is ignored.
    /// A stream takes neither `limit` nor `cursor`.
    pub async fn export_decisions(
        &self,
        query: &DecisionQuery,
        format: Format,
    ) -> Result<Export, ClientError> {
        let query = DecisionQuery { format: Some(format), ..query.clone() };
        let (url, response) =
            self.connection.get(&["v1", "decisions"]).accept("*/*").query(&query).open().await?;
        Ok(Export { url, response })
    }

    /// `GET /v1/log/runs/{digest}`: how far the run's decisions are in the log.
    pub async fn run_head(&self, run: &Hash) -> Result<RunHead, ClientError> {
        self.connection.get(&["v1", "log", "runs", &run.to_string()]).answer().await
    }

    /// `POST /v1/records`. A record with an id may be posted again; it gets the same receipt.
    pub async fn post_record(&self, record: &NewRecord) -> Result<RecordReceipt, ClientError> {
        self.post_record_once(record).await.map(|(receipt, _)| receipt)
    }

    /// The same; true when this call recorded it, false when it had been recorded before.
    pub async fn post_record_once(&self, record: &NewRecord) -> Result<(RecordReceipt, bool), ClientError> {
        let path = ["v1", "records"];
        let call = self.connection.post(&path).query(&self.fence).json(record);
        let (receipt, status): (RecordReceipt, StatusCode) = call.answer_with_status().await?;
        match &record.id {
            Some(id) if *id != receipt.id => Err(ClientError::InvalidAnswer {
                url: format!("{}/{}", self.endpoint().url.trim_end_matches('/'), path.join("/")),
                status: status.as_u16(),
                detail: format!("the receipt is of the record {}, not of {id}", receipt.id),
            }),
            _ => Ok((receipt, status == StatusCode::CREATED)),
        }
    }

    /// `GET /v1/records`.
    pub async fn records(&self, query: &RecordQuery) -> Result<Page<Record>, ClientError> {
        self.connection.get(&["v1", "records"]).query(query).answer().await
    }

    /// `GET /v1/records/{id}`.
    pub async fn record(&self, id: &str) -> Result<Record, ClientError> {
        self.connection.get(&["v1", "records", id]).answer().await
    }

    /// `POST /v1/leases/{name}/claim`. May be repeated; the answer that came last has the token that counts.
    pub async fn claim_lease(&self, name: &str, claim: &LeaseClaim) -> Result<Lease, ClientError> {
        self.connection.post(&["v1", "leases", name, "claim"]).json(claim).answer().await
    }

    /// `POST /v1/leases/{name}/renew`.
    pub async fn renew_lease(&self, name: &str, renewal: &LeaseRenewal) -> Result<Lease, ClientError> {
        self.connection.post(&["v1", "leases", name, "renew"]).json(renewal).answer().await
    }

    /// `POST /v1/leases/{name}/release`. May be repeated.
    pub async fn release_lease(&self, name: &str, release: &LeaseRelease) -> Result<Lease, ClientError> {
        self.connection.post(&["v1", "leases", name, "release"]).json(release).answer().await
    }

    /// `GET /v1/leases`.
    pub async fn leases(&self, query: &LeaseQuery) -> Result<Page<Lease>, ClientError> {
        self.connection.get(&["v1", "leases"]).query(query).answer().await
    }

    /// `GET /v1/leases/{name}`.
    pub async fn lease(&self, name: &str) -> Result<Lease, ClientError> {
        self.connection.get(&["v1", "leases", name]).answer().await
    }

    /// `PUT /v1/artifacts/{sha256}`, under the SHA-256 of the content. May be repeated.
    pub async fn put_artifact(
        &self,
        media_type: &str,
        content: impl Into<Bytes>,
    ) -> Result<Artifact, ClientError> {
        let content = content.into();
        let name = sha256(&content).to_string();
        self.connection.put(&["v1", "artifacts", &name]).body(media_type, content).large().answer().await
    }

    /// `GET /v1/artifacts/{sha256}`: the content, checked against its name.
    pub async fn artifact(&self, name: &Hash) -> Result<Bytes, ClientError> {
        let path = ["v1", "artifacts", &name.to_string()];
        let content = self.connection.get(&path).accept("*/*").large().bytes().await?;
        if sha256(&content) != *name {
            return Err(ClientError::InvalidAnswer {
                url: format!("{}/{}", self.endpoint().url.trim_end_matches('/'), path.join("/")),
                status: 200,
                detail: format!(
                    "the content's SHA-256 is {}, not the one it was asked for by",
                    sha256(&content)
                ),
            });
        }
        Ok(content)
    }

    /// `GET /v1/log/checkpoint`: the log's signed head.
    pub async fn log_checkpoint(&self) -> Result<Checkpoint, ClientError> {
        self.connection.get(&["v1", "log", "checkpoint"]).answer().await
    }

    /// `GET /v1/log/key`: the key that the log signs with.
    pub async fn log_key(&self) -> Result<LogKey, ClientError> {
        self.connection.get(&["v1", "log", "key"]).answer().await
    }

    /// `GET /v1/log/evidence`: all that is needed to verify one leaf offline.
    pub async fn evidence(&self, query: &LeafQuery) -> Result<Evidence, ClientError> {
        self.connection.get(&["v1", "log", "evidence"]).query(query).answer().await
    }

    /// `GET /v1/log/proofs/inclusion`.
    pub async fn inclusion_proof(&self, query: &LeafQuery) -> Result<InclusionProof, ClientError> {
        self.connection.get(&["v1", "log", "proofs", "inclusion"]).query(query).answer().await
    }

    /// `GET /v1/log/proofs/consistency`.
    pub async fn consistency_proof(&self, query: &ConsistencyQuery) -> Result<ConsistencyProof, ClientError> {
        self.connection.get(&["v1", "log", "proofs", "consistency"]).query(query).answer().await
    }

    /// `GET /v1/witness`: the other end's key as a witness, and the logs that it cosigns.
    pub async fn witness(&self) -> Result<api::remembrancer::Witness, ClientError> {
        self.connection.get(&["v1", "witness"]).answer().await
    }

    /// `GET /v1/log/tlog-proof`: as [`Self::evidence`], in the form of C2SP tlog-proof.
    pub async fn tlog_proof(&self, query: &LeafQuery) -> Result<String, ClientError> {
        self.connection.get(&["v1", "log", "tlog-proof"]).accept("*/*").query(query).text().await
    }

    /// `POST /v1/log/cosignatures`. May be repeated.
    pub async fn keep_cosignatures(
        &self,
        checkpoint: &CosignedCheckpoint,
    ) -> Result<Cosignatures, ClientError> {
        self.connection.post(&["v1", "log", "cosignatures"]).json(checkpoint).answer().await
    }

    /// `POST /v1/verify`, of evidence: by the log's own key, or by the one that the caller trusts.
    pub async fn verify(&self, evidence: &Evidence, trust: &TrustQuery) -> Result<Verdict, ClientError> {
        self.connection.post(&["v1", "verify"]).query(trust).json(evidence).answer().await
    }
}

/// A stream of decisions, in pieces of any length.
#[derive(Debug)]
pub struct Export {
    url: String,
    response: Response,
}

impl Export {
    /// The next piece; `None` after the last.
    ///
    /// # Errors
    /// The stream broke off, or was silent for a minute: what was read is incomplete.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        match tokio::time::timeout(LONGEST_SILENCE, self.response.chunk()).await {
            Ok(piece) => piece.map_err(|source| connection::failed(&self.url, LONGEST_SILENCE, source)),
            Err(_) => Err(ClientError::TimedOut { url: self.url.clone(), after: LONGEST_SILENCE }),
        }
    }
}

/// A database that takes longer for the next thousand rows is not going to answer.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

fn sha256(content: &[u8]) -> Hash {
    Hash(Sha256::digest(content).into())
}
