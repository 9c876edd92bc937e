//! Whether a promise was kept that decisions will be in the ledger: offline, from the promise and evidence of what stands there.

use std::path::Path;

use api::{
    Hash,
    deployments::{DeploymentDecisions, PromisedDecisions},
    remembrancer::Decision,
};
use chrono::DateTime;
use merkle_log::{
    evidence::Verified,
    note::{NoteError, VerifierKey},
    promise::{Promise, PromiseError},
};
use records::{
    Body as _,
    deployments::{Created, Opened},
};
use serde::Serialize;

use super::{Subject, json, shown, subject};
use crate::{
    exit::Answer,
    output::{say, say_json},
    verification::{Held, Judge, Judgement, Verdict},
};

/// What a promise is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Worth {
    /// All that was promised is in the log.
    Kept,
    /// Something else is where it was promised to be.
    Broken,
    /// It was promised, and what is given does not show what became of it.
    NotKnown,
    /// It is not signed as it says.
    NotValid,
    /// Nobody vouches for the key.
    UnknownKey,
    /// The file is no promise.
    NotEvidence,
}

/// What became of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    Kept,
    Broken,
    NotShown,
}

#[derive(Debug, Serialize)]
struct Leaf {
    sequence: u64,
    leaf_hash: Hash,
    found: Found,
    /// Where it is in the log, or what stands in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    found_leaf_hash: Option<Hash>,
}

#[derive(Debug, Serialize)]
struct Report {
    valid: bool,
    verdict: Worth,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    promised: Option<Promised>,
}

#[derive(Debug, Serialize)]
struct Promised {
    log: String,
    deployment: String,
    run: Hash,
    in_log_by: String,
    verifier_key: Option<String>,
    leaves: Vec<Leaf>,
}

/// A promise as a file has it.
struct File {
    note: String,
    /// The key that it names, which proves nothing.
    named: Option<VerifierKey>,
    promise: Promise,
}

/// Judges a promise by what the log is proved to have. An answer that is not about the promise, but about evidence that does not
/// hold, is the second one's: which file, and what it is worth.
pub(super) fn judge(
    bytes: &[u8],
    given: Option<&VerifierKey>,
    evidence: &[(&Path, Vec<u8>)],
    judge: &Judge<'_>,
) -> Result<PromiseVerdict, (usize, Box<Judgement>)> {
    let File { note, named, promise } = match read(bytes) {
        Ok(file) => file,
        Err(reason) => return Ok(PromiseVerdict::without(Worth::NotEvidence, reason)),
    };
    let mut held = Vec::new();
    for (position, (_, bytes)) in evidence.iter().enumerate() {
        let judged = match subject(bytes) {
            Ok(Subject::Evidence(evidence)) => judge.evidence(&evidence, None),
            Ok(Subject::Proof(proof)) if proof.entry().is_some() => {
                judge.tlog_proof(&proof, proof.entry().unwrap_or_default())
            }
            Ok(_) => {
                let reason = "expected evidence of a decision, with its record".to_owned();
                Judgement { verdict: Verdict::NotEvidence, reason, held: None }
            }
            Err((verdict, reason)) => Judgement { verdict, reason, held: None },
        };
        match judged.held {
            Some(one) if judged.verdict == Verdict::Valid => held.push(one),
            held => return Err((position, Box::new(Judgement { held, ..judged }))),
        }
    }
    let vouched = held.iter().find_map(|held| of_trainer(held, &promise));
    let (key, by) = match (given, &vouched) {
        (Some(key), _) => (Some(key), "given with --promise-key"),
        (None, Some(key)) => (Some(key), "the ledger names it as the trainer's"),
        (None, None) => (named.as_ref(), "not known"),
    };
    let is_known = given.is_some() || vouched.is_some();
    let signed = match key {
        Some(key) => Promise::verify(&note, key).map(drop),
        None => Ok(()),
    };
    if let Err(error) = signed {
        let reason = match error {
            PromiseError::Note(NoteError::NotSigned(key)) => {
                format!("it is not signed with the key {key} ({by})")
            }
            error => error.to_string(),
        };
        return Ok(PromiseVerdict::without(Worth::NotValid, reason));
    }
    let leaves: Vec<_> = promise.leaves.iter().map(|leaf| found(leaf, &promise, &held)).collect();
    let key_text = key.map(ToString::to_string);
    let (verdict, reason) = if is_known {
        sentence(&promise, &leaves)
    } else {
        let key = key_text.clone().unwrap_or_else(|| "of its signature".to_owned());
        let reason = format!(
            "nobody vouches for the key {key}: give it with --promise-key from a source that you trust, or beside the other evidence \
             that of the record `deployment.opened` in which the ledger names it"
        );
        (Worth::UnknownKey, reason)
    };
    let in_log_by = i64::try_from(promise.by_ms).ok().and_then(DateTime::from_timestamp_millis);
    let promised = Promised {
        log: promise.log,
        deployment: promise.deployment,
        run: Hash(promise.run),
        in_log_by: in_log_by.map_or_else(|| format!("{} ms", promise.by_ms), |by| by.to_rfc3339()),
        verifier_key: key_text,
        leaves,
    };
    let valid = verdict == Worth::Kept;
    Ok(PromiseVerdict(Report { valid, verdict, reason, promised: Some(promised) }, by))
}

/// What a promise is worth, and who vouches for its key.
pub(super) struct PromiseVerdict(Report, &'static str);

impl PromiseVerdict {
    fn without(verdict: Worth, reason: String) -> Self {
        Self(Report { valid: false, verdict, reason, promised: None }, "not known")
    }

    pub(super) fn tell(&self, file: &Path, as_json: bool) -> anyhow::Result<Answer> {
        if as_json {
            say_json(&self.0)?;
        } else {
            say(&self.sentences(&file.display().to_string()))?;
        }
        Ok(match self.0.verdict {
            Worth::Kept => Answer::Yes,
            Worth::Broken => Answer::Broken,
            Worth::NotKnown => Answer::NotKnown,
            Worth::NotValid => Answer::No,
            Worth::UnknownKey => Answer::UnknownKey,
            Worth::NotEvidence => Answer::NotEvidence,
        })
    }

    fn sentences(&self, file: &str) -> String {
        let Report { verdict, reason, promised, .. } = &self.0;
        let word = match verdict {
            Worth::Kept => "KEPT",
            Worth::Broken => "BROKEN",
            Worth::NotKnown => "NOT KNOWN",
            Worth::NotValid => "NOT VALID",
            Worth::UnknownKey => "UNKNOWN KEY",
            Worth::NotEvidence => "NOT EVIDENCE",
        };
        let plain = |text: &str| text.chars().flat_map(shown).collect::<String>();
        let mut lines = vec![format!("{word}: {file}: {}.", plain(reason))];
        if let Some(promised) = promised {
            lines.push(format!("  log   {}", plain(&promised.log)));
            lines.push(format!("  run   {} ({})", promised.run, plain(&promised.deployment)));
            lines.push(format!("  by    {}", promised.in_log_by));
            if let Some(key) = &promised.verifier_key {
                lines.push(format!("  key   {key}, {}", self.1));
            }
        }
        lines.join("\n")
    }
}

fn sentence(promise: &Promise, leaves: &[Leaf]) -> (Worth, String) {
    let of = |found| leaves.iter().filter(move |leaf| leaf.found == found);
    if let Some(Leaf { sequence, leaf_hash, found_leaf_hash, .. }) = of(Found::Broken).next() {
        let other = found_leaf_hash.map(|hash| hash.to_string()).unwrap_or_default();
        let reason = format!(
            "the decision {sequence} was promised with the leaf {leaf_hash}, and in the log {} stands the leaf {other}. Keep promise \
             and evidence: together they prove it",
            promise.log
        );
        return (Worth::Broken, reason);
    }
    let (kept, all) = (of(Found::Kept).count(), leaves.len());
    if kept == all {
        let what = if all == 1 { "1 decision".to_owned() } else { format!("{all} decisions") };
        return (Worth::Kept, format!("{what} of {}, in the log as promised", promise.deployment));
    }
    let first = of(Found::NotShown).next().map_or(0, |leaf| leaf.sequence);
    let reason = format!(
        "it was promised, and {kept} of {all} decisions are shown to be in the log. What became of the others is not known: give the \
         evidence of what the log has there, one file each (`mesh prove --run {} --sequence {first} --out decision.json`)",
        Hash(promise.run)
    );
    (Worth::NotKnown, reason)
}

/// What stands where a leaf was promised, as far as that is proved.
fn found((sequence, promised): &(u64, merkle_log::Hash), promise: &Promise, held: &[Held]) -> Leaf {
    let there = held.iter().filter(|held| held.checkpoint.origin == promise.log).find_map(|held| {
        let verified = held.leaf.as_ref()?;
        let decision = serde_json::from_str::<Decision>(&verified.record).ok()?;
        (decision.run == Hash(promise.run) && decision.sequence == *sequence).then_some(verified)
    });
    let (found, log_index, found_leaf_hash) = match there {
        None => (Found::NotShown, None, None),
        Some(Verified { leaf_hash, log_index, .. }) => {
            let found = if leaf_hash == promised { Found::Kept } else { Found::Broken };
            (found, Some(*log_index), Some(Hash(*leaf_hash)))
        }
    };
    Leaf { sequence: *sequence, leaf_hash: Hash(*promised), found, log_index, found_leaf_hash }
}

/// The key of the trainer that served the deployment, where this is evidence that the ledger has its name.
fn of_trainer(held: &Held, promise: &Promise) -> Option<VerifierKey> {
    if held.checkpoint.origin != promise.log {
        return None;
    }
    let record: serde_json::Value = serde_json::from_str(&held.leaf.as_ref()?.record).ok()?;
    if record.get("kind")?.as_str()? != Opened::KIND.name {
        return None;
    }
    let opened: Opened = serde_json::from_value(record.get("body")?.clone()).ok()?;
    let is_its = opened.deployment_id == Created::id_of(&promise.deployment);
    VerifierKey::parse(&opened.promises?).ok().filter(|_| is_its)
}

/// A promise: an answer of `POST /v1/deployments/{name}/decisions`, the `promise` in it, or the note alone.
fn read(bytes: &[u8]) -> Result<File, String> {
    let promised = match json::<DeploymentDecisions>(bytes) {
        Ok(answer) => answer
            .promise
            .ok_or("the answer promises nothing: its deployment answers once the ledger has it")?,
        Err(_) => match json::<PromisedDecisions>(bytes) {
            Ok(promised) => promised,
            Err(_) => {
                let note = std::str::from_utf8(bytes).map_err(|error| error.to_string())?.to_owned();
                let promise = claimed(&note)?;
                return Ok(File { note, named: None, promise });
            }
        },
    };
    let promise = claimed(&promised.note)?;
    Ok(File { note: promised.note, named: VerifierKey::parse(&promised.key).ok(), promise })
}

fn claimed(note: &str) -> Result<Promise, String> {
    Promise::claimed(note).map_err(|error| {
        format!("this is neither an answer that promises decisions nor the note in it: {error}")
    })
}
