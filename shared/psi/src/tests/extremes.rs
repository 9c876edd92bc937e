//! Whatever comes, the field stays finite.

use crate::window::{AgentWindow, SwarmWindow, Window};
use proptest::prelude::*;

use super::{Field, Snapshot, field, quiet};

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
    let open = proptest::collection::btree_map("[ab]", extreme(), 0..3);
    let agents = proptest::collection::vec(agent, 0..8);
    let time = proptest::option::of(prop_oneof![any::<i64>(), 0..2_000_000_000_i64]);
    (agents, channels, proptest::collection::vec(share, 0..4), open, time).prop_map(
        |(agents, channels, provider_shares, open, time)| Window {
            number: 0,
            time,
            channels: open,
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
            trials: Vec::new(),
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

/// Whether a snapshot is taken with one figure of it changed: then it goes on, and can be taken again.
fn goes_on(mut snapshot: Snapshot, pointer: &str, value: &serde_json::Value) -> bool {
    let next = snapshot.next_window;
    *snapshot.field.pointer_mut(pointer).unwrap() = value.clone();
    let Ok(mut field) = Field::restore("test", snapshot) else { return false };
    for number in next..next + 12 {
        field.step(&quiet(number, &[0, 1, 2])).unwrap();
    }
    let text = serde_json::to_string(&field.snapshot().unwrap()).unwrap();
    let again = Field::restore("test", serde_json::from_str(&text).unwrap());
    assert_eq!(again.as_ref(), Ok(&field), "{pointer} = {value}");
    true
}

#[test]
fn a_snapshot_goes_on_or_is_refused_whatever_figure_of_it_was_changed() {
    let mut field = field();
    for number in 0..40 {
        field.step(&quiet(number, &[0, 1, 2])).unwrap();
    }
    let snapshot = field.snapshot().unwrap();
    let mut pointers = Vec::new();
    numbers_in(&snapshot.field, String::new(), &mut pointers);
    let mut refused = 0;
    for pointer in &pointers {
        for value in ["1e308", "-1e308", "-5", "5e-324", "0", "9007199254740991", "18446744073709551615"] {
            let value = serde_json::from_str(value).unwrap();
            refused += usize::from(!goes_on(snapshot.clone(), pointer, &value));
        }
    }
    // of every figure at least those that no field comes to
    assert!(refused > 2 * pointers.len(), "{refused} of {}", 7 * pointers.len());
}

fn numbers_in(value: &serde_json::Value, at: String, into: &mut Vec<String>) {
    match value {
        serde_json::Value::Number(_) => into.push(at),
        serde_json::Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| numbers_in(item, format!("{at}/{i}"), into));
        }
        serde_json::Value::Object(members) => {
            members.iter().for_each(|(key, item)| numbers_in(item, format!("{at}/{key}"), into));
        }
        _ => {}
    }
}
