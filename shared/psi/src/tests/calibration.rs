//! Whether one window in a thousand is a surprise, whatever the channels are like.

use crate::window::SwarmWindow;
use rand::SeedableRng;
use rand_distr::{ChiSquared, Distribution, StandardNormal, StudentT};
use rand_pcg::Pcg64Mcg;

use super::{SURPRISE, field, simulator::quiet};

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
