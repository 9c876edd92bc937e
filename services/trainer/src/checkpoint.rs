//! The checkpoint document (`swarm_checkpoint.json`): all that a run needs to go on as if it had never
//! stopped, on this stack or on another.

use api::{
    Hash,
    psi_field::{Snapshot, Trial},
    trainer::{AgentState, EpisodeMetrics, Interventions, NewRun, PsiFieldMode},
};
use merkle_log::Frontier;
use policy::{PolicyFile, Swarm, SwarmState};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    digest::{differences, environment_sha256, sha256},
    run_config::RunPlan,
};

/// The document's format and version.
pub const CHECKPOINT_FORMAT: &str = "ai-mesh-checkpoint/1";

/// What a run that leaves another one's path may change: all of it is a function of the learner's settings,
/// and none of it of what the checkpoint holds.
const OF_A_FORK: [&str; 4] = ["episodes", "learning_rate", "discount", "epsilon"];

/// A run between two episodes. It holds no clock time and not the id of the run that made it, so that
/// two runs of the same configuration make the same checkpoints; only what psi-field says of itself
/// (`field`, and the ids of its interventions) may differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointDocument {
    /// [`CHECKPOINT_FORMAT`].
    pub format: String,
    /// The run's configuration, without `stop_after` and `resume_from`.
    pub config: NewRun,
    /// The run's digest.
    pub digest: Hash,
    /// Episodes done.
    pub episodes_done: u32,
    /// Windows done: the number of the next one.
    pub windows_done: u64,
    /// Decisions made: the sequence number of the next one.
    pub decisions: u64,
    /// The Merkle frontier over the decisions.
    pub frontier: Frontier,
    /// The swarm: knowledge, replay memory, schedules. Generators are derived from each episode's seed.
    pub swarm: SwarmState,
    /// psi-field's state of the swarm; absent without psi-field.
    pub field: Option<Snapshot>,
    /// Interventions that were applied after the last window and are acknowledged with the next one.
    pub pending_acknowledgements: Vec<Uuid>,
    /// Those that were tried first, and what that came to; told with the next one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pending_trials: Vec<Trial>,
    /// Windows played in trials so far.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub windows_tried: u64,
    /// The figures of the episodes done.
    pub episodes: Vec<EpisodeMetrics>,
    /// The agents' figures.
    pub agents: Vec<AgentState>,
    /// False when the run went on without psi-field at some time.
    pub reproducible: bool,
    /// SHA-256 over the document as JSON without this field, by which a change is found; absent in what earlier versions
    /// wrote. [`CheckpointDocument::to_bytes`] writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_sha256: Option<Hash>,
}

/// What earlier versions wrote has none.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Why a run cannot go on from a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not such a document, or a damaged one.
    #[error("expected a checkpoint of a run (swarm_checkpoint.json): {0}")]
    NotACheckpoint(String),
    /// Somebody changed it.
    #[error(
        "the checkpoint was changed after it was written: its content has the SHA-256 {found}, and it names {named}. Use the \
         file as the run wrote it; settings are changed by a rewind or a fork"
    )]
    Changed {
        /// The digest of its content that it names.
        named: Hash,
        /// The one that its content has.
        found: Hash,
    },
    /// A run with other settings made it.
    #[error(
        "the checkpoint is of a run that differs in {}: a run resumes only with the settings that it started with",
        .0.join(", ")
    )]
    OfAnotherRun(Vec<String>),
    /// It cannot be left this way.
    #[error(
        "the checkpoint is of a run that differs in {}: a run that leaves its path may differ in {} only",
        .0.join(", "),
        OF_A_FORK.join(", ")
    )]
    NotForkable(Vec<String>),
    /// Nothing is left to do.
    #[error(
        "the checkpoint has {done} of {wanted} episodes done: nothing is left to do. Start a run with more episodes, \
         or with a later stop_after"
    )]
    Complete {
        /// Episodes done.
        done: u32,
        /// Episodes that the run is to end with.
        wanted: u32,
    },
}

impl CheckpointDocument {
    /// A configuration as it stands in the document.
    #[must_use]
    pub fn config_of(run: &NewRun) -> NewRun {
        NewRun { stop_after: None, resume_from: None, ..run.clone() }
    }

    /// The document's bytes.
    ///
    /// # Errors
    /// When a figure is not finite.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let content_sha256 = Some(self.content_sha256()?);
        serde_json::to_vec(&Self { content_sha256, ..self.clone() })
    }

    fn content_sha256(&self) -> Result<Hash, serde_json::Error> {
        if self.content_sha256.is_none() {
            return serde_json::to_vec(self).map(|content| sha256(&content));
        }
        Self { content_sha256: None, ..self.clone() }.content_sha256()
    }

    /// Reads a document and checks that its parts fit each other.
    ///
    /// # Errors
    /// [`CheckpointError::NotACheckpoint`] says what does not fit.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let mut document: Self =
            json_input::from_slice(bytes).map_err(|e| CheckpointError::NotACheckpoint(e.to_string()))?;
        if document.format != CHECKPOINT_FORMAT {
            let found = format!("its format is `{}`, not `{CHECKPOINT_FORMAT}`", document.format);
            return Err(CheckpointError::NotACheckpoint(found));
        }
        let not_readable = |e: serde_json::Error| CheckpointError::NotACheckpoint(e.to_string());
        if let Some(named) = document.content_sha256 {
            let found = document.content_sha256().map_err(not_readable)?;
            if found != named {
                return Err(CheckpointError::Changed { named, found });
            }
        }
        let windows = u64::from(document.episodes_done) * u64::from(document.config.steps_per_episode);
        for (what, expected, found) in [
            ("windows_done", windows, document.windows_done),
            ("frontier/len", document.decisions, document.frontier.len()),
            ("episodes", u64::from(document.episodes_done), document.episodes.len() as u64),
            ("agents", u64::from(document.config.agents), document.agents.len() as u64),
            (
                "field/next_window",
                document.windows_done,
                document.field.as_ref().map_or(document.windows_done, |field| field.next_window),
            ),
        ] {
            if expected != found {
                let what = format!("it is damaged: `{what}` should be {expected} and is {found}");
                return Err(CheckpointError::NotACheckpoint(what));
            }
        }
        if document.config.interventions.is_none() && document.config.psi_field != PsiFieldMode::Off {
            document.config.interventions = Some(Interventions::Obeyed); // it was written before there was a choice
        }
        Ok(document)
    }

    /// What was learned until here.
    ///
    /// # Errors
    /// [`CheckpointError::NotACheckpoint`] when its configuration or what its swarm knows is damaged.
    pub fn policy(&self) -> Result<PolicyFile, CheckpointError> {
        let damaged = |what: String| CheckpointError::NotACheckpoint(format!("it is damaged: {what}"));
        let plan = RunPlan::of_record(&self.config).map_err(|errors| {
            let errors: Vec<_> =
                errors.iter().map(|e| format!("`config{}`: {}", e.pointer, e.detail)).collect();
            damaged(errors.join("; "))
        })?;
        let mut swarm =
            Swarm::new(plan.swarm.clone(), &plan.environment).map_err(|e| damaged(e.to_string()))?;
        swarm.restore(&self.swarm).map_err(|e| damaged(e.to_string()))?;
        Ok(plan.policy(&swarm, self.episodes_done, self.decisions))
    }

    /// Checks that a run can go on from here.
    ///
    /// # Errors
    /// It is another run's, or nothing is left to do.
    pub fn check(&self, plan: &RunPlan) -> Result<(), CheckpointError> {
        if self.digest != plan.digest {
            let mut names = self.differences(&plan.run, plan);
            if names.is_empty() {
                // What says that it was not changed was made by a program that counts digests otherwise.
                names.push(match self.content_sha256 {
                    Some(_) => "the version of the program that made it".to_owned(),
                    None => format!(
                        "its digest: it names {}, but its `config` has {}. It was changed after it was written, or an \
                         earlier version of the program wrote it",
                        self.digest, plan.digest
                    ),
                });
            }
            return Err(CheckpointError::OfAnotherRun(names));
        }
        self.check_end(plan)
    }

    /// Checks that a run can leave the path of the one that made it here.
    ///
    /// # Errors
    /// It differs in more than it may, or nothing is left to do.
    pub fn check_fork(&self, plan: &RunPlan) -> Result<(), CheckpointError> {
        let mut names = self.differences(&NewRun { fork: self.config.fork, ..plan.run.clone() }, plan);
        names.retain(|name| !OF_A_FORK.contains(&name.as_str()));
        if !names.is_empty() {
            return Err(CheckpointError::NotForkable(names));
        }
        self.check_end(plan)
    }

    fn differences(&self, run: &NewRun, plan: &RunPlan) -> Vec<String> {
        let here = RunPlan::of_record(&self.config)
            .map(|plan| plan.environment_sha256)
            .unwrap_or_else(|_| environment_sha256(&plan.environment));
        differences((run, plan.environment_sha256), (&self.config, here))
    }

    fn check_end(&self, plan: &RunPlan) -> Result<(), CheckpointError> {
        if self.episodes_done >= plan.last_episode {
            return Err(CheckpointError::Complete { done: self.episodes_done, wanted: plan.last_episode });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use api::trainer::AlgorithmSpec;
    use serde_json::json;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn document() -> CheckpointDocument {
        let plan = RunPlan::new(&NewRun {
            agents: 1,
            episodes: 3,
            steps_per_episode: 4,
            algorithm: Some("q-learning".into()),
            ..NewRun::default()
        })
        .unwrap();
        let agent = AgentState {
            agent: 0,
            q_table_size: 0,
            avg_reward: None,
            epsilon: 0.1,
            decisions: 0,
            trust: None,
        };
        let episode =
            EpisodeMetrics { avg_reward: Some(0.1 + 0.2), epsilon: 0.1, ..EpisodeMetrics::default() };
        CheckpointDocument {
            format: CHECKPOINT_FORMAT.into(),
            digest: plan.digest,
            config: plan.run,
            episodes_done: 1,
            windows_done: 4,
            decisions: 0,
            frontier: Frontier::new(),
            swarm: SwarmState { steps_learned: 4, knowledge: vec![], progress: vec![], guard: None },
            field: None,
            pending_acknowledgements: vec![],
            pending_trials: vec![],
            windows_tried: 0,
            episodes: vec![episode],
            agents: vec![agent],
            reproducible: true,
            content_sha256: None,
        }
    }

    #[test]
    fn what_is_written_is_read_back_exactly() {
        let document = document();
        let bytes = document.to_bytes().unwrap();
        let read = CheckpointDocument::parse(&bytes).unwrap();
        assert_eq!(CheckpointDocument { content_sha256: None, ..read.clone() }, document);
        assert_eq!(read.to_bytes().unwrap(), bytes);
        // by another program, over what stands before the last field
        let text = String::from_utf8(bytes).unwrap();
        let (content, named) = text.split_once(",\"content_sha256\":").unwrap();
        assert_eq!(named, format!("\"{}\"}}", sha256(format!("{content}}}").as_bytes())));
    }

    #[test]
    fn a_document_that_was_changed_is_told_so_and_its_maker_is_not_blamed() {
        let written = String::from_utf8(document().to_bytes().unwrap()).unwrap();
        let spaced: serde_json::Value = serde_json::from_str(&written).unwrap();
        let spaced = serde_json::to_string_pretty(&spaced).unwrap();
        assert!(CheckpointDocument::parse(spaced.as_bytes()).is_ok(), "white space is no change");
        for (from, to) in [("\"seed\":1,", "\"seed\":2,"), ("\"steps_learned\":4", "\"steps_learned\":5")] {
            assert!(written.contains(from), "{from}");
            let error = CheckpointDocument::parse(written.replace(from, to).as_bytes()).unwrap_err();
            assert!(error.to_string().contains("was changed after it was written"), "{error}");
            assert!(!error.to_string().contains("version"), "{error}");
        }
        // of an earlier version, which wrote no digest of the content
        let mut older = document();
        older.config.seed = 2;
        let error = older.check(&RunPlan::new(&older.config).unwrap()).unwrap_err().to_string();
        assert!(error.contains("It was changed after it was written, or an earlier version"), "{error}");
        // and one that is as it was written, by a program that counts otherwise
        let other = CheckpointDocument { digest: Hash([9; 32]), ..document() };
        let other = CheckpointDocument::parse(&other.to_bytes().unwrap()).unwrap();
        let error = other.check(&RunPlan::new(&other.config).unwrap()).unwrap_err().to_string();
        assert!(error.contains("the version of the program that made it"), "{error}");
    }

    #[test]
    fn what_was_learned_until_then_is_a_policy_and_damaged_knowledge_is_told() {
        let mut document = document();
        let plan = RunPlan::new(&document.config).unwrap();
        let swarm = Swarm::new(plan.swarm.clone(), &plan.environment).unwrap();
        document.swarm = swarm.state();
        let policy = document.policy().unwrap();
        assert_eq!((policy.training.episodes, policy.agents), (1, swarm.state().knowledge));
        document.swarm.knowledge[0].learned = serde_json::json!({"rows": "none"});
        assert!(matches!(document.policy(), Err(CheckpointError::NotACheckpoint(_))));
    }

    #[test]
    fn a_damaged_document_is_refused_and_the_place_named() {
        let refusal = |change: fn(&mut CheckpointDocument)| {
            let mut document = document();
            change(&mut document);
            CheckpointDocument::parse(&document.to_bytes().unwrap()).unwrap_err().to_string()
        };
        for (error, place) in [
            (refusal(|d| d.format = "ai-mesh-checkpoint/9".into()), "ai-mesh-checkpoint/9"),
            (refusal(|d| d.windows_done = 5), "windows_done"),
            (refusal(|d| d.decisions = 7), "frontier/len"),
            (refusal(|d| d.episodes.clear()), "episodes"),
            (refusal(|d| d.agents.clear()), "agents"),
            (
                refusal(|d| d.field = Some(Snapshot { next_window: 3, field: serde_json::json!({}) })),
                "field/next_window",
            ),
        ] {
            assert!(error.contains(place), "{error}");
        }
        assert!(CheckpointDocument::parse(b"{}").unwrap_err().to_string().contains("format"));
    }

    #[test]
    fn a_run_that_leaves_the_path_changes_only_how_it_learns_and_how_long() {
        let document = document();
        let check = |run: &NewRun| document.check_fork(&RunPlan::new(run).unwrap());
        let fork = Some(api::trainer::Fork { checkpoint: Hash([1; 32]), branch: 0 });
        let run = NewRun { fork, ..document.config.clone() };
        assert_eq!(check(&run), Ok(()));
        let told = |settings| Some(AlgorithmSpec::new("q-learning", settings));
        let algorithm = told(json!({"learning_rate": 0.5, "discount": 0.5, "epsilon": 0.5}));
        let learns = NewRun { algorithm, episodes: 9, ..run.clone() };
        assert_eq!(check(&learns), Ok(()));
        assert_eq!(
            check(&NewRun {
                seed: 9,
                steps_per_episode: 5,
                algorithm: told(json!({"merge_every": 3})),
                ..run.clone()
            }),
            Err(CheckpointError::NotForkable(names(&[
                "steps_per_episode",
                "merge_every",
                "seed",
                "environment"
            ])))
        );
        assert_eq!(
            check(&NewRun { episodes: 1, ..run }),
            Err(CheckpointError::Complete { done: 1, wanted: 1 })
        );
    }

    #[test]
    fn only_the_run_that_made_it_goes_on_from_it_and_only_when_something_is_left_to_do() {
        let document = document();
        let check = |run: &NewRun| document.check(&RunPlan::new(run).unwrap());
        let run = NewRun { stop_after: Some(2), checkpoint_every: 1, ..document.config.clone() };
        assert_eq!(check(&run), Ok(()));
        assert_eq!(
            check(&NewRun { seed: 9, algorithm: Some("cem".into()), ..run.clone() }),
            Err(CheckpointError::OfAnotherRun(names(&[
                "algorithm",
                "seed",
                "state",
                "learning_rate",
                "discount",
                "replay",
                "feasibility_mask",
                "merge_every",
                "revision"
            ])))
        );
        assert_eq!(
            check(&NewRun { stop_after: Some(1), ..run }),
            Err(CheckpointError::Complete { done: 1, wanted: 1 })
        );
    }
}
