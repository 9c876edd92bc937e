//! What an evaluation found, as data: figures of every policy with their intervals, and sentences about them.

use strum::IntoStaticStr;

use crate::{
    bounds::Digest,
    figures::Estimates,
    statistics::{Estimate, Interval},
};

/// What an evaluation found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// SHA-256 of the environment's canonical JSON.
    pub environment_digest: Digest,
    /// The preset's name.
    pub environment: String,
    /// Steps of each episode.
    pub steps: u32,
    /// The seeds that every policy met.
    pub seeds: Vec<u64>,
    /// The learned policies first, then the hand rules.
    pub policies: Vec<PolicyReport>,
    /// The best hand rule by mean reward.
    pub best_rule: String,
    /// The physical limit; `None` where it was not asked for, could not be solved, or does not know what is hidden.
    pub limit: Option<LimitReport>,
    /// What the figures say, in plain sentences; "better" only where an interval excludes zero.
    pub verdicts: Vec<String>,
}

/// One policy's part.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyReport {
    /// The rule's or the algorithm's name.
    pub name: String,
    /// True of a rule that is told what is hidden from the others: it competes with nobody.
    pub reference: bool,
    /// The policy's artifact, when it was trained.
    pub artifact: Option<Digest>,
    /// Episodes that it was trained for, when it was trained.
    pub trained_episodes: Option<u32>,
    /// Its figures.
    pub metrics: Estimates,
    /// Paired differences to the baseline, seed by seed.
    pub versus_baseline: Estimates,
    /// Paired differences to the best hand rule, seed by seed.
    pub versus_best_rule: Estimates,
    /// (reward − baseline's) / (limit's − baseline's), on the steps whose limit was solved.
    pub gap_closed: Option<Interval>,
    /// (reward − `bid-price`'s) / (`bid-price-informed`'s − `bid-price`'s), where something is hidden.
    pub informed_gap_closed: Option<Interval>,
    /// The probability that its reward on a seed is above the baseline's on the same seed, a tie counting half.
    pub probability_of_improvement: Option<Interval>,
    /// Who gets what.
    pub fairness: Fairness,
    /// Its mean reward per request on each seed.
    pub reward_by_seed: Vec<Option<f64>>,
    /// Its reward minus the baseline's in each of equal parts of the episodes.
    pub gain_over_time: Vec<Option<Interval>>,
    /// Its mean reward per request on the steps whose limit was solved.
    pub reward_on_limit_steps: Option<Estimate>,
}

/// Who gets what.
#[derive(Clone, Debug, PartialEq)]
pub struct Fairness {
    /// By tenant, in the workloads' order.
    pub by_tenant: Vec<TenantReport>,
    /// By job size, the smallest first.
    pub by_size: Vec<SizeReport>,
}

/// A tenant's figures.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantReport {
    /// The tenant's id.
    pub tenant: String,
    /// Requests routed / requested.
    pub fill_rate: Option<Estimate>,
    /// GPU-hours served / requested.
    pub gpu_hours_fill: Option<Estimate>,
    /// Paid per GPU-hour served, in USD.
    pub cost_per_gpu_hour_usd: Option<Estimate>,
    /// Mean latency of a routed request, waiting included, in ms.
    pub avg_latency_ms: Option<Estimate>,
}

/// A job's size by its GPU-hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum JobSize {
    /// Below 3 GPU-hours.
    #[strum(serialize = "under_3h")]
    Under3h,
    /// From 3 to below 6.
    #[strum(serialize = "from_3h_to_6h")]
    From3hTo6h,
    /// From 6 on.
    #[strum(serialize = "from_6h")]
    From6h,
}

impl JobSize {
    /// All of them, in the order in which an episode's metrics keep them.
    pub const ALL: [Self; 3] = [Self::Under3h, Self::From3hTo6h, Self::From6h];

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Its name in a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Under3h => "jobs below 3 GPU-hours",
            Self::From3hTo6h => "jobs from 3 to 6 GPU-hours",
            Self::From6h => "jobs from 6 GPU-hours on",
        }
    }
}

/// The figures of jobs of a size.
#[derive(Clone, Debug, PartialEq)]
pub struct SizeReport {
    /// The size.
    pub size: JobSize,
    /// Requests routed / requested.
    pub fill_rate: Option<Estimate>,
    /// GPU-hours served / requested.
    pub gpu_hours_fill: Option<Estimate>,
}

/// The physical limit: the optimum of a linear program that every policy's step is a solution of.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitReport {
    /// The highest share of requests routed.
    pub fill_rate: Option<Estimate>,
    /// The lowest mean cost of a routed request at the highest fill, in USD.
    pub avg_cost_usd: Option<Estimate>,
    /// The lowest mean latency of a routed request at the highest fill, in ms.
    pub avg_latency_ms: Option<Estimate>,
    /// The highest mean reward per request, whatever is routed for it.
    pub reward: Option<Estimate>,
    /// (limit's reward − baseline's) / |baseline's|: how much there is to gain over the baseline.
    pub headroom: Option<Interval>,
    /// Steps that were solved, over all seeds.
    pub steps_solved: u64,
    /// Steps of all episodes.
    pub steps_total: u64,
    /// How to read it: which steps, and that cost and latency are compared at equal fill only.
    pub note: String,
}

impl PolicyReport {
    /// Whether it was trained.
    #[must_use]
    pub fn is_learned(&self) -> bool {
        self.artifact.is_some()
    }

    /// Its name, and of a learned one what tells it from the others of that name: how long it was trained, or else the
    /// start of its artifact's name.
    #[must_use]
    pub fn title(&self, policies: &[Self]) -> String {
        let Some(artifact) = self.artifact else { return self.name.clone() };
        let is_other = |p: &&Self| p.name == self.name && p.artifact != self.artifact;
        let others: Vec<&Self> = policies.iter().filter(is_other).collect();
        let told_apart =
            !others.is_empty() && others.iter().all(|p| p.trained_episodes != self.trained_episodes);
        let what = match self.trained_episodes.filter(|_| told_apart) {
            Some(1) => "1 episode".to_owned(),
            Some(episodes) => format!("{episodes} episodes"),
            None => artifact[..4].iter().map(|byte| format!("{byte:02x}")).collect(),
        };
        format!("{} ({what})", self.name)
    }
}

impl Report {
    /// What each policy is called in tables, charts and sentences.
    #[must_use]
    pub fn titles(&self) -> Vec<String> {
        self.policies.iter().map(|policy| policy.title(&self.policies)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, artifact: Option<u8>, trained_episodes: Option<u32>) -> PolicyReport {
        PolicyReport {
            name: name.into(),
            reference: false,
            artifact: artifact.map(|byte| [byte; 32]),
            trained_episodes,
            metrics: Estimates::of(|_| None),
            versus_baseline: Estimates::of(|_| None),
            versus_best_rule: Estimates::of(|_| None),
            gap_closed: None,
            informed_gap_closed: None,
            probability_of_improvement: None,
            fairness: Fairness { by_tenant: vec![], by_size: vec![] },
            reward_by_seed: vec![],
            gain_over_time: vec![],
            reward_on_limit_steps: None,
        }
    }

    #[test]
    fn a_title_says_what_tells_a_policy_from_the_others_of_its_name() {
        let titles = |policies: &[PolicyReport]| -> Vec<String> {
            policies.iter().map(|policy| policy.title(policies)).collect()
        };
        let rule = || policy("reserve", None, None);
        assert_eq!(titles(&[policy("cem", Some(0xab), Some(20)), rule()]), ["cem (abababab)", "reserve"]);
        let curve = [policy("cem", Some(1), Some(1)), policy("cem", Some(2), Some(20))];
        assert_eq!(titles(&curve), ["cem (1 episode)", "cem (20 episodes)"]);
        let twins = [policy("cem", Some(1), Some(20)), policy("cem", Some(2), Some(20))];
        assert_eq!(titles(&twins), ["cem (01010101)", "cem (02020202)"]);
    }
}
