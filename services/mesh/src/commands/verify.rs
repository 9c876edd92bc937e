use std::path::{Path, PathBuf};

use anyhow::Context as _;
use api::remembrancer::{Checkpoint as Head, ConsistencyProof, Evidence};
use clap::Args;
use merkle_log::{
    checkpoint::Checkpoint,
    note::VerifierKey,
    tlog_proof::{self, TlogProof},
};
use serde::{Serialize, de::DeserializeOwned};

mod promise;

use crate::{
    commands::witness::shown_time,
    exit::{Answer, usage},
    feeding::read_policy,
    files::{read, read_text},
    known_logs::{KnownLog, KnownLogs, KnownLogsArgs, Standing, Trusted},
    output::{note, say, say_json},
    verification::{Held, History, Judge, Judgement, Verdict, Vouched},
};

/// Verify offline that a record or a decision is in the ledger, or that the ledger only grew
///
/// Checks an evidence file (`ledger_receipt.json`, `decision_receipt.json`, or what the remembrancer answers at
/// /v1/log/evidence): the characters of the record, the inclusion proof, the signed checkpoint, and whether the key that
/// signed it is known. Also checks a checkpoint (/v1/log/checkpoint), or two of them with the proof that the later only
/// added to the earlier (/v1/log/proofs/consistency); and a proof of C2SP tlog-proof (/v1/log/tlog-proof), for the record that
/// it brings along or the one of --record. No service is called.
///
/// With --policy the checkpoint must also be cosigned by enough of the policy's witnesses, so that the log can have shown
/// nobody another history. The logs that the policy names are known keys, and the only ones.
///
/// With --promise it says of what a deployment promised before the ledger had it (`durability`: `promise`) whether that was kept, by
/// evidence of what stands in the log there: one file for each decision. That another decision stands there proves that the
/// promise was broken; that it is late cannot be proved, nor that nothing stands there.
///
/// A key is known when it is given with --key, or when the file of known logs has it: `mesh up` and `mesh train` remember
/// those of your own stacks there, and a command that talks to a running stack the log that it first meets at that address. The
/// key that a file brings along proves nothing. Of every known log the last checkpoint is remembered, and one that
/// contradicts it is not valid.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0  VALID: proved, by a key that is known
  1  NOT VALID: not proved, changed, signed with another key than the known one, cosigned by too few, or another history
     than was seen
  2  used wrongly
  3  a file cannot be read
  4  UNKNOWN KEY: the proof holds, but nobody vouches for its key
  5  NOT CANONICAL: another program has written the record's JSON anew; the log has it in other characters
  6  NOT EVIDENCE: the file is neither evidence nor a proof nor a checkpoint, or no promise
  7  BROKEN: something else stands in the log where a decision was promised to be
  8  NOT KNOWN: the promise was given, and what is shown does not say what became of it

With --promise, 0 is KEPT: all that was promised is in the log.

Examples:
  mesh verify out/ledger_receipt.json
  mesh verify out/decision_receipt.json --key \"$(cat log-key.pub)\"
  mesh verify evidence.json --trust
  mesh verify evidence.json --policy witnesses.policy
  mesh verify record.tlog-proof --policy witnesses.policy
  mesh verify out/ledger_receipt.json --record claimed-record.json --json
  mesh verify march.json april.json --proof consistency.json
  mesh verify --promise answer.json decision.json --promise-key \"$(cat promise-key.pub)\"")]
pub(crate) struct Verify {
    /// The evidence file, a proof, a checkpoint, or two checkpoints of one log
    #[arg(required_unless_present = "promise", num_args = 1.., value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Verify this promise by the evidence: an answer of POST /v1/deployments/{name}/decisions, or the note in it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["record", "proof", "trust"])]
    promise: Option<PathBuf>,
    /// The verifier key that the promise is signed with, from a source that you trust; else the evidence of a record
    /// `deployment.opened` has it
    #[arg(long, value_name = "VERIFIER_KEY", requires = "promise")]
    promise_key: Option<String>,
    /// The log's verifier key, `name+id+base64`, from a source that you trust
    #[arg(long, value_name = "VERIFIER_KEY")]
    key: Option<String>,
    /// The trust policy (C2SP tlog-policy): which logs are trusted, and how many of which witnesses must have cosigned
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Verify this record instead of the one in the evidence
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// The consistency proof between the two checkpoints, or between this one and the one that is remembered
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Trust the key from now on, if the proof holds: the one of --key, or else the one in the file when no log of its
    /// name is known yet
    #[arg(long)]
    trust: bool,
    #[command(flatten)]
    known: KnownLogsArgs,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// What a file can be.
enum Subject {
    Evidence(Evidence),
    Proof(TlogProof),
    Checkpoint(String),
}

/// The answer of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    valid: bool,
    verdict: Verdict,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verifier_key: Option<String>,
    /// `given`, `known` with what is known of it, `nobody`.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_vouched_for: Option<&'a Vouched>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proved: Option<Proved>,
    /// The witnesses of the trust policy that cosigned; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    cosigned_by: Option<Vec<CosignedBy>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<History>,
}

#[derive(Serialize)]
struct CosignedBy {
    witness: String,
    verifier_key: String,
    /// Seconds since 1970.
    time: u64,
}

#[derive(Serialize)]
struct Proved {
    tree_size: u64,
    root_hash: api::Hash,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leaf_hash: Option<api::Hash>,
}

impl Verify {
    /// Verifies and tells the verdict.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        let key = self.key.as_deref().map(|key| VerifierKey::parse(key.trim())).transpose();
        let key = key.map_err(|error| usage(format!("--key: {error}")))?;
        let policy = self.policy.as_deref().map(read_policy).transpose()?;
        if key.is_some() && policy.as_ref().is_some_and(|policy| !policy.logs().is_empty()) {
            return Err(usage(
                "--key: the trust policy names the logs that are trusted; expected one of the two",
            ));
        }
        if self.promise.is_none() && self.files.len() > 2 {
            return Err(usage("expected one file, or two checkpoints of one log"));
        }
        let contents = self.files.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
        let record = self.record.as_deref().map(read_text).transpose()?;
        let file = self.known.file()?;
        let known = file.read()?;
        let proof = match self.proof.as_deref() {
            None => None,
            Some(path) => match json::<ConsistencyProof>(&read(path)?) {
                Ok(proof) => Some(proof),
                Err(error) => {
                    let why = format!(
                        "this is no consistency proof, as /v1/log/proofs/consistency answers it: {error}"
                    );
                    let judged = Judgement { verdict: Verdict::NotEvidence, reason: why, held: None };
                    return self.tell(&judged, path, &known);
                }
            },
        };
        let judge = Judge {
            known: &known,
            given: key.as_ref(),
            policy: policy.as_ref(),
            first_use: self.trust,
            proof: proof.as_ref(),
        };
        if let Some(promise) = &self.promise {
            return self.promised(promise, contents, &judge);
        }
        let mut judged = Vec::new();
        for (path, bytes) in self.files.iter().zip(&contents) {
            let judgement = match subject(bytes) {
                Ok(Subject::Evidence(evidence)) if self.files.len() == 1 => {
                    judge.evidence(&evidence, record.as_deref())
                }
                Ok(Subject::Proof(proof)) if self.files.len() == 1 => {
                    match record.as_deref().or(proof.entry()) {
                        Some(record) => judge.tlog_proof(&proof, record),
                        None => {
                            let path = path.display();
                            return Err(usage(format!(
                                "{path} brings no record along: give it with --record"
                            )));
                        }
                    }
                }
                Ok(Subject::Checkpoint(note)) if record.is_none() => judge.checkpoint(&note),
                Ok(Subject::Evidence(_) | Subject::Proof(_)) => {
                    return Err(usage(format!(
                        "{}: expected two checkpoints, and this is evidence",
                        path.display()
                    )));
                }
                Ok(Subject::Checkpoint(_)) => {
                    return Err(usage(format!(
                        "--record: {} is a checkpoint and has no record",
                        path.display()
                    )));
                }
                Err((verdict, reason)) => Judgement { verdict, reason, held: None },
            };
            if judgement.verdict != Verdict::Valid {
                return self.tell(&judgement, path, &known);
            }
            judged.push(judgement);
        }
        let path = self.files.last().context("clap takes at least one file")?;
        let verdict = match &judged[..] {
            [one, other] => judge.growth(one, other).ok_or_else(|| needs_proof(one, other))?,
            _ => judged.pop().context("clap takes at least one file")?,
        };
        if let (Verdict::Valid, Some(held)) = (verdict.verdict, &verdict.held) {
            let was_given = matches!(held.vouched, Vouched::Given | Vouched::Policy);
            let trusted = self.trust.then_some(if was_given { Trusted::Given } else { Trusted::FirstUse });
            let remembered = matches!(known.standing(&held.key), Standing::Known(_)) || trusted.is_some();
            if remembered && let Err(error) = file.update(|known| held.remember(known, trusted)) {
                if trusted.is_some() {
                    return Err(error);
                }
                note(&format!("{error:#}")); // the proof holds nevertheless
            }
        }
        self.tell(&verdict, path, &known)
    }

    /// Judges a promise.
    fn promised(&self, promise: &Path, contents: Vec<Vec<u8>>, judge: &Judge<'_>) -> anyhow::Result<Answer> {
        let key = self.promise_key.as_deref().map(|key| VerifierKey::parse(key.trim())).transpose();
        let key = key.map_err(|error| usage(format!("--promise-key: {error}")))?;
        let evidence: Vec<_> = self.files.iter().map(PathBuf::as_path).zip(contents).collect();
        match promise::judge(&read(promise)?, key.as_ref(), &evidence, judge) {
            Ok(verdict) => verdict.tell(promise, self.json),
            Err((position, judged)) => self.tell(&judged, evidence[position].0, judge.known),
        }
    }

    fn tell(&self, judged: &Judgement, path: &Path, known: &KnownLogs) -> anyhow::Result<Answer> {
        if self.json {
            say_json(&report(judged))?;
        } else {
            say(&sentences(judged, &path.display().to_string(), known))?;
        }
        Ok(match judged.verdict {
            Verdict::Valid => Answer::Yes,
            Verdict::NotValid => Answer::No,
            Verdict::UnknownKey => Answer::UnknownKey,
            Verdict::NotCanonical => Answer::NotCanonical,
            Verdict::NotEvidence => Answer::NotEvidence,
        })
    }
}

fn sentences(judged: &Judgement, file: &str, known: &KnownLogs) -> String {
    let word = match judged.verdict {
        Verdict::Valid => "VALID",
        Verdict::NotValid => "NOT VALID",
        Verdict::UnknownKey => "UNKNOWN KEY",
        Verdict::NotCanonical => "NOT CANONICAL",
        Verdict::NotEvidence => "NOT EVIDENCE",
    };
    // what others wrote may not command the terminal
    let reason: String = judged.reason.chars().flat_map(shown).collect();
    let mut lines = vec![format!("{word}: {file}: {reason}.")];
    let Some(held) = &judged.held else { return lines.remove(0) };
    let Checkpoint { origin, size, root } = &held.checkpoint;
    match &held.leaf {
        Some(leaf) => {
            lines.push(format!("  log   {origin}, leaf {} of {size}", leaf.log_index));
            lines.push(format!("  leaf  {}", api::Hash(leaf.leaf_hash)));
        }
        None => lines.push(format!("  log   {origin}, {size} leaves")),
    }
    lines.push(format!("  root  {}", api::Hash(*root)));
    lines.push(format!("  key   {}, {}", held.key, vouched(held, known)));
    if !held.cosigned.is_empty() {
        let by = held.cosigned.iter().map(|by| format!("{} at {}", by.name, shown_time(by.time)));
        let by: String = by.collect::<Vec<_>>().join(", ").chars().flat_map(shown).collect();
        lines.push(format!("  cosigned by {by}"));
    }
    match held.history {
        History::Unseen => {}
        History::OneGrewFrom(leaves) => {
            lines.push(format!(
                "  grew  only, as far as is known: the {leaves} leaves that both have are the same"
            ));
        }
        History::NotShown(remembered) => {
            let (from, to) = (remembered.min(*size), remembered.max(*size));
            lines.push(format!(
                "  grew  not shown: {remembered} leaves of this log are remembered, and the file is of {size}. That one grew \
                 from the other is shown with --proof, by what a ledger answers at \
                 /v1/log/proofs/consistency?from={from}&to={to}"
            ));
        }
    }
    lines.join("\n")
}

fn vouched(held: &Held, known: &KnownLogs) -> String {
    match &held.vouched {
        Vouched::Given => match known.standing(&held.key) {
            Standing::Changed(others) => format!(
                "given with --key; careful, the log of this name is known here with {}",
                others.join(" and ")
            ),
            _ => "given with --key".into(),
        },
        Vouched::Policy => "a log of the trust policy".into(),
        Vouched::Known(KnownLog { trusted, since, .. }) => {
            let since = since.format("%Y-%m-%d");
            match trusted {
                Trusted::Own => format!("known since {since} as a stack's own"),
                Trusted::FirstUse => format!("trusted on first use, on {since}"),
                Trusted::Given => format!("known since {since}, as it was given"),
                Trusted::Rotated => format!("known since {since}, when a known key was rotated to it"),
            }
        }
        Vouched::FirstUse => "trusted on first use, from now on".into(),
        Vouched::Nobody => "not known".into(),
    }
}

/// A character as it may be shown.
fn shown(character: char) -> impl Iterator<Item = char> {
    let (plain, escaped) = if character.is_control() {
        (None, Some(character.escape_default()))
    } else {
        (Some(character), None)
    };
    plain.into_iter().chain(escaped.into_iter().flatten())
}

fn report(judged: &Judgement) -> Report<'_> {
    let held = judged.held.as_ref();
    Report {
        valid: judged.verdict == Verdict::Valid,
        verdict: judged.verdict,
        reason: &judged.reason,
        log: held.map(|held| held.checkpoint.origin.as_str()),
        verifier_key: held.map(|held| held.key.to_string()),
        key_vouched_for: held.map(|held| &held.vouched),
        proved: held.map(|held| Proved {
            tree_size: held.checkpoint.size,
            root_hash: api::Hash(held.checkpoint.root),
            log_index: held.leaf.as_ref().map(|leaf| leaf.log_index),
            leaf_hash: held.leaf.as_ref().map(|leaf| api::Hash(leaf.leaf_hash)),
        }),
        cosigned_by: held.filter(|held| !held.cosigned.is_empty()).map(|held| {
            let by = held.cosigned.iter().map(|by| CosignedBy {
                witness: by.name.clone(),
                verifier_key: by.key.to_string(),
                time: by.time,
            });
            by.collect()
        }),
        history: held.map(|held| held.history),
    }
}

/// What a file is: evidence, a proof, a checkpoint as the API answers it, or a checkpoint as it is signed; else what it is worth, and
/// why.
fn subject(bytes: &[u8]) -> Result<Subject, (Verdict, String)> {
    if let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.starts_with(tlog_proof::HEADER)) {
        return TlogProof::parse(text)
            .map(Subject::Proof)
            .map_err(|error| (Verdict::NotValid, error.to_string()));
    }
    let as_evidence = match json(bytes) {
        Ok(evidence) => return Ok(Subject::Evidence(evidence)),
        Err(error) => error,
    };
    if let Ok(Head { tree_size, root_hash, note }) = json(bytes) {
        return match Checkpoint::claimed(&note) {
            Ok(signed) if (signed.size, signed.root) == (tree_size, root_hash.0) => {
                Ok(Subject::Checkpoint(note))
            }
            Ok(_) => {
                Err((Verdict::NotValid, "its size and root are not those of the note that is signed".into()))
            }
            Err(error) => Err((Verdict::NotValid, error.to_string())),
        };
    }
    match std::str::from_utf8(bytes) {
        Ok(note) if Checkpoint::claimed(note).is_ok() => Ok(Subject::Checkpoint(note.to_owned())),
        _ if was_evidence(bytes) => {
            Err((Verdict::NotValid, format!("this was evidence, and is damaged: {as_evidence}")))
        }
        _ => {
            let why = "this is neither evidence, a proof nor a log's checkpoint: expected a file such as decision_receipt.json, \
                       which `mesh train` and `mesh prove` write";
            Err((Verdict::NotEvidence, format!("{why} ({as_evidence})")))
        }
    }
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    // as a text: a record's characters are taken from it
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn needs_proof(one: &Judgement, other: &Judgement) -> anyhow::Error {
    let size = |judged: &Judgement| judged.held.as_ref().map_or(0, |held| held.checkpoint.size);
    let (from, to) = (size(one).min(size(other)), size(one).max(size(other)));
    usage(format!(
        "two checkpoints of different sizes need the proof between them: give what the remembrancer answers at \
         /v1/log/proofs/consistency?from={from}&to={to} with --proof"
    ))
}

/// Whether most of the names that evidence has are in a file: a changed byte may have made it something that cannot be read.
fn was_evidence(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let names = ["record", "log_index", "inclusion_path", "checkpoint", "verifier_key"];
    names.iter().filter(|name| text.contains(&format!("\"{name}\""))).count() >= 4
}
