//! The log of the remembrancer that a command talks to, checked against the logs that are known.

use anyhow::anyhow;
use api::remembrancer::LeafQuery;
use client::{
    Remembrancer, WatchedLog,
    watched_log::{LogError, Proved, log_key},
};
use merkle_log::note::VerifierKey;
use records::{Body as _, log::KeyRotated};
use tokio::sync::Mutex;

use crate::{
    exit::line,
    known_logs::{KnownLog, KnownLogs, KnownLogsFile, Standing, Trusted},
    remote::ledger_error,
    training::outcome::quoted,
};

/// A log that is known, and what is remembered of it.
pub(crate) struct KnownLedger {
    remembrancer: Remembrancer,
    log: Mutex<WatchedLog>,
    file: KnownLogsFile,
    tell: Tell,
}

/// Where to say what the user should know.
pub(crate) type Tell = fn(&str);

impl KnownLedger {
    /// Meets the remembrancer's log: its key must be known, or be the first of its name at that address, or one that a known
    /// key was rotated to, and the log must go on from what was last seen of it. A stack of this process's own is known by being its own.
    ///
    /// # Errors
    /// There is no answer; the key is another than the known one; the log lost or rewrote its history.
    pub(crate) async fn meet(
        remembrancer: &Remembrancer,
        file: KnownLogsFile,
        own: bool,
        tell: Tell,
    ) -> anyhow::Result<Self> {
        let refused = |error| told(remembrancer, &file, error);
        // before the log is asked, which only grows
        let known = file.read()?;
        let key = log_key(remembrancer).await.map_err(refused)?;
        let (last, trust) = match known.standing(&key) {
            Standing::Known(log) => (log.head(&key)?, None),
            Standing::Unknown if !own => (None, Some(Trusted::FirstUse)),
            Standing::Changed(_) if !own => match former(remembrancer, &known, &key).await? {
                Some((former, log)) => (log.head(&former)?, Some(Trusted::Rotated)),
                // Whoever makes a log gives it the same name unless told otherwise: elsewhere there may be another one.
                None => match known.met_at(address(remembrancer), key.name()) {
                    others if others.is_empty() => (None, Some(Trusted::FirstUse)),
                    others => return Err(changed(remembrancer, &key, &others, &file)),
                },
            },
            _ => (None, Some(Trusted::Own)),
        };
        let log = WatchedLog::open(remembrancer.clone(), key, last).await.map_err(refused)?;
        let met = (!own).then(|| address(remembrancer).to_owned());
        if let Some(trusted) = trust {
            tell(&introduction(&log, &file, trusted));
        }
        remember(&log, &file, trust.map(|trusted| (trusted, met)), tell);
        Ok(Self { remembrancer: remembrancer.clone(), log: Mutex::new(log.patient()), file, tell })
    }

    /// The evidence for a leaf, proved under the known key in a log that only grew.
    ///
    /// # Errors
    /// There is no answer, or it cannot be believed.
    pub(crate) async fn evidence(&self, leaf: &LeafQuery) -> anyhow::Result<Proved> {
        let mut log = self.log.lock().await;
        let proved = log.evidence(leaf).await.map_err(|error| told(&self.remembrancer, &self.file, error))?;
        remember(&log, &self.file, None, self.tell);
        Ok(proved)
    }
}

/// The known key from which the log came to this one, by as many rotations as there were: each of the keys vouched for
/// the next. Whoever answers can leave the records out, but not make them up.
async fn former(
    remembrancer: &Remembrancer,
    known: &KnownLogs,
    key: &VerifierKey,
) -> anyhow::Result<Option<(VerifierKey, KnownLog)>> {
    let mut keys = vec![key.clone()];
    loop {
        let new = &keys[keys.len() - 1];
        let record = match remembrancer.record(&KeyRotated::id_of(new)).await {
            Ok(record) => record,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(ledger_error(remembrancer, error)),
        };
        let rotated = KeyRotated::read(&record).ok();
        let Some((former, _)) = rotated.and_then(|rotated| rotated.vouched_for(new)) else { return Ok(None) };
        if let Standing::Known(log) = known.standing(&former) {
            return Ok(Some((former, log)));
        }
        if keys.contains(&former) {
            return Ok(None);
        }
        keys.push(former);
    }
}

/// What was seen is remembered. A file that cannot be written is no reason to lose what the command is for.
fn remember(log: &WatchedLog, file: &KnownLogsFile, trust: Option<(Trusted, Option<String>)>, tell: Tell) {
    let remembered = file.update(|known| {
        trust.into_iter().for_each(|(trusted, address)| known.trust(log.key(), trusted, address));
        known.remember(log.key(), log.note());
    });
    if let Err(error) = remembered {
        tell(&line(&error));
    }
}

/// Where it is asked.
fn address(remembrancer: &Remembrancer) -> &str {
    remembrancer.endpoint().url.trim_end_matches('/')
}

fn introduction(log: &WatchedLog, file: &KnownLogsFile, trusted: Trusted) -> String {
    let why = match trusted {
        Trusted::Own => "as this stack's own",
        Trusted::Rotated => "under another key, for which the known one vouched when it was rotated",
        _ => "on first use: compare the key with one from another source",
    };
    format!(
        "the log {} is trusted from now on, {why} ({}, remembered in {})",
        log.key().name(),
        log.key(),
        file.path().display()
    )
}

fn changed(
    remembrancer: &Remembrancer,
    key: &VerifierKey,
    others: &[String],
    file: &KnownLogsFile,
) -> anyhow::Error {
    let url = address(remembrancer);
    anyhow!(
        "the log {} at {url} has the key {key}, and was met there with {}: somebody else may answer there now. If you know that \
         it is another log, or has a new key, say so: `curl -s {url}/v1/log/checkpoint -o checkpoint.json`, then `mesh \
         verify checkpoint.json --trust --key {key} --known-logs {}`",
        key.name(),
        others.join(" and "),
        quoted(&file.path().display().to_string())
    )
}

/// What is wrong with a log, and what to do about it.
fn told(remembrancer: &Remembrancer, file: &KnownLogsFile, error: LogError) -> anyhow::Error {
    match error {
        LogError::Client(error) => ledger_error(remembrancer, error),
        error @ (LogError::Shrunk { .. } | LogError::Rewritten { .. }) => anyhow!(
            "{error}. If you know why, as when a database was restored or made anew, remove that log from {} and it is \
             met as a new one",
            file.path().display()
        ),
        error => anyhow::Error::new(error)
            .context(format!("the log at {} cannot be believed", remembrancer.endpoint().url)),
    }
}
