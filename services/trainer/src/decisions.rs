//! From what a swarm decided to what the ledger keeps.

use api::{
    Hash,
    remembrancer::{Action, Decision},
};
use policy::{DecidedRequest, StepReport};
use routing_env::{Environment, Fate};

/// Where a step stands in its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The run's digest.
    pub run: Hash,
    /// The episode, from 0.
    pub episode: u32,
    /// The sequence number of the step's first decision.
    pub first_sequence: u64,
}

/// A step's decisions in order of arrival.
pub fn decisions(env: &Environment, at: Position, report: &StepReport) -> Vec<Decision> {
    let numbered = report.decisions.iter().zip(at.first_sequence..);
    numbered
        .map(|(decided, sequence)| {
            decision(
                env,
                Position { first_sequence: sequence, ..at },
                report.step,
                report.policy_version,
                decided,
            )
        })
        .collect()
}

/// One decision of a step.
pub(crate) fn decision(
    env: &Environment,
    at: Position,
    step: u32,
    policy_version: u64,
    decided: &DecidedRequest,
) -> Decision {
    let request = &decided.request;
    let (action, reason) = match decided.resolution.fate {
        Fate::Routed(_) => (Action::Route, "ok"),
        Fate::Held => (Action::Hold, "held"),
        Fate::NoViableProvider => (Action::Drop, "no_viable_provider"),
        Fate::InfeasibleChoice => (Action::Drop, "infeasible_choice"),
        Fate::Failed => (Action::Drop, "failed"),
    };
    let routed = decided.resolution.routed();
    Decision {
        run: at.run,
        sequence: at.first_sequence,
        episode: at.episode,
        step,
        agent: decided.agent,
        tenant: env.workloads().tenants[request.tenant].id.clone(),
        workload: env.workload_name(request.workload).to_owned(),
        gpu_type: env.gpu_types()[request.gpu_type].clone(),
        gpu_hours: request.hours,
        action,
        reason: reason.to_owned(),
        provider: routed.map(|r| env.catalog().providers[r.provider].id.clone()),
        price_usd_per_hour: routed.map(|r| r.price),
        price_assumed: routed.is_some_and(|r| env.price_is_assumed(r.provider, request.gpu_type)),
        latency_ms: routed.map(|r| r.latency_ms),
        cost_usd: routed.map(|r| r.cost),
        reward: decided.reward,
        explored: decided.explored,
        propensity: decided.propensity,
        value: decided.value,
        policy_version,
        deferred: decided.resolution.deferred,
        wait_ms: decided.wait_ms,
        arm: 0,
    }
}

#[cfg(test)]
mod tests {
    use policy::{Rule, Swarm};
    use routing_env::{Episode, Preset, Reward};

    use super::*;

    const RUN: Hash = Hash([7; 32]);

    fn first_step(preset: Preset, rule: Rule) -> (Environment, StepReport) {
        let env = Environment::built_in(preset);
        let mut swarm = Swarm::of_rule(rule, &env);
        let mut report = StepReport::new(&env);
        swarm.begin_episode(1);
        assert!(swarm.run_step(
            &mut Episode::new(&env, 1, Reward::EXCESS_COST),
            Reward::EXCESS_COST,
            &mut report
        ));
        (env, report)
    }

    #[test]
    fn a_step_is_numbered_on_from_where_the_run_stands() {
        let (env, report) = first_step(Preset::Contended, Rule::WeightedScore);
        let all = decisions(&env, Position { run: RUN, episode: 3, first_sequence: 1000 }, &report);
        assert_eq!(all.len(), report.decisions.len());
        assert!(all.iter().map(|d| d.sequence).eq(1000..1000 + all.len() as u64));
        assert!(all.iter().all(|d| d.run == RUN && d.episode == 3 && d.step == 0));
    }

    #[test]
    fn a_routed_request_names_its_provider_and_figures_and_a_dropped_one_names_none() {
        let (env, report) = first_step(Preset::Overloaded, Rule::WeightedScore);
        let all = decisions(&env, Position { run: RUN, episode: 0, first_sequence: 0 }, &report);
        let (routed, dropped): (Vec<_>, Vec<_>) = all.iter().partition(|d| d.action == Action::Route);
        assert!(!routed.is_empty() && !dropped.is_empty());
        for d in routed {
            let (price, cost) = (d.price_usd_per_hour.unwrap(), d.cost_usd.unwrap());
            assert_eq!(cost, price * d.gpu_hours);
            assert!(env.catalog().providers.iter().any(|p| Some(&p.id) == d.provider.as_ref()));
            assert_eq!((d.reason.as_str(), d.latency_ms.is_some()), ("ok", true));
        }
        for d in dropped {
            assert_eq!(d.reason, "no_viable_provider");
            assert_eq!(
                (&d.provider, d.price_usd_per_hour, d.latency_ms, d.cost_usd),
                (&None, None, None, None)
            );
        }
    }

    #[test]
    fn a_refusal_is_told_from_a_choice_that_was_not_possible() {
        let (env, mut report) = first_step(Preset::Contended, Rule::Cheapest);
        report.decisions.truncate(2);
        report.decisions[0].resolution.fate = Fate::Held;
        report.decisions[1].resolution.fate = Fate::InfeasibleChoice;
        let all = decisions(&env, Position { run: RUN, episode: 0, first_sequence: 0 }, &report);
        assert_eq!((all[0].action, all[0].reason.as_str()), (Action::Hold, "held"));
        assert_eq!((all[1].action, all[1].reason.as_str()), (Action::Drop, "infeasible_choice"));
    }
}
