//! Checkpoints of a deployment's stream: whoever continues it begins with the last one, and reads from the ledger only what came
//! after it.

use std::collections::BTreeMap;

use client::{Ledger, LedgerError, body_of};
use policy::StreamState;
use records::{
    Body as _,
    deployments::{WindowEnded, subject},
};
use routing_env::ProviderState;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    engine::{Counts, Job},
    steps::StepsState,
};

/// The form of checkpoints, and its version.
pub(crate) const FORMAT: &str = "ai-mesh-deployment-checkpoint/1";

/// After how many windows a checkpoint is made, however few decisions there were.
pub(crate) const MOST_WINDOWS: u32 = 1000;

/// All that a stream of one policy is a function of from here on, where a window has just begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checkpoint {
    pub(crate) format: String,
    pub(crate) window: u32,
    pub(crate) next_arrival: u64,
    pub(crate) base: Vec<ProviderState>,
    pub(crate) jobs: BTreeMap<u64, Job>,
    pub(crate) decided: BTreeMap<u64, (u32, u64)>,
    pub(crate) next_sequence: u64,
    pub(crate) market_updates: u64,
    pub(crate) counts: Counts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<StepsState>,
    pub(crate) policy: StreamState,
}

impl Checkpoint {
    /// As it is stored; `None` where it would not be read as it was written, as a figure that JSON does not have.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        let bytes = serde_json::to_vec(self).ok()?;
        (Self::read(&bytes).as_ref() == Ok(self)).then_some(bytes)
    }

    fn read(bytes: &[u8]) -> Result<Self, String> {
        let read: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if read.format != FORMAT {
            return Err(format!("expected the format {FORMAT}, found `{}`", read.format));
        }
        Ok(read)
    }
}

/// A checkpoint as the ledger has it.
pub(crate) struct Found {
    pub(crate) checkpoint: Checkpoint,
    /// The window whose end it is.
    pub(crate) ended: WindowEnded,
    /// Where the record of that stands in the log.
    pub(crate) log_index: u64,
}

/// The last checkpoint of a deployment. What cannot be read is passed over: all of it can be read from the beginning.
///
/// # Errors
/// The remembrancer is away.
pub(crate) async fn last(ledger: &Ledger, deployment: Uuid) -> Result<Option<Found>, LedgerError> {
    let mut records = ledger.records(api::remembrancer::RecordQuery {
        kind: Some(WindowEnded::KIND.record_kind()),
        subject: Some(subject(deployment)),
        newest_first: Some(true),
        ..api::remembrancer::RecordQuery::default()
    });
    while let Some(record) = records.next().await? {
        let Some(ended) = body_of::<WindowEnded>(&record) else { continue };
        let Some(name) = ended.checkpoint_sha256 else { continue };
        let read = match ledger.artifact(&name).await? {
            Some(bytes) => Checkpoint::read(&bytes),
            None => Err("it is not there".to_owned()),
        };
        match read {
            Ok(checkpoint) => return Ok(Some(Found { checkpoint, ended, log_index: record.log_index })),
            Err(why) => tracing::warn!(%deployment, %name, why, "a checkpoint is passed over"),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use api::{Hash, deployments::NewDeployment, policies::Outcome};
    use policy::{
        Rule, Swarm, SwarmConfig,
        registry::{LEARNERS, Learner},
    };
    use routing_env::{Environment, Preset, Request, Reward};

    use super::*;
    use crate::deployments::{
        engine::{Asked, Engine, Made},
        schedule::Schedule,
    };

    /// A stream of what a policy has learned in a short episode.
    fn stream(swarm: Swarm, env: &Environment) -> Engine {
        let settings: NewDeployment = serde_json::from_value(serde_json::json!({
            "name": "x", "policy_id": Uuid::nil(), "step_seconds": 600, "hold_seconds": 1500
        }))
        .unwrap();
        let schedule = Schedule::new(&settings, "2026-11-30T00:00:00Z".parse().unwrap());
        let mut engine =
            Engine::new(env.clone(), swarm, Reward::EXCESS_COST.into(), Hash([7; 32]), schedule, None);
        engine.federate();
        engine
    }

    fn swarms(env: &Environment) -> Vec<(&'static str, Swarm)> {
        let learner = |learner: &Learner| {
            let config = SwarmConfig::new(learner.name, &serde_json::json!({}), 2).unwrap();
            let mut swarm = Swarm::new(config, env).unwrap();
            swarm.play(&env.clone().with_steps(30), 1, Reward::EXCESS_COST);
            (learner.name, swarm)
        };
        let rule = |rule: &Rule| (rule.name(), Swarm::of_rule(*rule, env));
        LEARNERS.iter().map(learner).chain(Rule::ALL.iter().map(rule)).collect()
    }

    /// Asks for much and little of all tenants, and tells what became of most jobs, some of them a window late.
    fn play(engine: &mut Engine, windows: std::ops::Range<u32>) -> (Vec<Made>, Vec<Hash>) {
        let (mut all, mut states) = (Vec::new(), Vec::new());
        for window in windows {
            let mut made = Vec::new();
            for n in 0..24_u32 {
                let (tenants, gpus) =
                    (engine.env().workloads().tenants.len(), engine.env().gpu_types().len());
                let draw = (window * 24 + n).wrapping_mul(2_654_435_761) >> 16;
                let (tenant, hours) = (draw as usize % tenants, f64::from(draw % 97) / 10.0 + 0.1);
                let workload = engine.env().mix(tenant)[draw as usize % engine.env().mix(tenant).len()].0;
                let request = Request::of_tenant(engine.env(), tenant, workload, draw as usize % gpus, hours);
                made.push(engine.decide(Asked { request, retry_of: None, arm: 0 }, false));
            }
            made.extend(engine.settle(false));
            let open: Vec<u64> = engine.open_jobs().map(|(sequence, _)| sequence).collect();
            for sequence in open.into_iter().filter(|sequence| sequence % 3 != u64::from(window % 3)) {
                let outcome = Outcome {
                    succeeded: sequence % 7 != 0,
                    latency_ms: Some(100.0 + (sequence % 50) as f64),
                    ..Outcome::default()
                };
                engine.hear(sequence, &outcome);
            }
            engine.begin_window(window + 1);
            states.push(engine.state_sha256());
            all.extend(made);
        }
        (all, states)
    }

    #[test]
    fn whoever_goes_on_from_a_checkpoint_decides_as_whoever_was_never_interrupted() {
        let mut without = Vec::new();
        for preset in [Preset::Contended, Preset::Drifting] {
            let env = Environment::built_in(preset);
            for (name, swarm) in swarms(&env) {
                let mut whole = stream(swarm.clone(), &env);
                play(&mut whole, 0..9);
                let Some(checkpoint) = whole.checkpoint() else {
                    without.push(name);
                    continue;
                };
                let bytes = checkpoint.bytes().unwrap();
                let mut resumed = stream(swarm, &env);
                resumed.resume(Checkpoint::read(&bytes).unwrap()).unwrap();
                assert_eq!(resumed.state_sha256(), whole.state_sha256(), "{name}");
                assert_eq!(play(&mut resumed, 9..18), play(&mut whole, 9..18), "{name}");
                assert_eq!(resumed.checkpoint(), whole.checkpoint(), "{name}");
            }
        }
        without.dedup();
        assert_eq!(without, ["random"], "all others can be written down");
    }

    #[test]
    fn a_checkpoint_of_another_stream_is_refused() {
        let contended = Environment::built_in(Preset::Contended);
        let mut of_one = stream(swarms(&contended).remove(0).1, &contended);
        play(&mut of_one, 0..2);
        let mut checkpoint = of_one.checkpoint().unwrap();
        let other = swarms(&contended).into_iter().find(|(name, _)| *name == "bid-price-counting").unwrap().1;
        assert!(stream(other, &contended).resume(checkpoint.clone()).is_err());
        checkpoint.base.pop();
        let fewer = stream(swarms(&contended).remove(0).1, &contended).resume(checkpoint);
        assert!(fewer.is_err(), "other providers");
    }
}
