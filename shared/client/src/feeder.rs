//! Brings a log's checkpoints to its witnesses, and their cosignatures back. The remembrancer calls nobody, so somebody
//! beside it does this; whoever it is, nothing depends on trusting it: witnesses verify the log's signature and proof, and
//! the log verifies the cosignatures.

use std::time::{Duration, Instant};

use api::remembrancer::{Checkpoint as Head, ConsistencyQuery, CosignedCheckpoint};
use futures_util::future::join_all;
use merkle_log::{
    note::{NoteError, SignedNote},
    trust_policy::{KnownWitness, TrustPolicy},
    witness::AddCheckpoint,
};

use crate::{ClientError, Endpoint, Remembrancer, Witness, witness::WitnessAnswer};

/// How often a witness is asked about one checkpoint: with what is remembered, with what it then says, and once more when
/// somebody else asked it meanwhile.
const TRIES: usize = 3;

/// How long a witness may take.
const WITNESS_TIMEOUT: Duration = Duration::from_secs(5);

/// A witness that does not answer is left alone for a while, first for so long, then twice as long, at most so long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The witnesses of one log.
#[derive(Debug)]
pub struct WitnessFeeder {
    log: Remembrancer,
    witnesses: Vec<Fed>,
}

/// What became of a checkpoint.
#[derive(Debug)]
pub struct Round {
    /// The checkpoint that was fed.
    pub head: Head,
    /// Each witness that was asked, by its name in the policy: when it cosigned, in seconds since 1970.
    pub asked: Vec<(String, Result<u64, FeedError>)>,
    /// Whether the log has enough cosignatures of it; `None` when this round brought none.
    pub quorum: Option<bool>,
}

/// A witness did not cosign, or the log did not take it.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// There is no answer, of the witness or of the log.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The witness does not take what it is sent.
    #[error("the witness answered {status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it says about it.
        detail: String,
    },
    /// The witness has seen another history of this log.
    #[error(
        "the witness cosigned another history of this log, of {seen} leaves: the log lost or changed its past, as when an \
         older backup was restored, or somebody else signs with its key"
    )]
    Forked {
        /// The size that it cosigned last.
        seen: u64,
    },
    /// The witness has seen more of the log than it has.
    #[error(
        "the witness cosigned {seen} leaves of this log, which has {has}: the log lost its last part, as when an older \
         backup was restored, or somebody else signs with its key"
    )]
    Ahead {
        /// The size that it cosigned last.
        seen: u64,
        /// The log's size.
        has: u64,
    },
    /// Another one asked for a later checkpoint meanwhile.
    #[error("the witness has cosigned a later checkpoint meanwhile")]
    Overtaken,
    /// The answer has no cosignature by the witness's key.
    #[error("the answer has no cosignature by the key that the policy has for the witness")]
    NoCosignature,
    /// The cosignature does not hold.
    #[error("the witness's answer: {0}")]
    BadCosignature(NoteError),
}

impl FeedError {
    /// Whether the log may have shown two histories: somebody has to look into it.
    #[must_use]
    pub fn is_fork(&self) -> bool {
        matches!(self, Self::Forked { .. } | Self::Ahead { .. })
    }
}

/// A witness, and what is known of it.
#[derive(Debug)]
struct Fed {
    known: KnownWitness,
    client: Witness,
    /// The size that it cosigned last, as it said.
    last: u64,
    /// The checkpoint that the log has its cosignature of.
    done: Option<(u64, api::Hash)>,
    pause: Duration,
    paused_until: Option<Instant>,
}

impl WitnessFeeder {
    /// Feeds those witnesses of the policy that have a URL.
    ///
    /// # Errors
    /// A URL cannot be used.
    pub fn new(log: Remembrancer, policy: &TrustPolicy) -> Result<Self, ClientError> {
        let with_url = policy.witnesses().iter().filter_map(|known| Some((known, known.url.as_ref()?)));
        let fed = with_url.map(|(known, url)| {
            let client = Witness::new(Endpoint::new(url).with_timeout(WITNESS_TIMEOUT))?;
            let known = known.clone();
            Ok(Fed { known, client, last: 0, done: None, pause: FIRST_PAUSE, paused_until: None })
        });
        Ok(Self { log, witnesses: fed.collect::<Result<_, ClientError>>()? })
    }

    /// How many witnesses there are.
    #[must_use]
    pub fn witnesses(&self) -> usize {
        self.witnesses.len()
    }

    /// Brings the log's present checkpoint to every witness that has not cosigned it, all of them the same one, and each
    /// cosignature to the log as it comes. A witness that lately did not answer is left out.
    ///
    /// # Errors
    /// The log does not say what its checkpoint is.
    pub async fn feed(&mut self) -> Result<Round, ClientError> {
        let head = self.log.log_checkpoint().await?;
        let (log, now) = (&self.log, Instant::now());
        let due = self.witnesses.iter_mut().filter(|fed| {
            let news = fed.done != Some((head.tree_size, head.root_hash));
            news && fed.paused_until.is_none_or(|until| until <= now)
        });
        let fed = join_all(due.map(async |fed| {
            let fed_one = fed.feed(log, &head).await;
            fed.remember(fed_one.as_ref().err());
            (fed.known.name.clone(), fed_one)
        }))
        .await;
        let quorums = fed.iter().filter_map(|(_, fed)| fed.as_ref().ok());
        let quorum = quorums.map(|(_, quorum)| *quorum).reduce(|one, other| one || other);
        let asked = fed.into_iter().map(|(name, fed)| (name, fed.map(|(time, _)| time))).collect();
        Ok(Round { head, asked, quorum })
    }
}

impl Fed {
    /// Asks for a cosignature and brings it to the log: its time, and whether the log has enough of them now.
    async fn feed(&mut self, log: &Remembrancer, head: &Head) -> Result<(u64, bool), FeedError> {
        let size = head.tree_size;
        for _ in 0..TRIES {
            if self.last > size {
                let has = log.log_checkpoint().await?.tree_size;
                let seen = self.last;
                return Err(if has < seen { FeedError::Ahead { seen, has } } else { FeedError::Overtaken });
            }
            let old = self.last;
            let request =
                AddCheckpoint { old, proof: proof(log, old, size).await?, checkpoint: head.note.clone() };
            match self.client.add_checkpoint(&request).await? {
                WitnessAnswer::Cosigned(lines) => {
                    self.last = size;
                    let checkpoint = format!("{}{lines}", head.note);
                    let note = SignedNote::parse(&checkpoint).map_err(FeedError::BadCosignature)?;
                    let cosignature = self.known.key.cosignature(&note).map_err(FeedError::BadCosignature)?;
                    let cosignature = cosignature.ok_or(FeedError::NoCosignature)?;
                    let kept = log.keep_cosignatures(&CosignedCheckpoint { checkpoint }).await?;
                    self.done = Some((size, head.root_hash));
                    return Ok((cosignature.time, kept.quorum));
                }
                // What was sent went on from there, and it is another tree of that size.
                WitnessAnswer::Conflict(seen) if seen == old => return Err(FeedError::Forked { seen }),
                WitnessAnswer::Conflict(seen) => self.last = seen,
                WitnessAnswer::Refused { status: 422, .. } => return Err(FeedError::Forked { seen: old }),
                WitnessAnswer::Refused { status, detail } => {
                    return Err(FeedError::Refused { status, detail });
                }
            }
        }
        Err(FeedError::Overtaken)
    }

    /// Leaves a witness alone that did not answer, or will answer the same again.
    fn remember(&mut self, error: Option<&FeedError>) {
        if matches!(error, None | Some(FeedError::Overtaken)) {
            (self.pause, self.paused_until) = (FIRST_PAUSE, None);
        } else {
            self.paused_until = Some(Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }
}

async fn proof(log: &Remembrancer, from: u64, to: u64) -> Result<Vec<merkle_log::Hash>, ClientError> {
    if from == 0 || from == to {
        return Ok(Vec::new());
    }
    let proof = log.consistency_proof(&ConsistencyQuery { from, to: Some(to) }).await?;
    Ok(proof.path.into_iter().map(|hash| hash.0).collect())
}
