//! Which policies of a deployment decide, and how that changes: promotion and rollback, each a record with its figures.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use api::{
    FieldError,
    deployments::{
        ChallengerMode, ChallengerState, ChallengerStatus, ChangeChampion, NewDeployment, Promotion,
    },
};
use policy::Swarm;
use records::deployments::{Cause, Change, Created};
use uuid::Uuid;

use super::{DeployError, engine::Engine, shadow_thread::ShadowThread, trial::Verdict};

/// How long a shadow that is to be promoted may take to catch up.
const CATCH_UP: Duration = Duration::from_secs(10);

/// The policies of a deployment, and what has become of them.
pub(crate) struct Lifecycle {
    deployment_id: Uuid,
    settings: NewDeployment,
    /// Each arm's policy, and what it is called.
    policies: Vec<(Uuid, String)>,
    shadows: BTreeMap<usize, ShadowThread>,
    changes: u64,
}

/// What is done with an arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Promote,
    RollBack,
}

impl Lifecycle {
    /// That of a deployment that has just been created, with its shadows by their arms.
    pub(crate) fn new(created: &Created, shadows: BTreeMap<usize, ShadowThread>) -> Self {
        let champion = (created.settings.policy_id, created.algorithm.clone());
        let challengers = created.settings.challengers.iter().zip(&created.challengers);
        let challengers = challengers.map(|(asked, made)| (asked.policy_id, made.algorithm.clone()));
        Self {
            deployment_id: created.deployment_id,
            settings: created.settings.clone(),
            policies: std::iter::once(champion).chain(challengers).collect(),
            shadows,
            changes: 0,
        }
    }

    /// All that was recorded has been read.
    pub(crate) fn is_live(&self) {
        self.shadows.values().for_each(ShadowThread::is_live);
    }

    /// Changes so far.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// What is to be done without anybody asking for it, and why.
    pub(crate) fn due(&self, engine: &Engine) -> Option<(Step, Change)> {
        let promotes = self.settings.promotion == Promotion::Automatic;
        let mut verdicts = engine.arms().verdicts();
        let (arm, verdict) =
            verdicts.find(|(_, verdict)| promotes || !matches!(verdict, Verdict::EarnsMore))?;
        let (step, cause) = match verdict {
            Verdict::EarnsMore => (Step::Promote, Cause::EarnsMore),
            Verdict::EarnsLess => (Step::RollBack, Cause::EarnsLess),
            Verdict::FailsTooOften => (Step::RollBack, Cause::FailureRate),
            Verdict::TakesTooLong => (Step::RollBack, Cause::Latency),
            Verdict::CostsTooMuch => (Step::RollBack, Cause::Cost),
        };
        Some((step, self.change(engine, step, arm, cause, None)))
    }

    /// What somebody asks for, as a change.
    ///
    /// # Errors
    /// There is no such challenger, or several; it cannot be promoted.
    pub(crate) fn asked(
        &self,
        engine: &Engine,
        step: Step,
        asked: &ChangeChampion,
    ) -> Result<Change, DeployError> {
        let arms = engine.arms();
        let mut possible: Vec<usize> = arms.active().collect();
        if step == Step::RollBack && arms.has_former() && (asked.challenger.is_some() || possible.is_empty())
        {
            possible.push(arms.champion());
        }
        let numbers = || possible.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let arm = match (asked.challenger, possible.as_slice()) {
            (_, []) => return Err(DeployError::NoChallenger),
            (Some(arm), possible) if possible.contains(&(arm as usize)) => arm as usize,
            (None, [only]) => *only,
            _ => {
                let detail = format!("expected one of the challengers that it can be: {}", numbers());
                return Err(DeployError::Invalid(vec![FieldError {
                    pointer: "/challenger".to_owned(),
                    detail,
                }]));
            }
        };
        if step == Step::Promote {
            self.await_shadow(arm)?;
        }
        Ok(self.change(engine, step, arm, Cause::ByHand, Some(asked.reason.clone())))
    }

    /// Waits until a shadow has followed all that happened.
    fn await_shadow(&self, arm: usize) -> Result<(), DeployError> {
        let Some(shadow) = self.shadows.get(&arm) else { return Ok(()) };
        let begun = Instant::now();
        while shadow.behind() > 0 && shadow.failure().is_none() {
            if begun.elapsed() > CATCH_UP {
                return Err(DeployError::NotReady(format!("it is {} events behind", shadow.behind())));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        match shadow.failure() {
            Some(failure) => Err(DeployError::NotReady(failure)),
            None => Ok(()),
        }
    }

    /// The record of a change, as things stand.
    pub(crate) fn change(
        &self,
        engine: &Engine,
        step: Step,
        arm: usize,
        cause: Cause,
        reason: Option<String>,
    ) -> Change {
        Change {
            deployment_id: self.deployment_id,
            number: self.changes,
            arm: arm as u32, // of few
            policy_id: self.policies.get(arm).map(|(id, _)| *id).unwrap_or_default(),
            champion: match step {
                Step::Promote => arm as u32,
                Step::RollBack => engine.arms().champion_without(arm) as u32,
            },
            cause,
            reason,
            next_sequence: engine.next_sequence(),
            comparison: engine.arms().get(arm).and_then(|one| one.comparison(engine.arms().worth())),
        }
    }

    /// Lets a recorded change happen.
    ///
    /// # Errors
    /// It is of no arm that this can happen to, or its shadow has failed.
    pub(crate) fn apply(&mut self, engine: &mut Engine, step: Step, change: &Change) -> Result<(), String> {
        let arm = change.arm as usize;
        let arms = engine.arms();
        let is_active = arms.active().any(|active| active == arm);
        let shadow = self.shadows.remove(&arm).map(ShadowThread::into_swarm);
        match step {
            Step::Promote if is_active => {
                let swarm: Option<Swarm> = shadow.transpose()?;
                engine.promote(arm, swarm, &self.settings);
            }
            Step::RollBack if is_active || (arm == arms.champion() && arms.has_former()) => {
                engine.roll_back(arm, &self.settings);
            }
            _ => return Err(format!("the challenger {arm} is none that can be promoted or rolled back")),
        }
        self.changes += 1;
        Ok(())
    }

    /// The challengers, as callers see them.
    pub(crate) fn challengers(&self, engine: &Engine) -> Vec<ChallengerStatus> {
        let arms = engine.arms();
        let status = |(number, arm): (usize, &super::arms::Arm)| {
            let (policy_id, algorithm) = self.policies.get(number).cloned().unwrap_or_default();
            let is_active = arm.state == ChallengerState::Active;
            let is_canary = arm.mode == ChallengerMode::Canary;
            ChallengerStatus {
                arm: number as u32, // of few
                policy_id,
                algorithm,
                mode: arm.mode,
                state: arm.state,
                share: arms.decides(number).then(|| arms.share(number)),
                comparison: if is_canary { arm.comparison(arms.worth()) } else { None },
                shadow: self.shadows.get(&number).filter(|_| is_active).map(ShadowThread::status),
            }
        };
        arms.challengers().map(status).collect()
    }
}
