//! Figures made up by formula, of any number of episodes, policies, tenants and seeds.

use api::{
    Hash,
    evaluator::{
        Coverage, Estimate, EvaluationResult, Fairness, FillBySize, Front, FrontPoint, Fronts, JobSize,
        LimitFront, LimitResult, MetricEstimates, PointOutcome, PolicyResult, Share, SizeEstimates,
        TenantEstimates, Weights,
    },
    trainer::EpisodeMetrics,
};
use plots::Figure;

/// A number in [0, 1) that looks random, the same for the same place.
fn noise(place: u64) -> f64 {
    let mixed = place.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11) as f64 / (1u64 << 53) as f64
}

/// A run that learns; psi-field is on.
pub(crate) fn episodes(count: u32) -> Vec<EpisodeMetrics> {
    (0..count).map(|episode| metrics(episode, count)).collect()
}

/// A run that nobody watched and that had no request.
pub(crate) fn empty_episodes(count: u32) -> Vec<EpisodeMetrics> {
    let empty = |episode| EpisodeMetrics { episode, epsilon: 0.1, ..EpisodeMetrics::default() };
    (0..count).map(empty).collect()
}

fn metrics(episode: u32, count: u32) -> EpisodeMetrics {
    let progress = 1.0 - (-4.0 * f64::from(episode) / f64::from(count.max(2))).exp();
    let noise = |which: u64| noise(u64::from(episode) * 16 + which) - 0.5;
    EpisodeMetrics {
        episode,
        avg_reward: Some(39.0 + 2.5 * progress + noise(0)),
        fill_rate: Some(0.93 + 0.045 * progress + 0.01 * noise(1)),
        gpu_hours_fill: Some(0.86 + 0.03 * progress + 0.02 * noise(2)),
        avg_cost_usd: Some(3.3 - 0.2 * progress + 0.1 * noise(3)),
        avg_latency_ms: Some(325.0 - 10.0 * progress + 8.0 * noise(4)),
        epsilon: 0.3 * (1.0 - progress) + 0.01,
        q_table_size: 800 + u64::from(episode),
        psi: Some(0.95 + 0.08 * noise(5)),
        continuity: Some(0.9 + 0.1 * noise(6)),
        prediction_error: Some(0.4 + 0.5 * noise(7)),
        interventions: u32::from(noise(8) > 0.35) + u32::from(noise(8) > 0.45),
        cost_index: Some(1.16),
        cost_per_gpu_hour_usd: Some(2.1 - 0.1 * progress + 0.05 * noise(9)),
        deferred_share: Some(0.03),
        worst_tenant_gpu_hours_fill: Some(0.76),
        baseline_reward: Some(39.8 + noise(0)),
        nigredo: Some(u32::from(noise(8) > 0.35)),
        albedo: Some(u32::from(noise(8) > 0.45)),
    }
}

/// How large an evaluation is.
pub(crate) struct Size {
    pub(crate) learned: usize,
    pub(crate) tenants: usize,
    pub(crate) seeds: usize,
    pub(crate) long_names: bool,
    /// Steps whose limit was solved, of 2400.
    pub(crate) limit: Option<u64>,
}

impl Default for Size {
    fn default() -> Self {
        Self { learned: 1, tenants: 4, seeds: 20, long_names: false, limit: Some(2400) }
    }
}

const RULES: [(&str, f64); 11] = [
    ("weighted-score", 39.996),
    ("cheapest", 40.191),
    ("fastest", 39.863),
    ("random", 39.450),
    ("greedy-reward", 40.362),
    ("reserve", 41.518),
    ("defer-large", 41.520),
    ("bid-price", 41.535),
    ("bid-price-adaptive", 41.524),
    ("bid-price-informed", 41.60),
    ("nothing-special", 40.0),
];

/// The charts of a result whose learned policies are told apart by their artifacts.
pub(crate) fn figures(result: &EvaluationResult) -> Vec<Figure> {
    plots::evaluation_figures(result, &titles(result))
}

pub(crate) fn titles(result: &EvaluationResult) -> Vec<String> {
    let title = |policy: &PolicyResult| match policy.policy_sha256 {
        Some(sha256) => format!("{} ({})", policy.name, &sha256.to_string()[..8]),
        None => policy.name.clone(),
    };
    result.policies.iter().map(title).collect()
}

pub(crate) fn evaluation(size: &Size) -> EvaluationResult {
    let names = (0..size.learned).map(|i| ("afterstate", 41.55 - 0.05 * i as f64)).chain(RULES);
    let baseline = by_seed(RULES[0].1, 0, size.seeds);
    let policies = names.enumerate().map(|(i, (name, reward))| {
        let learned = i < size.learned;
        let rewards = by_seed(reward, i as u64, size.seeds);
        let difference = rewards.iter().zip(&baseline).map(|(a, b)| a - b).sum::<f64>() / size.seeds as f64;
        PolicyResult {
            name: name.into(),
            learned,
            reference: name == "bid-price-informed",
            policy_sha256: learned.then(|| Hash([i as u8 + 10; 32])),
            trained_episodes: learned.then_some(20),
            trainings: vec![],
            programs: None,
            metrics: estimates(reward),
            versus_baseline: only_reward(estimate(difference, 0.1)),
            versus_best_rule: only_reward(estimate(reward - 41.535, 0.1)),
            versus_untrained: None,
            gap_closed: Some(Share { mean: 0.94, ci_low: 0.92, ci_high: 0.96 }),
            informed_gap_closed: None,
            probability_of_improvement: Some(Share { mean: 1.0, ci_low: 0.9, ci_high: 1.0 }),
            fairness: fairness(size, reward),
            gain_over_time: gain_over_time(difference),
            reward_by_seed: rewards.into_iter().map(Some).collect(),
            reward_on_limit_steps: size
                .limit
                .map(|steps| estimate(if steps == 2400 { reward } else { reward + 0.1 }, 0.15)),
        }
    });
    EvaluationResult {
        environment_digest: Hash([1; 32]),
        environment: "contended".into(),
        steps: 120,
        seeds: (0..size.seeds as u64).map(|i| (1 << 32) + i).collect(),
        final_opening: None,
        values_sha256: None,
        comparisons: vec![],
        policies: policies.collect(),
        best_rule: Some("bid-price".into()),
        fronts: None,
        logged: None,
        limit: size.limit.map(|steps_solved| LimitResult {
            fill_rate: Some(estimate(0.982, 0.003)),
            avg_cost_usd: Some(estimate(2.94, 0.03)),
            avg_latency_ms: Some(estimate(315.0, 1.0)),
            reward: Some(estimate(41.633, 0.1)),
            headroom: None,
            steps_solved,
            steps_total: 2400,
            note: "All steps.".into(),
        }),
        constraints: vec![],
        verdicts: vec!["afterstate is better than the baseline weighted-score.".into()],
    }
}

/// So many trained policies, each a little behind the limit, the baseline and two other rules, under nine preferences.
pub(crate) fn under_many(trained: usize) -> EvaluationResult {
    let front = |name: String, learned: bool, behind: f64| Front {
        name,
        learned,
        reference: false,
        trained_episodes: learned.then_some(20),
        trainings: vec![],
        points: (0..9).map(|i| point(i, behind)).collect(),
        coverage: Coverage { hypervolume: 1.0 - behind, expected_utility: 35.0 - behind },
        least_gap_closed: Some(0.9 - behind),
        mean_gap_closed: Some(0.95 - behind),
    };
    let rules = [("weighted-score", 0.5), ("reserve", 0.2), ("bid-price", 0.1)];
    let rules = rules.map(|(name, behind)| front(name.to_owned(), false, behind));
    let learned = (0..trained).map(|i| front(format!("adaptive ({i}{i})"), true, 0.05 + 0.05 * i as f64));
    let coverage = Coverage { hypervolume: 1.0, expected_utility: 35.5 };
    let fronts = Fronts {
        policies: rules.into_iter().chain(learned).collect(),
        rules: coverage,
        limit: LimitFront { points: (0..9).map(|i| point(i, 0.0)).collect(), coverage },
        reference: PointOutcome { served: 0.5, gpu_hours: 0.6, excess_cost_usd: 0.9, latency_ms: 340.0 },
    };
    let result = evaluation(&Size { learned: 0, ..Size::default() });
    EvaluationResult { policies: vec![], best_rule: None, limit: None, fronts: Some(fronts), ..result }
}

/// Three prices of latency to each of three prices of cost.
fn point(i: usize, behind: f64) -> FrontPoint {
    let (cost, latency) = ([0.5, 3.0, 8.0][i / 3], [0.002, 0.02, 0.08][i % 3]);
    let (thrift, haste) = ((i / 3) as f64, (i % 3) as f64);
    FrontPoint {
        weights: Weights { request: 50.0, gpu_hour: 0.0, cost, latency },
        reward: 40.0 - behind,
        outcome: PointOutcome { served: 0.98, gpu_hours: 1.4, excess_cost_usd: 0.5, latency_ms: 310.0 },
        gap_closed: Some(Share { mean: 1.0 - behind, ci_low: 0.9 - behind, ci_high: 1.0 }),
        fill_rate: Some(0.98 - 0.05 * behind),
        gpu_hours_fill: Some(0.9 - 0.01 * thrift - 0.012 * haste - 0.06 * behind),
        gpu_hours_fill_by_size: None,
        cost_per_gpu_hour_usd: Some(2.05 - 0.04 * thrift + 0.07 * haste + 0.1 * behind),
        avg_latency_ms: Some(330.0 - 15.0 * haste + 8.0 * behind),
    }
}

/// Most of it comes after a while, and one part has no data.
fn gain_over_time(gain: f64) -> Vec<Option<Share>> {
    let share = |i: u32| {
        let mean = gain * (1.0 - (-f64::from(i) / 4.0).exp());
        (i != 11).then_some(Share { mean, ci_low: mean - 0.1, ci_high: mean + 0.1 })
    };
    (0..24).map(share).collect()
}

fn by_seed(mean: f64, policy: u64, seeds: usize) -> Vec<f64> {
    (0..seeds as u64).map(|seed| mean + noise(seed) + 0.4 * noise(policy * 1000 + seed)).collect()
}

pub(crate) fn estimate(mean: f64, half: f64) -> Estimate {
    Estimate {
        mean,
        ci_low: mean - half,
        ci_high: mean + half,
        iqm: mean,
        std_dev: Some(half),
        training_std_dev: None,
    }
}

fn estimates(reward: f64) -> MetricEstimates {
    let gain = (reward - 39.996) / 1.6;
    MetricEstimates {
        fill_rate: Some(estimate(0.9505 + 0.028 * gain, 0.003)),
        gpu_hours_fill: Some(estimate(0.89 + 0.003 * gain, 0.004)),
        avg_cost_usd: Some(estimate(3.09 - 0.1 * gain, 0.03)),
        cost_per_gpu_hour_usd: Some(estimate(2.07 - 0.07 * gain, 0.02)),
        cost_index: Some(estimate(1.18 - 0.01 * gain, 0.01)),
        fill_by_size: FillBySize { under_3h: None, from_3h_to_6h: None, from_6h: None },
        worst_tenant_gpu_hours_fill: Some(estimate(0.768, 0.01)),
        deferred_share: Some(estimate(0.03, 0.001)),
        avg_latency_ms: Some(estimate(325.0 - 9.0 * gain, 1.5)),
        reward: Some(estimate(reward, 0.12)),
    }
}

pub(crate) fn only_reward(reward: Estimate) -> MetricEstimates {
    MetricEstimates {
        fill_rate: None,
        gpu_hours_fill: None,
        avg_cost_usd: None,
        cost_per_gpu_hour_usd: None,
        cost_index: None,
        fill_by_size: FillBySize { under_3h: None, from_3h_to_6h: None, from_6h: None },
        worst_tenant_gpu_hours_fill: None,
        deferred_share: None,
        avg_latency_ms: None,
        reward: Some(reward),
    }
}

fn fairness(size: &Size, reward: f64) -> Fairness {
    let tenant = |i: usize| {
        let fill = 0.75 + 0.2 * noise(i as u64) + 0.01 * (reward - 40.0);
        TenantEstimates {
            tenant: if size.long_names {
                format!("department-of-computational-biology-and-genomics/production-{i}")
            } else {
                format!("tenant-{i}")
            },
            fill_rate: Some(estimate(fill, 0.02)),
            gpu_hours_fill: Some(estimate(fill, 0.02)),
            cost_per_gpu_hour_usd: None,
            avg_latency_ms: None,
        }
    };
    let of_size = |(size, fill)| SizeEstimates {
        size,
        fill_rate: Some(estimate(fill, 0.01)),
        gpu_hours_fill: Some(estimate(fill, 0.01)),
    };
    let sizes = [(JobSize::Under3h, 0.99), (JobSize::From3hTo6h, 0.9), (JobSize::From6h, 0.7)];
    Fairness {
        by_tenant: (0..size.tenants).map(tenant).collect(),
        by_size: sizes.into_iter().map(of_size).collect(),
    }
}
