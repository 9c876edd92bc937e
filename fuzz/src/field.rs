//! Windows of a swarm, ordinary and extraordinary ones.

use std::collections::BTreeMap;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use psi::{
    answer::WindowAnswer,
    window::{AgentWindow, SwarmWindow, Window},
};

/// Windows as the API lets them in: finite figures, shares and rates from 0 to 1.
#[derive(Debug)]
pub struct Windows(Vec<Window>);

impl<'a> Arbitrary<'a> for Windows {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let mut windows = Vec::new();
        while !bytes.is_empty() && windows.len() < 96 {
            // The same window often comes many times: only then there is something to deviate from.
            let times = *bytes.choose(&[1_usize, 1, 2, 12, 30])?;
            let window = window(bytes)?;
            windows.extend(std::iter::repeat_n(window, times));
        }
        windows.truncate(160);
        Ok(Self(windows))
    }
}

impl Windows {
    /// The windows with the numbers that they must have, from this one on.
    #[must_use]
    pub fn in_order(self, first: u64) -> Vec<Window> {
        (first..).zip(self.0).map(|(number, window)| Window { number, ..window }).collect()
    }
}

/// Windows of a swarm that does well.
#[must_use]
pub fn ordinary_windows(first: u64) -> Vec<Window> {
    let window = |i: u64| {
        let wave = (i % 5) as f64 / 50.0;
        let agent = |agent| AgentWindow {
            agent,
            mean_reward: Some(30.0 + wave * f64::from(agent + 1)),
            mean_abs_td_error: Some(1.0 + wave),
            epsilon: 0.1,
            q_table_size: i,
            decisions: 20,
        };
        Window {
            number: first.saturating_add(i),
            agents: (0..3).map(agent).collect(),
            swarm: SwarmWindow {
                fill_rate: Some(0.9 + wave),
                gpu_hours_fill: Some(0.8 + wave),
                avg_cost: Some(12.0 - wave),
                avg_latency_ms: Some(200.0 + wave),
                mean_reward: Some(31.0 + wave),
                provider_shares: vec![0.5 - wave, 0.5 + wave],
            },
            time: Some(300 * i as i64),
            channels: BTreeMap::from([("open".to_owned(), wave)]),
            acknowledged: Vec::new(),
            trials: Vec::new(),
        }
    };
    (0..24).map(window).collect()
}

/// Every term is from 0 to 1, and every figure of an anomaly is one.
///
/// # Panics
/// When it is not so.
pub fn answer_is_sound(answer: &WindowAnswer) {
    let s = &answer.state;
    for term in [s.psi, s.continuity, s.futurity, s.phase_coherence, s.entropy, s.prediction_error, s.memory]
    {
        assert!(term.is_none_or(|term| (0.0..=1.0).contains(&term)), "{s:?}");
    }
    if let Some(anomaly) = &answer.anomaly {
        for channel in &anomaly.channels {
            let figures = [channel.z_score, channel.observed, channel.expected];
            assert!(figures.iter().all(|figure| figure.is_finite()), "{channel:?}");
        }
        assert!(anomaly.agents.iter().all(|agent| agent.z_score.is_finite()), "{:?}", anomaly.agents);
    }
    for intervention in &answer.interventions {
        let evidence = serde_json::to_string(&intervention.evidence).expect("JSON");
        assert!(!evidence.contains("null"), "a figure behind a reason is none: {evidence}");
    }
}

fn window(bytes: &mut Unstructured<'_>) -> arbitrary::Result<Window> {
    let agents = bytes.int_in_range(1..=6_u32)?;
    let first: u32 = bytes.int_in_range(0..=3)?;
    let agent = |bytes: &mut Unstructured<'_>, agent| {
        Ok(AgentWindow {
            agent,
            mean_reward: option(bytes, number)?,
            mean_abs_td_error: option(bytes, number)?.map(f64::abs),
            epsilon: share(bytes)?,
            q_table_size: bytes.arbitrary()?,
            decisions: bytes.arbitrary()?,
        })
    };
    let agents = (first..first + agents).map(|number| agent(bytes, number)).collect::<Result<_, _>>()?;
    let swarm = SwarmWindow {
        fill_rate: option(bytes, share)?,
        gpu_hours_fill: option(bytes, share)?,
        avg_cost: option(bytes, number)?,
        avg_latency_ms: option(bytes, number)?,
        mean_reward: option(bytes, number)?,
        provider_shares: (0..bytes.int_in_range(0..=4)?).map(|_| share(bytes)).collect::<Result<_, _>>()?,
    };
    let names = ["a", "b", "c"].into_iter().take(bytes.int_in_range(0..=3)?);
    let channels =
        names.map(|name| number(bytes).map(|value| (name.to_owned(), value))).collect::<Result<_, _>>()?;
    let time = if bytes.arbitrary()? { Some(bytes.arbitrary()?) } else { None };
    Ok(Window { number: 0, time, agents, swarm, channels, acknowledged: Vec::new(), trials: Vec::new() })
}

fn option(
    bytes: &mut Unstructured<'_>,
    figure: fn(&mut Unstructured<'_>) -> arbitrary::Result<f64>,
) -> arbitrary::Result<Option<f64>> {
    if bytes.ratio(1_u8, 8_u8)? { Ok(None) } else { figure(bytes).map(Some) }
}

fn number(bytes: &mut Unstructured<'_>) -> arbitrary::Result<f64> {
    if bytes.ratio(1_u8, 2_u8)? {
        return Ok(f64::from(bytes.arbitrary::<i16>()?) / 100.0);
    }
    let any: f64 = bytes.arbitrary()?;
    Ok(if any.is_finite() { any } else { f64::MAX })
}

fn share(bytes: &mut Unstructured<'_>) -> arbitrary::Result<f64> {
    let ordinary = f64::from(bytes.arbitrary::<u8>()?) / 255.0;
    Ok(if ordinary == 0.2 { 5e-324 } else { ordinary })
}
