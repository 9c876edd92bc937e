//! A remembrancer's log as one who does not trust it reads it: by the key that it is known by, and against the last
//! checkpoint that was seen.

use api::remembrancer::{ConsistencyProof, ConsistencyQuery, Evidence, LeafQuery};
use merkle_log::{
    Hash,
    checkpoint::{Checkpoint, CheckpointError},
    evidence::{self, Verified, VerifyError},
    note::{KeyError, VerifierKey},
    proof::{ProofError, verify_consistency},
};
use records::Leaf;
use tokio_util::sync::CancellationToken;

use crate::{ClientError, Remembrancer, retry_while_transient};

/// A log that may only grow. What it shows is checked before it is given on.
#[derive(Clone, Debug)]
pub struct WatchedLog {
    remembrancer: Remembrancer,
    key: VerifierKey,
    head: Checkpoint,
    note: String,
    patient: bool,
}

/// Evidence that was checked, and what it proves.
#[derive(Clone, Debug)]
pub struct Proved {
    /// The evidence as the log gave it.
    pub evidence: Evidence,
    /// What it proves.
    pub verified: Verified,
}

/// The log cannot be believed, or not be asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The log's key is no key.
    #[error("the log's key: {0}")]
    Key(#[from] KeyError),
    /// The checkpoint is not signed by the log's key.
    #[error("the log's checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The log has lost leaves.
    #[error(
        "the log {log} had {before} leaves when it was last seen and has {now} now: its history was lost or replaced"
    )]
    Shrunk {
        /// Its name.
        log: String,
        /// Leaves that were seen.
        before: u64,
        /// Leaves that it shows.
        now: u64,
    },
    /// The log has other leaves than it had.
    #[error(
        "the log {log} does not begin with the {before} leaves that were seen in it: its history was rewritten ({cause})"
    )]
    Rewritten {
        /// Its name.
        log: String,
        /// Leaves that were seen.
        before: u64,
        /// What does not hold.
        cause: ProofError,
    },
    /// Evidence does not prove what it should.
    #[error("the log's evidence does not hold: {0}")]
    Evidence(#[from] VerifyError),
    /// Evidence is about something else.
    #[error("the log's evidence is of something else: expected {expected}, got {actual}")]
    OtherLeaf {
        /// What was asked for.
        expected: String,
        /// What it is about.
        actual: String,
    },
}

/// The key that a remembrancer says that its log signs with. Whether to trust it is the caller's to decide.
///
/// # Errors
/// There is no answer, or what came is no key.
pub async fn log_key(remembrancer: &Remembrancer) -> Result<VerifierKey, LogError> {
    Ok(VerifierKey::parse(&remembrancer.log_key().await?.verifier_key)?)
}

impl WatchedLog {
    /// Asks for the log's present head, which must be signed with `key` and go on from `last`.
    ///
    /// # Errors
    /// There is no answer; the head is not signed so, or the log does not begin with what was last seen of it.
    pub async fn open(
        remembrancer: Remembrancer,
        key: VerifierKey,
        last: Option<Checkpoint>,
    ) -> Result<Self, LogError> {
        let note = remembrancer.log_checkpoint().await?.note;
        let head = Checkpoint::verify(&note, &key)?;
        let begun = last.unwrap_or_else(|| head.clone());
        let mut log = Self { remembrancer, key, head: begun, note: note.clone(), patient: false };
        log.advance(&note).await?;
        Ok(log)
    }

    /// The same log, where every call is repeated while the remembrancer is away.
    #[must_use]
    pub fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The signed note of the last checkpoint that was seen and found to go on from all before it.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Asks for a leaf's evidence, which must prove that leaf under the log's key, in a tree that goes on from what was
    /// seen before, or, where an older tree was asked for, in one that what was seen goes on from.
    ///
    /// # Errors
    /// There is no answer, or one that cannot be believed.
    pub async fn evidence(&mut self, leaf: &LeafQuery) -> Result<Proved, LogError> {
        let evidence = self.ask(|| self.remembrancer.evidence(leaf)).await?;
        let path: Vec<Hash> = evidence.inclusion_path.iter().map(|hash| hash.0).collect();
        let (record, key) = (evidence.record.get(), self.key.to_string());
        let verified = evidence::verify(record, evidence.log_index, &path, &evidence.checkpoint, &key)?;
        is_about(leaf, &verified)?;
        let may_be_older = leaf.tree_size.is_some() || leaf.witnessed == Some(true);
        if may_be_older && verified.checkpoint.size < self.head.size {
            self.consistent(&verified.checkpoint, &self.head).await?;
        } else {
            self.advance(&evidence.checkpoint).await?;
        }
        Ok(Proved { evidence, verified })
    }

    /// Takes a signed checkpoint for the head, if it goes on from the one before.
    async fn advance(&mut self, note: &str) -> Result<(), LogError> {
        let next = Checkpoint::verify(note, &self.key)?;
        let (log, before, now) = (next.origin.clone(), self.head.size, next.size);
        if now < before {
            return Err(LogError::Shrunk { log, before, now });
        }
        self.consistent(&self.head, &next).await?;
        (self.head, self.note) = (next, note.to_owned());
        Ok(())
    }

    /// Asks for the proof that one tree of the log goes on from an older one.
    async fn consistent(&self, old: &Checkpoint, new: &Checkpoint) -> Result<(), LogError> {
        let (from, to) = (old.size, new.size);
        if from == 0 {
            return Ok(());
        }
        let path = if from < to {
            let query = ConsistencyQuery { from, to: Some(to) };
            let ConsistencyProof { path, .. } =
                self.ask(|| self.remembrancer.consistency_proof(&query)).await?;
            path.into_iter().map(|hash| hash.0).collect()
        } else {
            Vec::new()
        };
        verify_consistency(from, to, &old.root, &new.root, &path).map_err(|cause| LogError::Rewritten {
            log: new.origin.clone(),
            before: from,
            cause,
        })
    }

    async fn ask<T, Fut>(&self, call: impl FnMut() -> Fut) -> Result<T, ClientError>
    where
        Fut: Future<Output = Result<T, ClientError>>,
    {
        if !self.patient {
            let mut call = call;
            return call().await;
        }
        let never = CancellationToken::new();
        retry_while_transient(&never, call, |wait| tracing::warn!(error = %wait.error, "trying again")).await
    }
}

/// Whether what is proved is the leaf that was asked for.
fn is_about(leaf: &LeafQuery, verified: &Verified) -> Result<(), LogError> {
    let (expected, same) = match (leaf.log_index, &leaf.record, leaf.run, Leaf::read(&verified.record)) {
        (Some(index), ..) => (format!("leaf {index}"), verified.log_index == index),
        (_, Some(id), _, found) => {
            (format!("record {id}"), matches!(found, Some(Leaf::Record(record)) if record.id == *id))
        }
        (_, _, Some(run), found) => {
            let sequence = leaf.sequence.unwrap_or_default();
            let same = matches!(found, Some(Leaf::Decision(decision))
                if decision.run == run && decision.sequence == sequence);
            (format!("decision {sequence} of run {run}"), same)
        }
        _ => return Ok(()), // a question without a leaf, which no log answers
    };
    if same {
        Ok(())
    } else {
        Err(LogError::OtherLeaf { expected, actual: Leaf::describe(&verified.record) })
    }
}
