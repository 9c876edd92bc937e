mod calibration;
mod extremes;
mod simulator;

use crate::{
    intervention::{Effect, InterventionKind, InterventionStatus},
    window::Trial,
};

use super::*;
use simulator::{Simulator, quiet};

fn field() -> Field {
    Field::new("test", "", Settings::default())
}

#[test]
fn a_steady_swarm_reads_high_and_an_outage_of_its_main_provider_low_within_three_windows() {
    let (mut steady, mut low, mut unfound, mut falls) = (Vec::new(), 0, 0, 0);
    for seed in 0..30 {
        let (mut simulator, mut field) = (Simulator::new(seed, 10), field());
        for _ in 0..300 {
            let answer = field.step(&simulator.window()).unwrap().answer;
            if answer.window >= 60 {
                steady.push(answer.state.psi.unwrap());
            }
        }
        simulator.outage = true;
        let hit: Vec<_> = (0..3).map(|_| field.step(&simulator.window()).unwrap().answer).collect();
        low += usize::from(hit.iter().any(|a| a.state.psi.unwrap() < 0.5));
        unfound += usize::from(hit.iter().all(|a| a.anomaly.is_none()));
        falls += usize::from(
            hit.iter().any(|a| a.interventions.iter().any(|i| i.kind == InterventionKind::Nigredo)),
        );
    }
    let high = steady.iter().filter(|psi| **psi >= 0.85).count() as f64 / steady.len() as f64;
    assert!(high > 0.98, "Ψ is at least 0.85 in {high} of the steady windows");
    assert_eq!((low, unfound), (30, 0), "outages with Ψ below 0.5, outages that no anomaly told of");
    assert_eq!(falls, 30, "outages that were met by nigredo");
}

#[test]
fn a_steady_swarm_has_less_than_one_false_anomaly_in_a_thousand_windows() {
    let mut anomalies = 0;
    for seed in 100..105 {
        let (mut simulator, mut field) = (Simulator::new(seed, 10), field());
        for _ in 0..2000 {
            anomalies += u32::from(field.step(&simulator.window()).unwrap().answer.anomaly.is_some());
        }
    }
    assert!(anomalies <= 10, "{anomalies} anomalies in 10,000 steady windows");
}

#[test]
fn nothing_is_made_up_before_there_is_enough_data() {
    let mut field = field();
    let first = field.step(&quiet(0, &[0, 1])).unwrap().answer.state;
    assert_eq!(
        (first.psi, first.continuity, first.futurity, first.phase_coherence, first.prediction_error),
        (None, None, None, None, None)
    );
    assert_eq!(first.memory, Some(1.0 / 60.0));
    for number in 1..100 {
        field.step(&quiet(number, &[0, 1])).unwrap();
    }
    assert!(field.state().psi.unwrap() >= 0.85, "a swarm that never changes is steady: {:?}", field.state());
    assert_eq!(field.state().memory, Some(1.0));
}

#[test]
fn agents_may_join_leave_and_come_in_any_order_and_channels_may_be_absent() {
    let (mut one, mut other) = (field(), field());
    for number in 0..80 {
        let agents: Vec<u32> = if number < 40 { vec![1, 2, 3] } else { vec![2, 3, 4, 5] };
        let mut window = quiet(number, &agents);
        if number % 3 == 0 {
            window.swarm.avg_cost = None;
            window.agents[0].mean_reward = None;
        }
        let a = one.step(&window).unwrap().answer;
        window.agents.reverse();
        assert_eq!(a, other.step(&window).unwrap().answer);
    }
}

#[test]
fn an_agent_twice_a_gap_and_an_unknown_acknowledgement_change_nothing() {
    let mut field = field();
    field.step(&quiet(0, &[0])).unwrap();
    let before = field.clone();
    assert_eq!(
        field.step(&quiet(1, &[3, 4, 3])).unwrap_err(),
        StepError::DuplicateAgent(DuplicateAgent { agent: 3, index: 2 })
    );
    assert_eq!(field.step(&quiet(5, &[0])).unwrap_err(), StepError::WrongNumber { given: 5, expected: 1 });
    let id = uuid::Uuid::from_u128(7);
    let window = Window { acknowledged: vec![id], ..quiet(1, &[0]) };
    assert_eq!(field.step(&window).unwrap_err(), StepError::Intervention(InterventionError::Unknown(id)));
    assert_eq!(field, before);
}

#[test]
fn what_nobody_acknowledged_when_a_swarm_ends_expires_and_comes_back_by_no_replay() {
    let mut field = field();
    field.step(&quiet(0, &[0])).unwrap();
    let wish = |reason: &str| Wish {
        kind: InterventionKind::Albedo,
        targets: vec![0],
        reason: reason.into(),
        evidence: serde_json::Map::new(),
    };
    let delivered = field.request(wish("delivered"), None).unwrap();
    assert_eq!(field.step(&quiet(1, &[0])).unwrap().answer.interventions, [delivered.intervention]);
    let waiting = field.request(wish("waiting"), None).unwrap();
    let expired = field.end();
    let told: Vec<_> = expired.iter().map(|r| (r.intervention.reason.as_str(), r.status)).collect();
    let status = InterventionStatus::Expired;
    assert_eq!(told, [("delivered", status), ("waiting", status)]);
    field.replay(waiting.intervention);
    assert!(field.has_ended() && field.end().is_empty());
    assert_eq!(field.interventions().map(|(_, record)| record).collect::<Vec<_>>(), expired);
    let restored = Field::restore("test", field.snapshot().unwrap()).unwrap();
    assert_eq!(restored, field);
}

/// Steady, then an outage: the field issues a nigredo at the returned window.
fn hit(field: &mut Field, simulator: &mut Simulator) -> Intervention {
    for _ in 0..100 {
        assert_eq!(field.step(&simulator.window()).unwrap().answer.interventions, []);
    }
    simulator.outage = true;
    for _ in 0..3 {
        if let Some(intervention) = field.step(&simulator.window()).unwrap().answer.interventions.pop() {
            return intervention;
        }
    }
    panic!("no intervention within three windows of the outage");
}

fn trial(intervention: &Intervention, adopted: bool, effect: Option<Effect>) -> Trial {
    Trial { intervention: intervention.id, adopted, effect }
}

fn effect(gain: f64) -> Effect {
    Effect {
        forks: 12,
        windows: 40,
        reward_without: 2.0,
        reward_with: 2.0 + gain,
        difference_ci_low: gain - 0.5,
        difference_ci_high: gain + 0.5,
    }
}

#[test]
fn what_was_tried_is_assessed_by_its_forks_and_what_did_not_prove_itself_is_declined() {
    for (adopted, status) in [(true, InterventionStatus::Assessed), (false, InterventionStatus::Declined)] {
        let (mut field, mut simulator) = (field(), Simulator::new(42, 10));
        let intervention = hit(&mut field, &mut simulator);
        let window =
            Window { trials: vec![trial(&intervention, adopted, Some(effect(1.0)))], ..simulator.window() };
        let changed = field.step(&window).unwrap().changed;
        assert_eq!(changed.iter().map(|c| c.status).collect::<Vec<_>>(), [status]);
        assert_eq!(changed[0].effect, Some(effect(1.0)));
        for _ in 0..20 {
            let changed = field.step(&simulator.window()).unwrap().changed;
            let again = changed.iter().filter(|c| c.intervention.id == intervention.id);
            assert_eq!(again.count(), 0, "before and after say no more of it");
        }
    }
}

#[test]
fn what_could_not_be_tried_and_was_applied_all_the_same_is_compared_with_before() {
    let (mut field, mut simulator) = (field(), Simulator::new(42, 10));
    let intervention = hit(&mut field, &mut simulator);
    let window = Window { trials: vec![trial(&intervention, true, None)], ..simulator.window() };
    let changed = field.step(&window).unwrap().changed;
    assert_eq!(changed.iter().map(|c| c.status).collect::<Vec<_>>(), [InterventionStatus::Acknowledged]);
    let later: Vec<_> = (0..20).flat_map(|_| field.step(&simulator.window()).unwrap().changed).collect();
    let assessed = later.iter().find(|c| c.status == InterventionStatus::Assessed).unwrap();
    assert!(assessed.assessment.is_some() && assessed.effect.is_none());
}

#[test]
fn a_trial_of_what_was_never_issued_changes_nothing() {
    let (mut field, mut simulator) = (field(), Simulator::new(42, 10));
    let intervention = hit(&mut field, &mut simulator);
    let before = field.clone();
    let unknown = uuid::Uuid::from_u128(7);
    let of_unknown = Trial { intervention: unknown, adopted: false, effect: None };
    let trials = vec![trial(&intervention, true, Some(effect(1.0))), of_unknown];
    let window = Window { trials, ..simulator.window() };
    let error = field.step(&window).unwrap_err();
    assert_eq!(error, StepError::Intervention(InterventionError::Unknown(unknown)));
    assert_eq!(field, before);
}

#[test]
fn nothing_is_commanded_to_those_who_neither_learn_nor_explore() {
    let (mut field, mut simulator) = (field(), Simulator::new(42, 10));
    let mut intervened = 0;
    for window in 0..200 {
        simulator.outage = window >= 100;
        let mut window = simulator.window();
        for agent in &mut window.agents {
            (agent.epsilon, agent.q_table_size, agent.mean_abs_td_error) = (0.0, 0, None);
        }
        intervened += field.step(&window).unwrap().answer.interventions.len();
    }
    assert_eq!(intervened, 0);
}

#[test]
fn a_nigredo_is_issued_acknowledged_and_assessed() {
    let (mut field, mut simulator) = (field(), Simulator::new(42, 10));
    let intervention = hit(&mut field, &mut simulator);
    assert_eq!(intervention.kind, InterventionKind::Nigredo);
    assert_eq!(intervention.targets.len(), 2, "a fifth of ten agents");
    assert!(!intervention.by_operator && intervention.reason.contains("reward"));

    let window = Window { acknowledged: vec![intervention.id], ..simulator.window() };
    let at = window.number;
    let changed = field.step(&window).unwrap().changed;
    assert_eq!(changed.iter().map(|c| c.status).collect::<Vec<_>>(), [InterventionStatus::Acknowledged]);
    assert_eq!(changed[0].acknowledged_at_window, Some(at));
    // Said again, it is no news.
    simulator.outage = false;
    let again = Window { acknowledged: vec![intervention.id], ..simulator.window() };
    assert_eq!(field.step(&again).unwrap().changed, []);
    let mut assessed = Vec::new();
    for _ in 0..8 {
        let step = field.step(&simulator.window()).unwrap();
        assert_eq!(step.answer.interventions, [], "the cooldown holds");
        assessed.extend(step.changed);
    }
    assert_eq!(assessed.len(), 1);
    let assessment = assessed[0].assessment.as_ref().unwrap();
    assert_eq!((assessed[0].status, assessment.windows), (InterventionStatus::Assessed, 10));
    let difference = assessment.reward_after - assessment.reward_before;
    assert!(assessment.difference_ci_low < difference && difference < assessment.difference_ci_high);
}

#[test]
fn an_intervention_that_is_never_acknowledged_is_reported_as_expired() {
    let (mut field, mut simulator) = (field(), Simulator::new(43, 10));
    let intervention = hit(&mut field, &mut simulator);
    let mut changed = Vec::new();
    for _ in 0..3 {
        assert_eq!(changed, []);
        changed = field.step(&simulator.window()).unwrap().changed;
    }
    assert_eq!(changed[0].intervention.id, intervention.id);
    assert_eq!(changed[0].status, InterventionStatus::Expired);
}

#[test]
fn the_same_windows_give_the_same_identities_and_another_swarm_others() {
    let id = |swarm: &str| {
        let mut field = Field::new(swarm, "", Settings::default());
        hit(&mut field, &mut Simulator::new(44, 10)).id
    };
    assert_eq!(id("a"), id("a"));
    assert_ne!(id("a"), id("b"));
}

#[test]
fn an_operators_intervention_comes_with_the_next_answer_and_starts_the_cooldown() {
    let mut field = field();
    field.step(&quiet(0, &[4, 9])).unwrap();
    let wish = |kind, reason: &str| Wish {
        kind,
        targets: vec![],
        reason: reason.into(),
        evidence: Default::default(),
    };
    let record = field.request(wish(InterventionKind::Albedo, "try"), None).unwrap();
    assert_eq!(record.intervention.targets, [4, 9]);
    assert_eq!(record.intervention.parameters.epsilon_factor, Some(1.5));
    assert_eq!(
        field.request(wish(InterventionKind::Albedo, "try"), None).unwrap(),
        record,
        "asked twice, it is one"
    );
    assert!(field.request(wish(InterventionKind::Albedo, "other"), None).is_err());
    field.request(wish(InterventionKind::Nigredo, "both kinds at once"), None).unwrap();
    let keyed = wish(InterventionKind::Albedo, "once more");
    let third = field.request(keyed.clone(), Some("key")).unwrap();
    let restored = Field::restore("test", field.snapshot().unwrap()).unwrap();
    assert_eq!(restored, field);

    let step = field.step(&quiet(1, &[4, 9])).unwrap();
    assert_eq!(step.answer.interventions.len(), 3);
    assert_eq!(step.answer.interventions[0], record.intervention);
    assert_eq!(step.changed, [], "it was on record since it was asked for");
    assert_eq!(field.step(&quiet(2, &[4, 9])).unwrap().answer.interventions, []);
    assert_eq!(field.last_intervention_at(), Some(1));
    let again = field.request(keyed, Some("key")).unwrap();
    assert_eq!(again.intervention, third.intervention, "the same key, long after it was delivered");
    // Replayed after a restart from before its window, it is delivered again; from after it, it is not.
    let mut later = field.clone();
    later.replay(record.intervention);
    assert_eq!(later, field);
}

#[test]
fn no_intervention_is_forgotten_before_it_is_done_with() {
    let settings = Settings { expires_after_windows: 500, ..Settings::default() };
    let mut field = Field::new("test", "", settings);
    let wish = |reason: String| Wish {
        kind: InterventionKind::Albedo,
        targets: vec![0],
        reason,
        evidence: Default::default(),
    };
    let mut issued = Vec::new();
    for window in 0..10 {
        field.step(&quiet(window, &[0])).unwrap();
        for one in 0..100 {
            let key = format!("{window}-{one}");
            issued.push(field.request(wish(key.clone()), Some(&key)).unwrap().intervention);
        }
    }
    field.step(&quiet(10, &[0])).unwrap();
    let refused = |field: &mut Field| field.request(wish("more".into()), Some("more"));
    assert_eq!(refused(&mut field), Err(InterventionError::TooManyOpen));
    let there = |field: &Field| field.interventions().map(|(_, r)| r.intervention).collect::<Vec<_>>();
    assert_eq!(there(&field), issued, "all of them are there");

    // Acknowledged, the first is done with after its assessment, or when there are no rewards for one.
    let silent = |number, acknowledged: &[uuid::Uuid]| {
        let mut window = quiet(number, &[0]);
        window.agents.iter_mut().for_each(|agent| agent.mean_reward = None);
        window.swarm.mean_reward = None;
        window.acknowledged = acknowledged.to_vec();
        window
    };
    field.step(&silent(11, &[issued[0].id])).unwrap();
    for window in 12..111 {
        field.step(&silent(window, &[])).unwrap();
        assert_eq!(refused(&mut field), Err(InterventionError::TooManyOpen), "{window}");
    }
    field.step(&silent(111, &[])).unwrap();
    issued.push(refused(&mut field).unwrap().intervention);
    field.step(&quiet(112, &[0])).unwrap();
    assert_eq!(there(&field), issued[1..], "what was done with made room");
}

#[test]
fn a_swarm_that_has_one_choice_left_and_loses_its_footing_is_told_to_explore() {
    let (mut field, mut simulator) = (field(), Simulator::new(45, 10));
    for _ in 0..100 {
        assert_eq!(field.step(&simulator.window()).unwrap().answer.interventions, []);
    }
    let mut issued = Vec::new();
    for doubling in 0..6 {
        // All at one provider, and what is earned there runs away: nothing falls, but nothing is understood.
        let mut window = simulator.window();
        window.swarm.provider_shares = vec![1.0, 0.0, 0.0, 0.0, 0.0];
        window.swarm.mean_reward = None;
        for agent in &mut window.agents {
            agent.mean_reward = Some(100.0 * 2.0_f64.powi(doubling));
        }
        issued.extend(field.step(&window).unwrap().answer.interventions);
    }
    assert_eq!(issued.iter().map(|i| i.kind).collect::<Vec<_>>(), [InterventionKind::Albedo]);
    assert_eq!(issued[0].targets, (0..10).collect::<Vec<u32>>(), "all explore");
    assert_eq!(issued[0].parameters.epsilon_max, Some(0.3));
}

#[test]
fn a_snapshot_in_the_middle_goes_on_exactly_as_if_nothing_had_happened() {
    let (mut field, mut simulator) = (field(), Simulator::new(46, 25));
    let mut windows: Vec<Window> = (0..120).map(|_| simulator.window()).collect();
    simulator.outage = true;
    windows.extend((0..30).map(|_| simulator.window()));
    let mut restored: Option<Field> = None;
    for (i, window) in windows.iter().enumerate() {
        let answer = field.step(window).unwrap();
        if let Some(restored) = &mut restored {
            assert_eq!(restored.step(window).unwrap(), answer);
        }
        if i % 13 == 7 {
            // Through text, as it travels and is stored.
            let text = serde_json::to_string(&field.snapshot().unwrap()).unwrap();
            restored = Some(Field::restore("test", serde_json::from_str(&text).unwrap()).unwrap());
        }
    }
    assert!(restored.unwrap().same_past(&field));
}

#[test]
fn a_snapshot_of_another_window_or_form_is_refused() {
    let snapshot = field().snapshot().unwrap();
    let moved = Snapshot { next_window: 3, ..snapshot.clone() };
    assert!(Field::restore("test", moved).unwrap_err().to_string().contains("next window is 0"));
    let mut broken = snapshot;
    broken.field["levels"] = serde_json::json!([]);
    assert!(matches!(Field::restore("test", broken), Err(SnapshotError::Malformed(_))));
}

#[test]
fn a_snapshot_begins_a_swarm_of_any_name() {
    let restored = Field::restore("other", field().snapshot().unwrap()).unwrap();
    assert_eq!(restored.swarm(), "other");
}
