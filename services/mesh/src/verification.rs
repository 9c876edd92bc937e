//! What evidence and checkpoints are worth: by a key that is given or known, and against the checkpoint that is remembered
//! of their log. Nothing that they bring along vouches for them.

use api::remembrancer::{ConsistencyProof, Evidence};
use merkle_log::{
    EMPTY_ROOT, Hash,
    checkpoint::Checkpoint,
    evidence::{self, Verified, VerifyError},
    note::VerifierKey,
    proof::verify_consistency,
    tlog_proof::TlogProof,
    trust_policy::{CosignedBy, TrustPolicy},
};
use records::Leaf;
use serde::Serialize;

use crate::known_logs::{KnownLog, KnownLogs, Standing, Trusted};

/// The answers of `mesh verify`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Proved, by a key that is known.
    Valid,
    /// Not proved, or changed.
    NotValid,
    /// Proved by a key that nobody vouches for.
    UnknownKey,
    /// The log has it, but not in these characters.
    NotCanonical,
    /// Nothing that could be proved.
    NotEvidence,
}

/// Who vouches for a key.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Vouched {
    /// The user, on the command line.
    Given,
    /// The trust policy, which names its log.
    Policy,
    /// The file of known logs.
    Known(KnownLog),
    /// The user, who trusts the first key that is seen of this name.
    FirstUse,
    /// Nobody.
    Nobody,
}

/// A verdict, and why.
#[derive(Clone, Debug)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
    /// What holds under the key, when something does.
    pub(crate) held: Option<Held>,
}

/// What holds under a key.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) key: VerifierKey,
    pub(crate) vouched: Vouched,
    pub(crate) checkpoint: Checkpoint,
    /// The checkpoint as it was signed.
    pub(crate) note: String,
    /// The leaf, when it is evidence.
    pub(crate) leaf: Option<Verified>,
    /// Which witnesses of the trust policy cosigned, when there is one.
    pub(crate) cosigned: Vec<CosignedBy>,
    /// How it stands to the checkpoint that is remembered.
    pub(crate) history: History,
}

/// How a checkpoint stands to the one that is remembered of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum History {
    /// Nothing is remembered of this log.
    Unseen,
    /// The smaller of the two, of this many leaves, is the other's beginning.
    OneGrewFrom(u64),
    /// That was not shown: there is no proof between this one and that of so many leaves, which is remembered.
    NotShown(u64),
}

/// Whom the user trusts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge<'a> {
    pub(crate) known: &'a KnownLogs,
    pub(crate) given: Option<&'a VerifierKey>,
    /// What must have been cosigned, and by whom.
    pub(crate) policy: Option<&'a TrustPolicy>,
    /// Whether the first key of a name is trusted.
    pub(crate) first_use: bool,
    pub(crate) proof: Option<&'a ConsistencyProof>,
}

impl Judge<'_> {
    /// Judges evidence, for the record in it or for another text of it.
    pub(crate) fn evidence(&self, evidence: &Evidence, record: Option<&str>) -> Judgement {
        let brought = match VerifierKey::parse(&evidence.verifier_key) {
            Ok(key) => key,
            Err(error) => return not_valid(format!("verifier key: {error}")),
        };
        let of_policy = match self.log_of_policy(&evidence.checkpoint) {
            Ok(key) => key,
            Err(judged) => return *judged,
        };
        let (key, vouched) = match (of_policy, self.given, self.known.standing(&brought)) {
            (Some(key), ..) => (key, Vouched::Policy),
            (None, Some(given), _) => (given.clone(), Vouched::Given),
            (None, None, Standing::Known(log)) => (brought.clone(), Vouched::Known(log)),
            (None, None, Standing::Changed(others)) => return changed_key(&brought, &others),
            (None, None, Standing::Unknown) if self.first_use => (brought.clone(), Vouched::FirstUse),
            (None, None, Standing::Unknown) => (brought.clone(), Vouched::Nobody),
        };
        let path: Vec<Hash> = evidence.inclusion_path.iter().map(|hash| hash.0).collect();
        let record = record.unwrap_or_else(|| evidence.record.get());
        let verified =
            evidence::verify(record, evidence.log_index, &path, &evidence.checkpoint, &key.to_string());
        if brought != key && matches!(verified, Ok(_) | Err(VerifyError::NotCanonical(_))) {
            return not_valid(format!("it names the key {brought}, and is signed with {key}"));
        }
        self.proved(verified, key, vouched, &evidence.checkpoint)
    }

    /// Judges a proof file, for the record that it brings along or for another text of it. It names no key.
    pub(crate) fn tlog_proof(&self, proof: &TlogProof, record: &str) -> Judgement {
        let (key, vouched) = match self.signer_of(&proof.checkpoint) {
            Ok(signer) => signer,
            Err(judged) => return *judged,
        };
        self.proved(proof.verify(record, &key), key, vouched, &proof.checkpoint)
    }

    /// Judges a signed checkpoint.
    pub(crate) fn checkpoint(&self, note: &str) -> Judgement {
        let (key, vouched) = match self.signer_of(note) {
            Ok(signer) => signer,
            Err(judged) => return *judged,
        };
        match Checkpoint::verify(note, &key) {
            Ok(checkpoint) => {
                let told = format!("the log {} has {} leaves", checkpoint.origin, checkpoint.size);
                self.held(key, vouched, checkpoint, note, None, told)
            }
            Err(error) => not_valid(error.to_string()),
        }
    }

    /// What is worth that a record was verified under a key.
    fn proved(
        &self,
        verified: Result<Verified, VerifyError>,
        key: VerifierKey,
        vouched: Vouched,
        note: &str,
    ) -> Judgement {
        let (verified, canonical) = match verified {
            Ok(verified) => (verified, true),
            Err(VerifyError::NotCanonical(verified)) => (*verified, false),
            Err(error) => return not_valid(error.to_string()),
        };
        let told = Leaf::describe(&verified.record);
        let checkpoint = verified.checkpoint.clone();
        let judged = self.held(key, vouched, checkpoint, note, Some(verified), told);
        if canonical || judged.verdict != Verdict::Valid {
            return judged;
        }
        let reason = format!(
            "the record's text is not in canonical form (RFC 8785): another program has written it anew, and a changed one \
             could look like that. Written canonically it is in the log: {}. Get the file from the log again, and keep its \
             characters",
            judged.reason
        );
        Judgement { verdict: Verdict::NotCanonical, reason, ..judged }
    }

    /// The key of the log of the policy that signed a checkpoint; `None` without a policy, or when it names no log.
    fn log_of_policy(&self, note: &str) -> Result<Option<VerifierKey>, Box<Judgement>> {
        match self.policy.filter(|policy| !policy.logs().is_empty()) {
            None => Ok(None),
            Some(policy) => match policy.verify(note, None) {
                Ok(witnessed) => Ok(Some(witnessed.log)),
                Err(error) => Err(Box::new(not_valid(format!("the trust policy: {error}")))),
            },
        }
    }

    /// The key that a checkpoint is to be signed with: its log's, by the policy, as it was given, or as it is known.
    fn signer_of(&self, note: &str) -> Result<(VerifierKey, Vouched), Box<Judgement>> {
        let claimed = Checkpoint::claimed(note).map_err(|error| Box::new(not_valid(error.to_string())))?;
        if let Some(key) = self.log_of_policy(note)? {
            return Ok((key, Vouched::Policy));
        }
        if let Some(key) = self.given {
            return Ok((key.clone(), Vouched::Given));
        }
        let mut refused = None;
        for log in self.known.named(&claimed.origin) {
            let Ok(key) = VerifierKey::parse(&log.verifier_key) else { continue };
            match Checkpoint::verify(note, &key) {
                Ok(_) => return Ok((key, Vouched::Known(log.clone()))),
                Err(error) => refused = Some(error),
            }
        }
        Err(Box::new(match refused {
            Some(error) => not_valid(format!("{error}, which is how the log {} is known", claimed.origin)),
            None => Judgement {
                verdict: Verdict::UnknownKey,
                reason: format!(
                    "no key of the log {} is known here, so that nobody vouches for its signature. Give the key with --key",
                    claimed.origin
                ),
                held: None,
            },
        }))
    }

    /// Judges whether the later of two checkpoints goes on from the earlier. `None` when a proof is needed, and none was
    /// given.
    pub(crate) fn growth(&self, one: &Judgement, other: &Judgement) -> Option<Judgement> {
        for judged in [one, other] {
            if judged.verdict != Verdict::Valid {
                return Some(judged.clone());
            }
        }
        let (Some(a), Some(b)) = (&one.held, &other.held) else { return Some(one.clone()) };
        let (old, new) = if a.checkpoint.size <= b.checkpoint.size { (a, b) } else { (b, a) };
        if old.key != new.key {
            return Some(not_valid(format!("they are of two logs, {} and {}", old.key, new.key)));
        }
        let (from, to) = (old.checkpoint.size, new.checkpoint.size);
        match between(&old.checkpoint, &new.checkpoint, self.proof) {
            Err(why) => Some(not_valid(why)),
            Ok(true) => {
                let reason =
                    format!("the log {} only grew, from {from} to {to} leaves", new.checkpoint.origin);
                Some(Judgement { verdict: Verdict::Valid, reason, held: Some(new.clone()) })
            }
            Ok(false) => {
                let given = self.proof?;
                Some(not_valid(format!(
                    "the proof is of the sizes {} and {}: expected {from} and {to}",
                    given.from, given.to
                )))
            }
        }
    }

    /// What holds under a key, and what that is worth: whether somebody vouches for the key, and whether it agrees with
    /// what is remembered of the log.
    fn held(
        &self,
        key: VerifierKey,
        vouched: Vouched,
        checkpoint: Checkpoint,
        note: &str,
        leaf: Option<Verified>,
        told: String,
    ) -> Judgement {
        let cosigned = match self.policy.map(|policy| policy.verify(note, Some(&key))) {
            None => Vec::new(),
            Some(Ok(witnessed)) => witnessed.cosigned,
            Some(Err(error)) => return not_valid(format!("the trust policy: {error}")),
        };
        let remembered = match self.known.standing(&key) {
            Standing::Known(log) => log.head(&key).ok().flatten(),
            _ => None,
        };
        let history = match &remembered {
            None => History::Unseen,
            Some(head) => match between(head, &checkpoint, self.proof) {
                Err(why) => {
                    return not_valid(format!("it contradicts the checkpoint that is remembered: {why}"));
                }
                Ok(true) => History::OneGrewFrom(head.size.min(checkpoint.size)),
                Ok(false) => History::NotShown(head.size),
            },
        };
        let (verdict, reason) = match vouched {
            Vouched::Nobody => (
                Verdict::UnknownKey,
                format!(
                    "the proof holds under the key {key}, which came with it and is not known here: whoever made the file \
                     may have made the key. Compare it with the log's key from another source and give that with --key, \
                     or say --trust to trust this one from now on"
                ),
            ),
            _ => (Verdict::Valid, told),
        };
        let held = Held { key, vouched, checkpoint, note: note.to_owned(), leaf, cosigned, history };
        Judgement { verdict, reason, held: Some(held) }
    }
}

impl Held {
    /// Remembers what was judged valid: the key when it is to be `trusted` from now on, and the checkpoint when it is
    /// certain that it goes on from the one that is remembered.
    pub(crate) fn remember(&self, known: &mut KnownLogs, trusted: Option<Trusted>) {
        if let Some(trusted) = trusted {
            known.trust(&self.key, trusted, None);
        }
        if !matches!(self.history, History::NotShown(_)) {
            known.remember(&self.key, &self.note);
        }
    }
}

/// Whether one of two checkpoints of a log is the other's beginning: `Ok(false)` when there is no proof between them.
fn between(a: &Checkpoint, b: &Checkpoint, proof: Option<&ConsistencyProof>) -> Result<bool, String> {
    let (old, new) = if a.size <= b.size { (a, b) } else { (b, a) };
    if old.size == new.size {
        if old.root == new.root {
            return Ok(true);
        }
        return Err(format!(
            "two different trees of {} leaves are signed by the log {}, which shows different histories to different \
             people. Keep both checkpoints: together they prove it",
            old.size, old.origin
        ));
    }
    if old.size == 0 {
        return if old.root == EMPTY_ROOT {
            Ok(true)
        } else {
            Err("its empty tree has a root of its own".into())
        };
    }
    let Some(proof) = proof.filter(|proof| (proof.from, proof.to) == (old.size, new.size)) else {
        return Ok(false);
    };
    let path: Vec<Hash> = proof.path.iter().map(|hash| hash.0).collect();
    match verify_consistency(old.size, new.size, &old.root, &new.root, &path) {
        Ok(()) => Ok(true),
        Err(error) => Err(format!(
            "it is not proved that the log of {} leaves begins with that of {}: {error}",
            new.size, old.size
        )),
    }
}

fn changed_key(key: &VerifierKey, others: &[String]) -> Judgement {
    not_valid(format!(
        "it is signed in the name of the log {} with the key {key}, and that log is known here with {}. If you know that it \
         is another log of that name, or has a new key, give the key with --key",
        key.name(),
        others.join(" and ")
    ))
}

fn not_valid(reason: String) -> Judgement {
    Judgement { verdict: Verdict::NotValid, reason, held: None }
}
