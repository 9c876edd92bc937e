use std::collections::HashMap;

use anyhow::{Context as _, anyhow, bail};
use api::psi_field::{
    Intervention, InterventionKind, InterventionRecord, InterventionStatus, NewIntervention,
};
use clap::{ArgGroup, Args};
use client::{ClientError, PageQuery, PsiField, Trainer};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    exit::Answer,
    output::{note, say, say_json, table},
    remote::{RemoteArgs, RunName, service_error, trainer_error},
    runtime,
};

/// Show the interventions in a run, the reason and the effect of each; or intervene by hand
///
/// The trainer knows which interventions the run applied, psi-field what they achieved. With --nigredo or --albedo,
/// psi-field sends one in its answer to the run's next window, and records the reason.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("by_hand").args(["nigredo", "albedo"]))]
#[command(after_help = "Examples:
  mesh interventions last
  mesh interventions 01936c1e-5f6a-7c3e-9d55-0a9e1d0f6b21 --json
  mesh interventions last --nigredo --agents 1,2 --reason \"aws changed its prices\"
  mesh interventions last --albedo
  mesh interventions last --trainer http://127.0.0.1:18001 --psi-field http://127.0.0.1:18000")]
pub(crate) struct Interventions {
    /// The run's id or its first digits, or `last`
    #[arg(value_name = "RUN")]
    run: RunName,
    /// Intervene: the agents forget what they learned and start afresh
    #[arg(long)]
    nigredo: bool,
    /// Intervene: the agents explore more for a while
    #[arg(long)]
    albedo: bool,
    /// The numbers of the agents [default: all agents of the last window]
    #[arg(long, value_name = "N,…", value_delimiter = ',', requires = "by_hand")]
    agents: Vec<u32>,
    /// The reason, which is recorded
    #[arg(long, value_name = "TEXT", requires = "by_hand", default_value = "by an operator, with mesh", value_parser = reason)]
    reason: String,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    /// The address of psi-field
    #[arg(long, value_name = "URL", env = "MESH_PSI_FIELD_URL", default_value = "http://127.0.0.1:8000")]
    psi_field: String,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// The answer of `--json`.
#[derive(Serialize)]
struct Output {
    run_id: Uuid,
    interventions: Vec<InterventionRecord>,
}

impl Interventions {
    /// Shows them.
    pub(crate) fn run(self) -> anyhow::Result<Answer> {
        let (trainer, field) = (self.remote.trainer()?, self.remote.psi_field(&self.psi_field)?);
        runtime::block_on("error", async {
            let run = self.run.id(&trainer).await?;
            if let Some(kind) = self.kind() {
                return self.intervene(&trainer, &field, run, kind).await;
            }
            let page = PageQuery { limit: Some(1000), ..PageQuery::default() };
            let applied =
                trainer.interventions(run, &page).await.map_err(|error| trainer_error(&trainer, error))?;
            let records = records(&field, run, applied.items).await?;
            if self.json {
                say_json(&Output { run_id: run, interventions: records })?;
            } else if records.is_empty() {
                say("no interventions")?;
            } else {
                say(&table(&HEADER, records.iter().map(row)))?;
            }
            Ok(Answer::Yes)
        })
    }
}

impl Interventions {
    fn kind(&self) -> Option<InterventionKind> {
        match (self.nigredo, self.albedo) {
            (true, _) => Some(InterventionKind::Nigredo),
            (_, true) => Some(InterventionKind::Albedo),
            _ => None,
        }
    }

    async fn intervene(
        &self,
        trainer: &Trainer,
        field: &PsiField,
        run: Uuid,
        kind: InterventionKind,
    ) -> anyhow::Result<Answer> {
        let status = trainer.run(run).await.map_err(|error| trainer_error(trainer, error))?.status;
        if status.is_final() {
            bail!("the run {run} has ended ({}): no window of it will carry an intervention", status.name());
        }
        let new = NewIntervention { kind, targets: self.agents.clone(), reason: self.reason.clone() };
        let key = Uuid::now_v7().to_string();
        let issued = field.post_intervention(&run.to_string(), &new, Some(&key)).await.map_err(|error| {
            match error {
                error if error.is_not_found() => anyhow!(
                    "psi-field at {} has no window of the run {run} yet: try again when it is under way; a run that \
                     was started without psi-field has none",
                    field.endpoint().url
                ),
                error => service_error("psi-field", field.endpoint(), error),
            }
        })?;
        if self.json {
            say_json(&issued)?;
        } else {
            let Intervention { id, kind, targets: agents, .. } = &issued.intervention;
            say(&format!(
                "{} {id} is on its way to the run {run}, for agents {}: the answer to the next window will carry it",
                kind.name(),
                targets(agents)
            ))?;
        }
        Ok(Answer::Yes)
    }
}

const HEADER: [&str; 6] = ["window", "kind", "targets", "status", "effect", "reason"];

/// psi-field's records of what the run applied, and of what it tried and declined. Of what it applied, those that psi-field does
/// not have (it is away, forgot the swarm, or knows it
/// under another name) count as acknowledged: the run applied them.
async fn records(
    field: &PsiField,
    run: Uuid,
    applied: Vec<Intervention>,
) -> anyhow::Result<Vec<InterventionRecord>> {
    let mut known = HashMap::new();
    let mut page = PageQuery { limit: Some(1000), ..PageQuery::default() };
    loop {
        match field.interventions(&run.to_string(), &page).await {
            Ok(records) => {
                known.extend(records.items.into_iter().map(|record| (record.intervention.id, record)));
                page.cursor = records.next_cursor;
                if page.cursor.is_none() {
                    break;
                }
            }
            Err(error) if error.is_not_found() => break,
            Err(ClientError::Unreachable { .. }) if applied.is_empty() => break,
            Err(ClientError::Unreachable { url, .. }) => {
                note(&format!(
                    "what became of the interventions is not known: psi-field does not answer at {url}"
                ));
                break;
            }
            Err(error) => return Err(error).context("asking psi-field what became of the interventions"),
        }
    }
    let record = |intervention: Intervention| {
        known.remove(&intervention.id).unwrap_or(InterventionRecord {
            intervention,
            status: InterventionStatus::Acknowledged,
            acknowledged_at_window: None,
            assessment: None,
            effect: None,
        })
    };
    let mut records: Vec<_> = applied.into_iter().map(record).collect();
    records.extend(known.into_values().filter(|record| record.status == InterventionStatus::Declined));
    records.sort_by_key(|record| record.intervention.issued_at_window);
    Ok(records)
}

fn row(record: &InterventionRecord) -> Vec<String> {
    let intervention = &record.intervention;
    vec![
        intervention.issued_at_window.to_string(),
        intervention.kind.name().into(),
        targets(&intervention.targets),
        record.status.name().into(),
        effect(record).unwrap_or_else(|| "-".into()),
        intervention.reason.clone(),
    ]
}

fn reason(text: &str) -> Result<String, String> {
    let fits = (1..=2000).contains(&text.len()) && !text.contains('\0');
    fits.then(|| text.to_owned()).ok_or_else(|| "expected 1 to 2000 bytes of text".into())
}

/// The agents, as many as a line bears.
pub(crate) fn targets(agents: &[u32]) -> String {
    const MOST: usize = 8;
    let mut text = agents.iter().take(MOST).map(u32::to_string).collect::<Vec<_>>().join(" ");
    if agents.len() > MOST {
        text.push_str(&format!(" and {} more", agents.len() - MOST));
    }
    text
}

/// The difference in reward that it made, with its interval: in forks where it was tried, otherwise of before and after.
fn effect(record: &InterventionRecord) -> Option<String> {
    let shown = |difference, low, high| format!("{difference:+.3} [{low:+.3}, {high:+.3}]");
    let in_forks = record
        .effect
        .as_ref()
        .map(|e| shown(e.reward_with - e.reward_without, e.difference_ci_low, e.difference_ci_high));
    in_forks.or_else(|| {
        let a = record.assessment.as_ref()?;
        Some(shown(a.reward_after - a.reward_before, a.difference_ci_low, a.difference_ci_high))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swarm_of_targets_fits_into_a_cell() {
        assert_eq!(targets(&[3, 1]), "3 1");
        assert_eq!(targets(&(0..1000).collect::<Vec<_>>()), "0 1 2 3 4 5 6 7 and 992 more");
    }

    #[test]
    fn an_effect_is_the_difference_with_its_interval() {
        let mut record: InterventionRecord = serde_json::from_value(serde_json::json!({
            "id": Uuid::nil(), "kind": "albedo", "targets": [], "parameters": {}, "reason": "", "evidence": {},
            "issued_at_window": 0, "expires_after_windows": 3, "by_operator": false, "status": "assessed",
            "assessment": {"windows": 20, "reward_before": -1.5, "reward_after": -1.25, "difference_ci_low": -0.125,
                "difference_ci_high": 0.625},
        }))
        .unwrap();
        assert_eq!(effect(&record).unwrap(), "+0.250 [-0.125, +0.625]");
        record.effect =
            serde_json::from_value(serde_json::json!({"forks": 12, "windows": 40, "reward_without": 2.0,
            "reward_with": 2.5, "difference_ci_low": 0.375, "difference_ci_high": 0.625}))
            .unwrap();
        assert_eq!(
            effect(&record).unwrap(),
            "+0.500 [+0.375, +0.625]",
            "forks know better than before and after"
        );
    }
}
