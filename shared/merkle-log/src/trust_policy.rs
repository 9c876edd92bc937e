//! Which checkpoints to trust (C2SP tlog-policy): the logs that are known, the witnesses that are known, and how many of them
//! must have cosigned. A policy is a file of lines; nothing in it is trusted by anybody but its reader.

mod parse;

pub use parse::{PolicyError, Problem};

use crate::{
    checkpoint::{Checkpoint, CheckpointError},
    cosignature::WitnessKey,
    note::{NoteError, SignedNote, VerifierKey},
};

/// A trust policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustPolicy {
    logs: Vec<KnownLog>,
    witnesses: Vec<KnownWitness>,
    /// In the order of the file: a group has only members from before.
    groups: Vec<Group>,
    /// `None`: no cosignature is needed.
    quorum: Option<Member>,
}

/// A log that is trusted, if its checkpoints are witnessed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLog {
    /// Its key, whose name is the log's.
    pub key: VerifierKey,
    /// Where it is, if the file says.
    pub url: Option<String>,
}

/// A witness that is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownWitness {
    /// What the file calls it. Bytes that are no UTF-8 are shown as U+FFFD.
    pub name: String,
    /// Its key.
    pub key: WitnessKey,
    /// Its submission prefix (C2SP tlog-witness), if the file says.
    pub url: Option<String>,
}

/// Witnesses of which some must have cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    name: String,
    threshold: usize,
    members: Vec<Member>,
}

/// What a group or the quorum is made of, by its place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// A checkpoint that the policy trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witnessed {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The log's key that signed it.
    pub log: VerifierKey,
    /// Who cosigned it, of the witnesses of the policy, in the order of the file.
    pub cosigned: Vec<CosignedBy>,
}

/// One witness's cosignature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosignedBy {
    /// What the policy calls the witness.
    pub name: String,
    /// Its key.
    pub key: WitnessKey,
    /// When it cosigned, in seconds since 1970, as it says.
    pub time: u64,
}

/// A checkpoint is not to be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// The checkpoint is malformed, or not signed by its log.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The policy knows no log of this name.
    #[error("the policy has no log {0:?}")]
    UnknownLog(String),
    /// A cosignature under a known witness's key does not hold.
    #[error("a cosignature does not hold: {0}")]
    Cosignature(NoteError),
    /// Too few witnesses cosigned.
    #[error("the quorum {quorum} did not cosign: {}", told(cosigned, missing))]
    Quorum {
        /// What the policy calls the quorum.
        quorum: String,
        /// The witnesses that cosigned.
        cosigned: Vec<String>,
        /// Those that did not.
        missing: Vec<String>,
    },
}

impl TrustPolicy {
    /// The logs.
    #[must_use]
    pub fn logs(&self) -> &[KnownLog] {
        &self.logs
    }

    /// The witnesses.
    #[must_use]
    pub fn witnesses(&self) -> &[KnownWitness] {
        &self.witnesses
    }

    /// Whether the witnesses for which `cosigned` is true are enough.
    pub fn is_quorum(&self, cosigned: impl Fn(&KnownWitness) -> bool) -> bool {
        let witnesses: Vec<bool> = self.witnesses.iter().map(cosigned).collect();
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        let counts = |member: &Member, groups: &[bool]| match *member {
            Member::Witness(at) => witnesses[at],
            Member::Group(at) => groups[at],
        };
        for group in &self.groups {
            let count = group.members.iter().filter(|member| counts(member, &groups)).count();
            groups.push(count >= group.threshold);
        }
        self.quorum.as_ref().is_none_or(|quorum| counts(quorum, &groups))
    }

    /// The cosignatures on a note that hold, by the witnesses of the policy. Those of others are passed over.
    ///
    /// # Errors
    /// One under a known witness's name and id does not hold.
    pub fn cosignatures(&self, note: &SignedNote) -> Result<Vec<CosignedBy>, NoteError> {
        let mut found = Vec::new();
        for KnownWitness { name, key, .. } in &self.witnesses {
            if let Some(cosignature) = key.cosignature(note)? {
                found.push(CosignedBy { name: name.clone(), key: key.clone(), time: cosignature.time });
            }
        }
        Ok(found)
    }

    /// Whether a signed checkpoint is to be trusted. `log` is the key that is trusted when the policy names no log: a policy
    /// may leave that to its reader.
    ///
    /// # Errors
    /// It is not; the error says why.
    pub fn verify(&self, checkpoint: &str, log: Option<&VerifierKey>) -> Result<Witnessed, Untrusted> {
        let note = SignedNote::parse(checkpoint).map_err(CheckpointError::from)?;
        let claimed = Checkpoint::parse_text(note.unverified_text())?;
        let given = log.filter(|_| self.logs.is_empty());
        let known = self.logs.iter().map(|log| &log.key).chain(given);
        let mut refused = Untrusted::UnknownLog(claimed.origin.clone());
        for key in known.filter(|key| key.name() == claimed.origin) {
            match note.verify(key) {
                Ok(_) => return self.witnessed(&note, claimed, key.clone()),
                Err(error) => refused = Untrusted::Checkpoint(error.into()),
            }
        }
        Err(refused)
    }

    fn witnessed(
        &self,
        note: &SignedNote,
        checkpoint: Checkpoint,
        log: VerifierKey,
    ) -> Result<Witnessed, Untrusted> {
        let cosigned = self.cosignatures(note).map_err(Untrusted::Cosignature)?;
        let has = |witness: &KnownWitness| cosigned.iter().any(|by| by.key == witness.key);
        if self.is_quorum(has) {
            return Ok(Witnessed { checkpoint, log, cosigned });
        }
        let missing = self.witnesses.iter().filter(|witness| !has(witness));
        Err(Untrusted::Quorum {
            quorum: self.quorum_name(),
            missing: missing.map(|witness| witness.name.clone()).collect(),
            cosigned: cosigned.into_iter().map(|by| by.name).collect(),
        })
    }

    /// What the file calls the quorum, and how many of how many a group needs.
    fn quorum_name(&self) -> String {
        match self.quorum {
            None => "none".into(),
            Some(Member::Witness(at)) => self.witnesses[at].name.clone(),
            Some(Member::Group(at)) => {
                let Group { name, threshold, members } = &self.groups[at];
                format!("{name} ({threshold} of {})", members.len())
            }
        }
    }
}

fn told(cosigned: &[String], missing: &[String]) -> String {
    let list = |names: &[String]| if names.is_empty() { "none".into() } else { names.join(", ") };
    format!("it has cosignatures of {}, and none of {}", list(cosigned), list(missing))
}

#[cfg(test)]
mod tests;
