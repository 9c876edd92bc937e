use bytes::Bytes;
use merkle_log::witness::AddCheckpoint;
use reqwest::StatusCode;

use crate::{ClientError, Endpoint, connection::Connection};

/// More than 64 lines of cosignatures, or a problem, do not have.
const LONGEST_ANSWER: usize = 512 << 10;

/// A client of a witness (C2SP tlog-witness), of this project or any other. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Witness {
    connection: Connection,
}

/// What a witness answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WitnessAnswer {
    /// Its signature lines, not yet verified.
    Cosigned(String),
    /// It cosigned another checkpoint last, of this size.
    Conflict(u64),
    /// It does not cosign.
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says about it.
        detail: String,
    },
}

impl Witness {
    /// A client of the witness whose submission prefix this endpoint is. It does not connect yet.
    ///
    /// # Errors
    /// The URL cannot be used.
    pub fn new(endpoint: Endpoint) -> Result<Self, ClientError> {
        Ok(Self { connection: Connection::new(None, endpoint)? })
    }

    /// The endpoint that it calls.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        self.connection.endpoint()
    }

    /// `POST <submission prefix>/add-checkpoint`. May be repeated.
    ///
    /// # Errors
    /// There is no answer, or none that a witness gives.
    pub async fn add_checkpoint(&self, request: &AddCheckpoint) -> Result<WitnessAnswer, ClientError> {
        let body = Bytes::from(request.to_text());
        let call = self.connection.post(&["add-checkpoint"]).accept("*/*");
        let (url, status, bytes) =
            call.body("text/plain; charset=utf-8", body).whatever(LONGEST_ANSWER).await?;
        let text = String::from_utf8_lossy(&bytes);
        let invalid = |detail: &str| ClientError::InvalidAnswer {
            url: url.clone(),
            status: status.as_u16(),
            detail: detail.to_owned(),
        };
        match status {
            StatusCode::OK => Ok(WitnessAnswer::Cosigned(text.into_owned())),
            StatusCode::CONFLICT => {
                let size = text.strip_suffix('\n').and_then(|size| size.parse().ok());
                size.map(WitnessAnswer::Conflict).ok_or_else(|| invalid("it is no tree's size"))
            }
            status if status.is_client_error() && status != StatusCode::REQUEST_TIMEOUT => {
                let problem = serde_json::from_slice::<api::Problem>(&bytes).map(|problem| problem.detail);
                let detail = problem.unwrap_or_else(|_| text.trim().chars().take(200).collect());
                Ok(WitnessAnswer::Refused { status: status.as_u16(), detail })
            }
            _ => Err(invalid("expected 200 or a refusal")),
        }
    }
}
