//! Challengers that a deployment is created with: what must hold of them, and how they begin.

use std::collections::BTreeMap;

use api::{
    FieldError,
    deployments::{ChallengerMode, NewDeployment},
};
use metrics::Counter;
use policy::Swarm;
use uuid::Uuid;

use super::{
    engine::{Engine, begin_stream},
    shadow::Shadow,
    shadow_thread::ShadowThread,
};

/// What canaries may decide of the requests together: the champion is what they are compared with.
const MOST_SHARED: f64 = 0.9;

/// What is wrong with challengers and guardrails, whatever their policies are.
pub(super) fn check(asked: &NewDeployment) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut wrong = |pointer: String, detail: String| errors.push(FieldError { pointer, detail });
    let mut shared = 0.0;
    for (i, challenger) in asked.challengers.iter().enumerate() {
        match (challenger.mode, challenger.share) {
            (ChallengerMode::Canary, None) => {
                wrong(
                    format!("/challengers/{i}/share"),
                    "expected the share of the requests that it decides".to_owned(),
                );
            }
            (ChallengerMode::Shadow, Some(_)) => {
                wrong(
                    format!("/challengers/{i}/share"),
                    "expected none: a shadow decides nothing".to_owned(),
                );
            }
            (_, share) => shared += share.unwrap_or_default(),
        }
    }
    if shared > MOST_SHARED + 1e-9 {
        let detail = format!(
            "expected canaries that decide at most {MOST_SHARED} of the requests together, not {shared}"
        );
        wrong("/challengers".to_owned(), detail);
    }
    let has_canary = asked.challengers.iter().any(|challenger| challenger.mode == ChallengerMode::Canary);
    if asked.guardrails.is_some() && !has_canary {
        wrong(
            "/guardrails".to_owned(),
            "expected a canary among `challengers`: they are for canaries".to_owned(),
        );
    }
    errors
}

/// Lets challengers begin with the deployment; the shadows by their arms.
pub(super) fn begin(
    engine: &mut Engine,
    settings: &NewDeployment,
    swarms: Vec<Swarm>,
    failures: &Counter,
) -> BTreeMap<usize, ShadowThread> {
    let (mut canaries, mut shadows) = (Vec::with_capacity(swarms.len()), BTreeMap::new());
    for ((challenger, mut swarm), arm) in settings.challengers.iter().zip(swarms).zip(1..) {
        if challenger.mode == ChallengerMode::Canary {
            canaries.push(Some(swarm));
            continue;
        }
        canaries.push(None);
        begin_stream(&mut swarm, &engine.run());
        let shadow = Shadow::new(engine.env().clone(), swarm, engine.rewards().clone(), *engine.schedule());
        let thread = ShadowThread::begin(shadow, failures.clone());
        engine.listen(thread.listener());
        shadows.insert(arm, thread);
    }
    engine.challenge(settings, canaries);
    shadows
}

/// The policy of an arm.
pub(super) fn policy_of(settings: &NewDeployment, arm: u32) -> Uuid {
    let challenger = (arm as usize).checked_sub(1).and_then(|position| settings.challengers.get(position));
    challenger.map_or(settings.policy_id, |challenger| challenger.policy_id)
}
