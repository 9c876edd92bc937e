//! One call as one step of the environment: its requests in its market.

use std::sync::Arc;

use api::{
    FieldError, Hash,
    policies::{Alternative, DecisionRequest},
    remembrancer::Decision,
};
use policy::StepReport;
use routing_env::{Episode, Preference, Preferences, Reward, Rewards};
use serde_json::Value;
use tokio::sync::OwnedMutexGuard;

use super::{
    ServeError,
    alternatives::alternatives,
    requests::given,
    stream::{CallPosition, Desk, Stream},
};
use crate::{
    decisions::{Position, decisions},
    run_config::of_preference,
};

/// What was decided: for each request the decision and the providers that it did not take.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decided {
    pub(super) decisions: Vec<Decision>,
    pub(super) alternatives: Vec<Vec<Alternative>>,
}

/// Decides on a thread of its own; the stream comes back as it was.
pub(super) async fn decide(
    stream: OwnedMutexGuard<Stream>,
    asked: Arc<DecisionRequest>,
    place: CallPosition,
) -> Result<(OwnedMutexGuard<Stream>, Decided), ServeError> {
    let work = move || {
        let mut stream = stream;
        let digest = stream.policy.digest;
        let Some(desk) = stream.desk.as_mut() else {
            return Err(ServeError::Internal("the stream is not open".to_owned()));
        };
        let decided = decide_step(desk, &asked, digest, place)?;
        Ok((stream, decided))
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| ServeError::Internal(error.to_string()))?
}

/// The decisions are a function of the policy, the call and the stream's place: what is random in a policy
/// is drawn from the sequence number of the first decision.
fn decide_step(
    desk: &mut Desk,
    asked: &DecisionRequest,
    digest: Hash,
    place: CallPosition,
) -> Result<Decided, ServeError> {
    let CallPosition { session, call, first_sequence } = place;
    let (requests, market) = given(&desk.environment, asked).map_err(ServeError::Invalid)?;
    desk.prefer(asked.preference.as_ref()).map_err(|wrong| ServeError::Invalid(vec![wrong]))?;
    let Desk { environment, swarm, wanted: reward, .. } = desk;
    let mut episode = Episode::of_step(environment, market.clone(), requests, first_sequence, *reward);
    let mut report = StepReport::new(environment);
    swarm.begin_episode(first_sequence);
    swarm.run_step(&mut episode, *reward, &mut report);
    report.step = call;
    report.policy_version = 0; // it learns from none of the stream's steps
    let position = Position { run: digest, episode: session, first_sequence };
    let decisions = decisions(environment, position, &report);
    let alternatives = alternatives(environment, swarm, market, &episode.outcome());
    Ok(Decided { decisions, alternatives })
}

impl Desk {
    /// Decides for those who want this from now on; for what the policy was trained for where nothing is said.
    pub(super) fn prefer(&mut self, asked: Option<&Value>) -> Result<(), FieldError> {
        let wanted = asked.map(|asked| Preference::asked(asked, &self.environment)).transpose();
        self.decide_for(wanted.map_err(of_preference)?)
    }

    /// Decides for those who want this in a deployment, where tenants may want something of their own: what is paid there.
    pub(super) fn prefer_by_tenant(&mut self, asked: Option<&Value>) -> Result<Rewards, FieldError> {
        let wanted = asked.map(|asked| Preferences::asked(asked, &self.environment)).transpose();
        let wanted = wanted.map_err(of_preference)?;
        self.decide_for(wanted.as_ref().map(|wanted| wanted.all))?;
        let wanted = wanted.filter(|wanted| !wanted.tenants.is_empty());
        if wanted.as_ref().is_some_and(|wanted| !self.swarm.reprice(wanted)) {
            return Err(self.heeds_none());
        }
        Ok(Rewards { all: self.wanted, tenants: wanted.map(|wanted| wanted.tenants).unwrap_or_default() })
    }

    fn decide_for(&mut self, wanted: Option<Preference>) -> Result<(), FieldError> {
        let wanted = wanted.map_or(self.reward, Reward::Preference);
        if wanted == self.wanted {
            return Ok(());
        }
        let preference = wanted.preference().unwrap_or(Preference::EXCESS_COST);
        if !self.swarm.prefer(preference, &self.environment) && wanted != self.reward {
            return Err(self.heeds_none());
        }
        self.wanted = wanted;
        Ok(())
    }

    fn heeds_none(&self) -> FieldError {
        let detail = format!(
            "expected none, because what this policy has learned are the values of what it was trained for ({}): ask a \
             hand rule or a policy of adaptive or cem, or train one for it",
            self.reward
        );
        FieldError { pointer: "/preference".into(), detail }
    }
}

#[cfg(test)]
mod tests {
    use api::{
        policies::{AlternativeReason, ProviderNow, RoutingRequest, TenantNow},
        remembrancer::Action,
    };
    use policy::{Rule, Swarm};
    use routing_env::{Environment, Preset};
    use serde_json::json;

    use super::*;

    fn desk(rule: Rule, preset: Preset) -> Desk {
        let environment = Environment::built_in(preset);
        let swarm = Swarm::of_rule(rule, &environment);
        let reward = Reward::EXCESS_COST;
        Desk { environment, swarm, reward, wanted: reward }
    }

    fn decide(desk: &mut Desk, asked: &DecisionRequest, first_sequence: u64) -> Decided {
        let place = CallPosition { session: 2, call: 9, first_sequence };
        decide_step(desk, asked, Hash([7; 32]), place).unwrap()
    }

    /// An A100 in eu-west-1 at most 600 ms away: akash (1.8 $, 300 ms), flux (1.7 $, 330 ms) and aethir (2.5 $,
    /// 260 ms) serve it.
    fn inference(hours: f64) -> RoutingRequest {
        RoutingRequest {
            tenant: "tenant-dao".into(),
            workload: "llm_inference".into(),
            gpu_hours: hours,
            ..RoutingRequest::default()
        }
    }

    fn one(request: RoutingRequest) -> DecisionRequest {
        DecisionRequest { requests: vec![request], ..DecisionRequest::default() }
    }

    #[test]
    fn a_decision_has_the_catalogs_figures_where_the_caller_gives_none() {
        let decided = decide(&mut desk(Rule::Cheapest, Preset::Default), &one(inference(2.0)), 5);
        let decision = &decided.decisions[0];
        assert_eq!((decision.run, decision.sequence, decision.policy_version), (Hash([7; 32]), 5, 0));
        assert_eq!((decision.episode, decision.step), (2, 9));
        assert_eq!((decision.action, decision.provider.as_deref()), (Action::Route, Some("flux")));
        assert_eq!((decision.price_usd_per_hour, decision.latency_ms), (Some(1.7), Some(330.0)));
        assert_eq!(decision.cost_usd, Some(3.4));
    }

    /// Flux at 1.7 $ and 330 ms, aethir at 2.5 $ and 260 ms: which one is best depends on what is wanted.
    #[test]
    fn a_call_says_what_is_wanted_and_the_next_one_may_want_something_else() {
        let mut desk = desk(Rule::GreedyReward, Preset::Default);
        let mut provider = |preference: serde_json::Value| {
            let preference = Some(preference).filter(|preference| !preference.is_null());
            let asked = DecisionRequest { preference, ..one(inference(2.0)) };
            let place = CallPosition { session: 2, call: 9, first_sequence: 0 };
            decide_step(&mut desk, &asked, Hash([7; 32]), place)
                .map(|decided| decided.decisions[0].provider.clone().unwrap())
        };
        assert_eq!(provider(json!("cheap")).unwrap(), "flux");
        assert_eq!(provider(json!({"latency": 1})).unwrap(), "aethir");
        assert_eq!(provider(json!("cheap")).unwrap(), "flux");
        let usual = provider(json!(null)).unwrap();
        assert_eq!(provider(json!("balanced")).unwrap(), usual);
        let Err(ServeError::Invalid(wrong)) = provider(json!({"price": 3})) else { panic!("it was taken") };
        assert!(wrong[0].pointer.starts_with("/preference"), "{wrong:?}");
    }

    #[test]
    fn every_other_provider_is_told_with_the_reason() {
        let decided = decide(&mut desk(Rule::Cheapest, Preset::Default), &one(inference(2.0)), 0);
        use AlternativeReason::{GpuType, NotChosen, Region};
        let reasons: Vec<_> =
            decided.alternatives[0].iter().map(|a| (a.provider.as_str(), a.reason)).collect();
        assert_eq!(
            reasons,
            [
                ("akash", NotChosen),
                ("ionet", Region),
                ("render", GpuType),
                ("aethir", NotChosen),
                ("vast", Region),
                ("salad", GpuType)
            ]
        );
        let akash = &decided.alternatives[0][0];
        assert_eq!((akash.expected_cost_usd, akash.expected_latency_ms), (Some(3.6), Some(300.0)));
        assert_eq!(akash.score, Some(-1.8));
        let vast = &decided.alternatives[0][4];
        assert_eq!((vast.expected_cost_usd, vast.expected_latency_ms, vast.score), (None, None, None));
    }

    #[test]
    fn each_decided_request_takes_its_capacity_before_the_next_one() {
        let flux =
            ProviderNow { id: "flux".into(), remaining_gpu_hours: Some(3.0), ..ProviderNow::default() };
        let asked = DecisionRequest {
            requests: vec![inference(2.0), inference(2.0), inference(1.0)],
            providers: vec![flux],
            ..DecisionRequest::default()
        };
        let decided = decide(&mut desk(Rule::Cheapest, Preset::Default), &asked, 0);
        let providers: Vec<_> = decided.decisions.iter().map(|d| d.provider.as_deref().unwrap()).collect();
        assert_eq!(providers, ["flux", "akash", "flux"]);
        let flux = decided.alternatives[1].iter().find(|a| a.provider == "flux").unwrap();
        assert_eq!(flux.reason, AlternativeReason::Capacity);
        assert_eq!(flux.detail, "1 GPU-hours are left, 2 are needed");
    }

    #[test]
    fn what_the_caller_says_of_now_counts_for_every_kind_of_reason() {
        let now = |id: &str| ProviderNow { id: id.into(), ..ProviderNow::default() };
        let reasons = |providers: Vec<ProviderNow>, tenants: Vec<TenantNow>| {
            let asked =
                DecisionRequest { requests: vec![inference(2.0)], providers, tenants, preference: None };
            let decided = decide(&mut desk(Rule::Cheapest, Preset::Default), &asked, 0);
            let of = |id| decided.alternatives[0].iter().find(|a| a.provider == id).map(|a| a.reason);
            (decided.decisions[0].provider.clone(), of("flux"))
        };
        let (akash, aethir) = (Some("akash".to_owned()), Some("aethir".to_owned()));
        let flux = |reason| (akash.clone(), Some(reason));
        assert_eq!(
            reasons(vec![ProviderNow { available: Some(false), ..now("flux") }], vec![]),
            flux(AlternativeReason::Outage)
        );
        assert_eq!(
            reasons(vec![ProviderNow { latency_ms: Some(601.0), ..now("flux") }], vec![]),
            flux(AlternativeReason::Latency)
        );
        assert_eq!(
            reasons(vec![ProviderNow { reputation: Some(57.0), ..now("flux") }], vec![]),
            flux(AlternativeReason::Reputation)
        );
        assert_eq!(
            reasons(vec![ProviderNow { price_multiplier: Some(1.1), ..now("flux") }], vec![]),
            flux(AlternativeReason::NotChosen)
        );
        // 5 $ for 2 hours: 2.5 $ an hour, which only aethir costs with the others twice as dear
        let twice = |id| ProviderNow { price_multiplier: Some(2.0), ..now(id) };
        let budget = vec![TenantNow { id: "tenant-dao".into(), remaining_budget_usd: 5.0 }];
        assert_eq!(
            reasons(vec![twice("flux"), twice("akash")], budget),
            (aethir, Some(AlternativeReason::Budget))
        );
    }

    #[test]
    fn a_request_that_nobody_can_take_is_dropped_with_all_the_reasons() {
        let asked = one(RoutingRequest { max_latency_ms: Some(100.0), ..inference(2.0) });
        let decided = decide(&mut desk(Rule::Cheapest, Preset::Default), &asked, 0);
        assert_eq!(decided.decisions[0].action, Action::Drop);
        assert_eq!(decided.decisions[0].reason, "no_viable_provider");
        assert_eq!(decided.alternatives[0].len(), 7);
        assert!(decided.alternatives[0].iter().all(|a| a.reason != AlternativeReason::NotChosen));
    }

    #[test]
    fn the_same_requests_at_the_same_place_are_decided_the_same_way() {
        let mut desk = desk(Rule::Random, Preset::Contended);
        let asked = DecisionRequest { requests: vec![inference(0.1); 200], ..DecisionRequest::default() };
        let first = decide(&mut desk, &asked, 40);
        decide(&mut desk, &asked, 240);
        assert_eq!(decide(&mut desk, &asked, 40), first);
        assert_ne!(
            decide(&mut desk, &asked, 41).decisions.iter().map(|d| &d.provider).collect::<Vec<_>>(),
            first.decisions.iter().map(|d| &d.provider).collect::<Vec<_>>()
        );
        assert!(first.decisions.iter().all(|d| (d.propensity - 1.0 / 3.0).abs() < 1e-12));
    }

    #[test]
    fn a_policy_holds_only_where_its_environment_lets_it() {
        // at 3.9 times the price forty hours cost far more than they earn, anywhere
        let dear =
            |id: &str| ProviderNow { id: id.into(), price_multiplier: Some(3.9), ..ProviderNow::default() };
        let asked = DecisionRequest {
            requests: vec![RoutingRequest { tenant: "tenant-research".into(), ..inference(40.0) }],
            providers: ["akash", "flux", "aethir"].map(dear).to_vec(),
            ..DecisionRequest::default()
        };
        let action = |preset| decide(&mut desk(Rule::GreedyReward, preset), &asked, 0).decisions[0].action;
        assert_eq!(action(Preset::Default), Action::Route);
        assert_eq!(action(Preset::Contended), Action::Hold);
    }
}
