use std::io::{self, Write as _};

use anyhow::Context as _;
use api::{
    Format, Hash,
    remembrancer::{Action, DecisionQuery, Record, RecordKind, RecordQuery, RecordedDecision},
};
use clap::Args;
use client::Remembrancer;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{
    exit::{Answer, usage},
    hints,
    output::{figure, note, say, say_json, table, written},
    remote::{LedgerArgs, ledger_error},
    runtime,
};

mod matched;

use matched::matched;

/// Search a running stack's ledger: records by words, decisions by columns
///
/// Records that contain all the words, in any inflection, are listed with the best match first. "A phrase" is put in
/// quotes, `or` between alternatives, `-` before a word that must be absent. With --decisions the routing decisions
/// themselves are listed: those that match all filters.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  mesh query \"ai-mesh routing decisions\"
  mesh query deployment --kind deployment --json
  mesh query --decisions --run 01936c1e-5f6a-7c3e-9d55-0a9e1d0f6b21 --provider aws --limit 50
  mesh query --decisions --action drop --json | jq .reason
  mesh query --decisions --tenant acme --csv > acme.csv")]
pub(crate) struct Query {
    /// Words to search records for
    #[arg(value_name = "TEXT", required_unless_present_any = ["decisions", "kind", "subject"], conflicts_with = "decisions")]
    text: Option<String>,
    /// List decisions instead of records
    #[arg(long)]
    decisions: bool,
    #[command(flatten)]
    records: RecordFilters,
    #[command(flatten)]
    filters: DecisionFilters,
    /// At most this many [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: Option<u32>,
    /// Print records as one JSON object, as the API shows them; or all matching decisions, one JSON object per line
    #[arg(long)]
    json: bool,
    /// Print all matching decisions as CSV
    #[arg(long, requires = "decisions", conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Records")]
struct RecordFilters {
    /// Only this kind and its special cases, e.g. run for run.created, run.ended and the others
    #[arg(long, value_name = "KIND", long_help = kind_help(), conflicts_with = "decisions")]
    kind: Option<RecordKind>,
    /// Only records about this subject, such as component:ai-mesh-training
    #[arg(long, value_name = "SUBJECT", conflicts_with = "decisions")]
    subject: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Decisions (with --decisions)")]
struct DecisionFilters {
    /// Only decisions of this run, named by its digest or its id
    #[arg(long, value_name = "RUN", requires = "decisions", value_parser = run_key)]
    run: Option<RunKey>,
    /// Only decisions of this episode
    #[arg(long, value_name = "N", requires = "decisions")]
    episode: Option<u32>,
    /// Only decisions of this step
    #[arg(long, value_name = "N", requires = "decisions")]
    step: Option<u32>,
    /// Only decisions of this agent
    #[arg(long, value_name = "N", requires = "decisions")]
    agent: Option<u32>,
    /// Only decisions for this tenant
    #[arg(long, value_name = "NAME", requires = "decisions")]
    tenant: Option<String>,
    /// Only decisions that chose this provider
    #[arg(long, value_name = "NAME", requires = "decisions")]
    provider: Option<String>,
    /// Only decisions with this action: route, hold or drop
    #[arg(long, value_name = "ACTION", requires = "decisions", value_parser = named::<Action>)]
    action: Option<Action>,
    /// Only decisions from this sequence number of the run on
    #[arg(long, value_name = "N", requires = "decisions")]
    from_sequence: Option<u64>,
}

/// A run by what its decisions carry, or by what the trainer calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunKey {
    Digest(Hash),
    Id(Uuid),
}

impl Query {
    /// Searches.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        let remembrancer = self.ledger.remembrancer()?;
        // clap drops `requires` beside an argument that conflicts with what is required
        if !self.decisions && self.filters != DecisionFilters::default() {
            return Err(usage("these filters are for decisions: give --decisions in place of the words"));
        }
        if self.decisions && (self.json || self.csv) && self.limit.is_some() {
            return Err(usage("--limit is for the table: --json and --csv print all matching decisions"));
        }
        runtime::block_on("error", async {
            self.ledger.meet(&remembrancer).await?;
            if self.decisions {
                self.decisions(&remembrancer).await?;
            } else {
                self.records(&remembrancer).await?;
            }
            Ok(Answer::Yes)
        })
    }

    async fn records(&self, remembrancer: &Remembrancer) -> anyhow::Result<()> {
        let query = RecordQuery {
            q: self.text.clone(),
            kind: self.records.kind.clone(),
            subject: self.records.subject.clone(),
            newest_first: self.text.is_none().then_some(true),
            limit: Some(self.limit()),
            ..RecordQuery::default()
        };
        let page = remembrancer.records(&query).await.map_err(|error| match error.problem() {
            // what no index can look for is a wrong question, not a failure
            Some(problem) if problem.status == 422 => usage(problem.detail.clone()),
            _ => ledger_error(remembrancer, error),
        })?;
        if self.json {
            return say_json(&page);
        }
        if page.items.is_empty() {
            return say("no records");
        }
        let query = self.text.as_deref();
        let mut header = RECORD_HEADER.to_vec();
        if query.is_some() {
            header.insert(1, "text that matches");
        }
        say(&table(&header, page.items.iter().map(|record| record_row(record, query))))?;
        if let Some(run) = page.items.iter().find_map(digest) {
            note(&format!(
                "the decisions of a run: {}",
                hints::command(&format!("query --decisions --run {run}"))
            ));
        }
        self.more(page.next_cursor.is_some());
        Ok(())
    }

    async fn decisions(&self, remembrancer: &Remembrancer) -> anyhow::Result<()> {
        let mut query = self.filters.query(remembrancer).await?;
        if self.json {
            return stream(remembrancer, &query, Format::Ndjson).await;
        }
        if self.csv {
            return stream(remembrancer, &query, Format::Csv).await;
        }
        query.limit = Some(self.limit());
        let page = remembrancer.decisions(&query).await.map_err(|error| ledger_error(remembrancer, error))?;
        if page.items.is_empty() {
            return say("no decisions");
        }
        say(&table(&DECISION_HEADER, page.items.iter().map(decision_row)))?;
        self.more(page.next_cursor.is_some());
        Ok(())
    }

    fn limit(&self) -> u32 {
        self.limit.unwrap_or(20)
    }

    fn more(&self, more: bool) {
        if more {
            note(&format!("these are the first {}; there are more (--limit, --json)", self.limit()));
        }
    }
}

impl DecisionFilters {
    async fn query(&self, remembrancer: &Remembrancer) -> anyhow::Result<DecisionQuery> {
        let run = match self.run {
            None => None,
            Some(RunKey::Digest(digest)) => Some(digest),
            Some(RunKey::Id(id)) => Some(digest_of(remembrancer, id).await?),
        };
        Ok(DecisionQuery {
            run,
            episode: self.episode,
            step: self.step,
            agent: self.agent,
            tenant: self.tenant.clone(),
            provider: self.provider.clone(),
            action: self.action,
            from_sequence: self.from_sequence,
            ..DecisionQuery::default()
        })
    }
}

/// The digest of a run, as the ledger's records of it say.
async fn digest_of(remembrancer: &Remembrancer, run: Uuid) -> anyhow::Result<Hash> {
    let query =
        RecordQuery { subject: Some(records::run::subject(run)), limit: Some(1), ..RecordQuery::default() };
    let page = remembrancer.records(&query).await.map_err(|error| ledger_error(remembrancer, error))?;
    page.items
        .first()
        .and_then(digest)
        .with_context(|| format!("the ledger has no record of the run {run}; `mesh runs` lists the runs"))
}

/// Writes all decisions that match to standard output as they come.
async fn stream(remembrancer: &Remembrancer, query: &DecisionQuery, format: Format) -> anyhow::Result<()> {
    let mut export = remembrancer
        .export_decisions(query, format)
        .await
        .map_err(|error| ledger_error(remembrancer, error))?;
    let mut output = io::stdout().lock();
    while let Some(piece) =
        export.next().await.context("the stream of decisions broke off; what was printed is incomplete")?
    {
        written(output.write_all(&piece).and_then(|()| output.flush()))?;
    }
    Ok(())
}

/// The most important columns first.
const RECORD_HEADER: [&str; 5] = ["record", "recorded (UTC)", "kind", "subject", "log index"];

fn record_row(record: &Record, query: Option<&str>) -> Vec<String> {
    let mut row = vec![
        record.id.clone(),
        record.recorded_at.format("%Y-%m-%d %H:%M:%S").to_string(),
        record.kind.to_string(),
        record.subject.clone(),
        record.log_index.to_string(),
    ];
    if let Some(query) = query {
        // one that a dictionary found by a word that is not written there has none
        row.insert(1, matched(record, query).unwrap_or_default());
    }
    row
}

/// The most important columns first.
const DECISION_HEADER: [&str; 13] = [
    "log index",
    "run",
    "sequence",
    "tenant",
    "action",
    "provider",
    "reward",
    "workload",
    "agent",
    "episode",
    "step",
    "cost USD",
    "latency ms",
];

fn decision_row(recorded: &RecordedDecision) -> Vec<String> {
    let decision = &recorded.decision;
    vec![
        recorded.log_index.to_string(),
        decision.run.to_string()[..8].to_owned(), // hex digits
        decision.sequence.to_string(),
        decision.tenant.clone(),
        wire_name(&decision.action),
        decision.provider.clone().unwrap_or_else(|| format!("- ({})", decision.reason)),
        format!("{:.3}", decision.reward),
        decision.workload.clone(),
        decision.agent.to_string(),
        decision.episode.to_string(),
        decision.step.to_string(),
        figure(decision.cost_usd, 2),
        figure(decision.latency_ms, 0),
    ]
}

fn digest(record: &Record) -> Option<Hash> {
    record.body.get("digest")?.as_str()?.parse().ok()
}

/// Names the kinds that this program knows; others can be asked for too.
fn kind_help() -> String {
    let known: Vec<_> = records::kinds().map(|kind| kind.name).collect();
    format!(
        "Only this kind and its special cases: `run` finds `run.created` too. Known kinds: {}",
        known.join(", ")
    )
}

/// A value by its name on the wire.
fn named<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    json_input::from_value(&text.into()).map_err(|mistake| mistake.to_string())
}

/// The name of a value on the wire.
fn wire_name(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => "-".into(),
    }
}

fn run_key(text: &str) -> Result<RunKey, String> {
    let digest = text.parse().map(RunKey::Digest);
    digest.or_else(|_| text.parse().map(RunKey::Id)).map_err(|_| {
        "expected a run's digest (64 lowercase hex digits) or its id, as `mesh runs --json` lists them".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_its_digest_or_its_id() {
        assert_eq!(run_key(&"ab".repeat(32)), Ok(RunKey::Digest(Hash([0xab; 32]))));
        assert_eq!(run_key(&Uuid::nil().to_string()), Ok(RunKey::Id(Uuid::nil())));
        assert!(run_key("last").unwrap_err().contains("digest"));
    }

    #[test]
    fn what_is_no_such_name_is_told_with_those_that_are() {
        assert_eq!(named::<Action>("hold"), Ok(Action::Hold));
        assert!(named::<Action>("held").unwrap_err().contains("`route`, `hold`, `drop`"));
    }
}
