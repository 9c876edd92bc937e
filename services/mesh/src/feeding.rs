//! Feeding a log's witnesses for as long as a command runs.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::Context as _;
use client::{
    ClientError, Remembrancer,
    feeder::{FeedError, Round, WitnessFeeder},
};
use merkle_log::trust_policy::TrustPolicy;

use crate::{exit::usage, files::read};

/// The pause between two looks at the log's checkpoint, unless another is asked for.
pub(crate) const EVERY: Duration = Duration::from_secs(1);

/// What changed since the round before: told once, and not every second.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// What each witness last said no with, by its name; absent while it cosigns.
    refusals: BTreeMap<String, String>,
    away: Option<String>,
}

/// Something that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// All is well again.
    Good(String),
    /// It will be tried again.
    Bad(String),
    /// Somebody has to look into it.
    Alarm(String),
}

/// Reads a trust policy.
pub(crate) fn read_policy(path: &Path) -> anyhow::Result<TrustPolicy> {
    TrustPolicy::parse(&read(path)?).map_err(|error| usage(format!("{}: {error}", path.display())))
}

/// The feeder of a policy's witnesses.
pub(crate) fn feeder(log: &Remembrancer, policy: &TrustPolicy) -> anyhow::Result<WitnessFeeder> {
    WitnessFeeder::new(log.clone(), policy).context("the address of a witness in the policy")
}

/// Feeds until it is dropped.
pub(crate) async fn keep_feeding(mut feeder: WitnessFeeder, every: Duration, tell: fn(&News)) {
    let mut changes = Changes::default();
    loop {
        let fed = feeder.feed().await;
        changes.since(&fed).iter().for_each(tell);
        tokio::time::sleep(every).await;
    }
}

impl Changes {
    /// The news of a round.
    pub(crate) fn since(&mut self, fed: &Result<Round, ClientError>) -> Vec<News> {
        let round = match fed {
            Ok(round) => round,
            Err(error) => {
                let error = error.to_string();
                let same = self.away.as_ref() == Some(&error);
                self.away = Some(error.clone());
                let told = format!("the log's checkpoint cannot be had: {error}");
                return if same { Vec::new() } else { vec![News::Bad(told)] };
            }
        };
        let mut news = Vec::new();
        if self.away.take().is_some() {
            news.push(News::Good("the log answers again".into()));
        }
        for (name, asked) in &round.asked {
            match asked {
                Ok(_) => {
                    if self.refusals.remove(name).is_some() {
                        news.push(News::Good(format!("the witness {name} cosigns again")));
                    }
                }
                Err(FeedError::Overtaken) => {}
                Err(error) => {
                    let told = format!("the witness {name} does not cosign: {error}");
                    if self.refusals.get(name) != Some(&told) {
                        self.refusals.insert(name.clone(), told.clone());
                        news.push(if error.is_fork() { News::Alarm(told) } else { News::Bad(told) });
                    }
                }
            }
        }
        news
    }
}

impl News {
    /// Into the log, for a program that serves.
    pub(crate) fn trace(&self) {
        match self {
            Self::Good(text) => tracing::info!("{text}"),
            Self::Bad(text) => tracing::warn!("{text}"),
            Self::Alarm(text) => tracing::error!("{text}"),
        }
    }

    /// The sentence.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Good(text) | Self::Bad(text) | Self::Alarm(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use api::remembrancer::Checkpoint;

    use super::*;

    fn round(asked: Vec<(&str, Result<u64, FeedError>)>) -> Result<Round, ClientError> {
        let head = Checkpoint { tree_size: 7, root_hash: api::Hash([0; 32]), note: String::new() };
        let asked = asked.into_iter().map(|(name, fed)| (name.to_owned(), fed)).collect();
        Ok(Round { head, asked, quorum: None })
    }

    #[test]
    fn what_stays_as_it_is_is_told_once_and_a_fork_as_an_alarm() {
        let mut changes = Changes::default();
        let no = || Err(FeedError::Refused { status: 404, detail: "unknown".into() });
        let fork = || Err(FeedError::Forked { seen: 9 });
        assert_eq!(changes.since(&round(vec![("a", Ok(1)), ("b", Ok(1))])), []);
        assert!(matches!(changes.since(&round(vec![("a", no()), ("b", Ok(2))]))[..], [News::Bad(_)]));
        assert_eq!(changes.since(&round(vec![("a", no())])), []);
        assert!(matches!(changes.since(&round(vec![("a", fork())]))[..], [News::Alarm(_)]));
        assert_eq!(changes.since(&round(vec![("a", fork()), ("b", Err(FeedError::Overtaken))])), []);
        assert!(matches!(changes.since(&round(vec![("a", Ok(3))]))[..], [News::Good(_)]));
        let away = || Err(ClientError::Cancelled);
        assert!(matches!(changes.since(&away())[..], [News::Bad(_)]));
        assert_eq!(changes.since(&away()), []);
        assert!(matches!(changes.since(&round(vec![]))[..], [News::Good(_)]));
    }
}
