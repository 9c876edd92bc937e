use api::psi_field::{AgentWindow, InterventionKind, InterventionStatus, SwarmWindow, Window};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_distr::{ChiSquared, Distribution, LogNormal, Poisson, StandardNormal, StudentT};
use rand_pcg::Pcg64Mcg;

use super::*;

/// A swarm that routes to five providers: Poisson demand, lognormal costs, each request one draw, so that
/// the windows' figures move together as real ones do.
struct Simulator {
    generator: Pcg64Mcg,
    agents: u32,
    number: u64,
    /// The main provider is out.
    outage: bool,
}

const SHARES: [f64; 5] = [0.34, 0.22, 0.18, 0.16, 0.10];
const COSTS: [f64; 5] = [2.6, 3.0, 3.2, 3.5, 3.9];
const LATENCIES: [f64; 5] = [290.0, 320.0, 300.0, 340.0, 380.0];

impl Simulator {
    fn new(seed: u64, agents: u32) -> Self {
        Self { generator: Pcg64Mcg::seed_from_u64(seed), agents, number: 0, outage: false }
    }

    fn window(&mut self) -> Window {
        let requests = Poisson::new(286.0).unwrap().sample(&mut self.generator) as usize;
        let spread = LogNormal::new(-0.125, 0.5).unwrap();
        let (mut routed, mut hours, mut hours_routed, mut cost, mut latency) = (0.0, 0.0, 0.0, 0.0, 0.0);
        let mut shares = [0.0; 5];
        let mut rewards = vec![(0.0, 0u64); self.agents as usize];
        for request in 0..requests {
            let size: f64 = spread.sample(&mut self.generator);
            hours += size;
            let mut provider = self.pick();
            let mut filled = self.generator.random::<f64>() < 0.965;
            if self.outage && provider == 0 {
                // Half of what it took finds no other place.
                filled &= self.generator.random::<f64>() < 0.5;
                while provider == 0 {
                    provider = self.pick();
                }
            }
            let mut reward = 0.0;
            if filled {
                let noise: f64 = StandardNormal.sample(&mut self.generator);
                let millis = LATENCIES[provider] * (1.0 + 0.1 * noise);
                reward = 50.0 - 3.0 * (COSTS[provider] - 2.6) * size - 0.02 * millis;
                routed += 1.0;
                hours_routed += size;
                cost += COSTS[provider] * size;
                latency += millis;
                shares[provider] += 1.0;
            }
            let agent = &mut rewards[request % self.agents as usize];
            *agent = (agent.0 + reward, agent.1 + 1);
        }
        let total: f64 = rewards.iter().map(|r| r.0).sum();
        let number = self.number;
        self.number += 1;
        Window {
            number,
            agents: (0..)
                .zip(rewards)
                .map(|(agent, (sum, decisions))| AgentWindow {
                    agent,
                    mean_reward: (decisions > 0).then(|| sum / decisions as f64),
                    mean_abs_td_error: Some(
                        if self.outage { 9.0 } else { 3.0 } + self.generator.random::<f64>(),
                    ),
                    epsilon: 0.1,
                    q_table_size: 100,
                    decisions,
                })
                .collect(),
            swarm: SwarmWindow {
                fill_rate: Some(routed / requests as f64),
                gpu_hours_fill: Some(hours_routed / hours),
                avg_cost: Some(cost / routed),
                avg_latency_ms: Some(latency / routed),
                mean_reward: Some(total / requests as f64),
                provider_shares: shares.iter().map(|s| s / routed).collect(),
            },
            acknowledged: Vec::new(),
        }
    }

    fn pick(&mut self) -> usize {
        let mut left: f64 = self.generator.random();
        for (provider, share) in SHARES.iter().enumerate() {
            left -= share;
            if left < 0.0 {
                return provider;
            }
        }
        SHARES.len() - 1
    }
}

fn field() -> Field {
    Field::new("test", "", Settings::default())
}

fn quiet(number: u64, agents: &[u32]) -> Window {
    Window {
        number,
        agents: agents
            .iter()
            .map(|agent| AgentWindow {
                agent: *agent,
                mean_reward: Some(40.0),
                mean_abs_td_error: None,
                epsilon: 0.1,
                q_table_size: 1,
                decisions: 5,
            })
            .collect(),
        swarm: SwarmWindow {
            fill_rate: Some(1.0),
            gpu_hours_fill: None,
            avg_cost: Some(3.0),
            avg_latency_ms: None,
            mean_reward: Some(40.0),
            provider_shares: Vec::new(),
        },
        acknowledged: Vec::new(),
    }
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

/// Rate of p < 0.001 over 100,000 windows of the channels that `draw` gives, after 2,000 to learn.
fn alarm_rate(mut draw: impl FnMut(&mut Pcg64Mcg) -> [f64; 4], seed: u64) -> f64 {
    let mut generator = Pcg64Mcg::seed_from_u64(seed);
    let (mut field, mut alarms) = (field(), 0);
    for number in 0..102_000 {
        let [a, b, c, d] = draw(&mut generator);
        let mut window = quiet(number, &[0]);
        window.swarm = SwarmWindow {
            fill_rate: Some(0.5 + 0.01 * a),
            gpu_hours_fill: Some(0.5 + 0.02 * b),
            avg_cost: Some(3.0 + 0.3 * c),
            avg_latency_ms: Some(300.0 + 20.0 * d),
            mean_reward: None,
            provider_shares: Vec::new(),
        };
        let answer = field.watch(&window).unwrap().answer;
        if number >= 2000 && answer.state.prediction_error.unwrap() > SURPRISE {
            alarms += 1;
        }
    }
    f64::from(alarms) / 100_000.0
}

fn correlated(generator: &mut Pcg64Mcg, mut draw: impl FnMut(&mut Pcg64Mcg) -> f64) -> [f64; 4] {
    let common = draw(generator);
    [0; 4].map(|_| 0.8_f64.sqrt() * common + 0.2_f64.sqrt() * draw(generator))
}

#[test]
fn the_false_alarm_rate_holds_for_heavy_tails_and_for_channels_that_move_together() {
    let t5 = StudentT::new(5.0).unwrap();
    let normal = |g: &mut Pcg64Mcg| -> f64 { StandardNormal.sample(g) };
    let cases: [(&str, f64); 5] = [
        ("normal, independent", alarm_rate(|g| [0; 4].map(|_| normal(g)), 1)),
        ("normal, correlated .8", alarm_rate(|g| correlated(g, normal), 2)),
        ("t5, independent", alarm_rate(|g| [0; 4].map(|_| t5.sample(g)), 3)),
        ("t5, correlated .8", alarm_rate(|g| correlated(g, |g| t5.sample(g)), 4)),
        (
            "multivariate t5, correlated .8",
            alarm_rate(
                |g| {
                    // One draw decides the scale of all four: the textbook's multivariate t.
                    let chi2: f64 = ChiSquared::new(5.0).unwrap().sample(g);
                    correlated(g, normal).map(|x| x * (5.0 / chi2).sqrt())
                },
                5,
            ),
        ),
    ];
    for (name, rate) in cases {
        assert!((0.0003..=0.003).contains(&rate), "{name}: {rate}");
    }
}

#[test]
fn the_false_alarm_rate_holds_for_a_level_that_wanders() {
    let mut level = [0.0; 4];
    let rate = alarm_rate(
        |g| {
            for l in &mut level {
                let step: f64 = StandardNormal.sample(g);
                *l = 0.98 * *l + 0.3 * step;
            }
            level.map(|l| {
                let noise: f64 = StandardNormal.sample(g);
                l + noise
            })
        },
        6,
    );
    assert!((0.0003..=0.003).contains(&rate), "{rate}");
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

/// Steady, then an outage: the field issues a nigredo at the returned window.
fn hit(field: &mut Field, simulator: &mut Simulator) -> api::psi_field::Intervention {
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
fn a_snapshot_of_another_swarm_window_or_form_is_refused() {
    let snapshot = field().snapshot().unwrap();
    assert!(Field::restore("other", snapshot.clone()).unwrap_err().to_string().contains("swarm is test"));
    let moved = api::psi_field::Snapshot { next_window: 3, ..snapshot.clone() };
    assert!(Field::restore("test", moved).unwrap_err().to_string().contains("next window is 0"));
    let mut broken = snapshot;
    broken.field["levels"] = serde_json::json!([]);
    assert!(matches!(Field::restore("test", broken), Err(SnapshotError::Malformed(_))));
}

#[test]
fn a_window_of_ten_thousand_agents_takes_well_under_fifty_milliseconds() {
    let mut simulator = Simulator::new(47, 10_000);
    let mut field = field();
    let windows: Vec<Window> = (0..20).map(|_| simulator.window()).collect();
    let start = std::time::Instant::now();
    for window in &windows {
        field.clone().step(window).unwrap();
        field.step(window).unwrap();
    }
    let mean = start.elapsed() / 40;
    assert!(mean.as_millis() < 50, "{mean:?} a window");
}

fn extreme() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("JSON has finite numbers only", |x| x.is_finite()),
        proptest::sample::select(vec![
            0.0,
            -0.0,
            1e308,
            -1e308,
            f64::MIN_POSITIVE,
            5e-324,
            -5e-324,
            1.0,
            40.0
        ]),
        -100.0..100.0_f64,
    ]
}

fn wild_window() -> impl Strategy<Value = Window> {
    let agent =
        (0u32..8, proptest::option::of(extreme()), proptest::option::of(extreme().prop_map(f64::abs)));
    let share = prop_oneof![Just(0.0), Just(1.0), Just(5e-324), 0.0..1.0_f64];
    let channels = proptest::collection::vec(proptest::option::of(extreme()), 5);
    (proptest::collection::vec(agent, 1..8), channels, proptest::collection::vec(share, 0..4)).prop_map(
        |(agents, channels, provider_shares)| Window {
            number: 0,
            agents: agents
                .into_iter()
                .map(|(agent, mean_reward, mean_abs_td_error)| AgentWindow {
                    agent,
                    mean_reward,
                    mean_abs_td_error,
                    epsilon: 0.1,
                    q_table_size: 0,
                    decisions: 1,
                })
                .collect(),
            swarm: SwarmWindow {
                fill_rate: channels[0].map(|x| x.abs().min(1.0)),
                gpu_hours_fill: channels[1].map(|x| x.abs().min(1.0)),
                avg_cost: channels[2],
                avg_latency_ms: channels[3],
                mean_reward: channels[4],
                provider_shares,
            },
            acknowledged: Vec::new(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_term_is_finite_and_within_zero_and_one_whatever_comes(
        windows in proptest::collection::vec(wild_window(), 30..80)
    ) {
        let mut field = field();
        for mut window in windows {
            window.number = field.next_window();
            window.agents.sort_by_key(|a| a.agent);
            window.agents.dedup_by_key(|a| a.agent);
            let answer = field.step(&window).unwrap().answer;
            let s = &answer.state;
            for term in [s.psi, s.continuity, s.futurity, s.phase_coherence, s.entropy, s.prediction_error, s.memory] {
                prop_assert!(term.is_none_or(|t| (0.0..=1.0).contains(&t)), "{s:?}");
            }
            if let Some(anomaly) = &answer.anomaly {
                for channel in &anomaly.channels {
                    prop_assert!([channel.z_score, channel.observed, channel.expected].iter().all(|x| x.is_finite()));
                }
                prop_assert!(anomaly.agents.iter().all(|a| a.z_score.is_finite()));
            }
            // What is not finite becomes null in JSON, which a snapshot would not come back from.
            let text = serde_json::to_string(&field.snapshot().unwrap()).unwrap();
            prop_assert_eq!(&Field::restore("test", serde_json::from_str(&text).unwrap()).unwrap(), &field);
        }
    }
}
