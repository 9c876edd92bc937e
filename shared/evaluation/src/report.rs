//! What an evaluation found, as data: figures of every policy with their intervals, and sentences about them.

use strum::IntoStaticStr;

use crate::{
    bounds::Digest,
    constrained::ConstraintReport,
    figures::Estimates,
    origin::{Origin, title},
    statistics::{BySeed, Estimate, Interval},
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
    /// How often the final seeds had been opened, this time included; `None` when these are not the final seeds.
    pub final_opening: Option<u64>,
    /// The learned policies first, then what they were before their training, then the hand rules.
    pub policies: Vec<PolicyReport>,
    /// The comparisons of rewards that the verdicts are about.
    pub comparisons: Vec<Comparison>,
    /// The best hand rule by mean reward.
    pub best_rule: String,
    /// The physical limit; `None` where it was not asked for, could not be solved, or does not know what is hidden.
    pub limit: Option<LimitReport>,
    /// How each constraint was kept, where something was constrained.
    pub constraints: Vec<ConstraintReport>,
    /// What the figures say, in plain sentences; "better" only where an interval excludes zero.
    pub verdicts: Vec<String>,
}

/// One policy's part.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyReport {
    /// The rule's or the algorithm's name.
    pub name: String,
    /// What it is.
    pub origin: Origin,
    /// Its figures.
    pub metrics: Estimates,
    /// Paired differences to the baseline, seed by seed.
    pub versus_baseline: Estimates,
    /// Paired differences to the best hand rule, seed by seed.
    pub versus_best_rule: Estimates,
    /// Paired differences to the same algorithm never trained, seed by seed: what training adds. `None` of what was not
    /// trained.
    pub versus_untrained: Option<Estimates>,
    /// (reward − baseline's) / (limit's − baseline's), on the steps whose limit was solved.
    pub gap_closed: Option<Interval>,
    /// (reward − `bid-price`'s) / (`bid-price-informed`'s − `bid-price`'s), where something is hidden.
    pub informed_gap_closed: Option<Interval>,
    /// The probability that its reward on a seed is above the baseline's on the same seed, a tie counting half.
    pub probability_of_improvement: Option<Interval>,
    /// Who gets what.
    pub fairness: Fairness,
    /// Its mean reward per request on each seed, of the trainings together.
    pub reward_by_seed: BySeed,
    /// Its reward minus the baseline's in each of equal parts of the episodes.
    pub gain_over_time: Vec<Option<Interval>>,
    /// Its mean reward per request on the steps whose limit was solved.
    pub reward_on_limit_steps: Option<Estimate>,
}

/// A comparison of the rewards of two policies on the same seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Which of the policies.
    pub policy: usize,
    /// With which other.
    pub other: usize,
    /// What the other one is to it.
    pub versus: Versus,
    /// How easily the difference would be this far from zero if there were none.
    pub p_value: f64,
    /// Whether the difference still shows when all comparisons of the evaluation are taken together (Holm 1979).
    pub holds: bool,
}

/// What a policy is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Versus {
    /// The same algorithm, never trained.
    Untrained,
    /// The baseline.
    Baseline,
    /// The best hand rule by mean reward.
    BestRule,
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
    /// Whether it comes from a learner, trained or not.
    #[must_use]
    pub fn is_learned(&self) -> bool {
        self.origin.learned().is_some()
    }

    /// Whether it is a program of whoever asked.
    #[must_use]
    pub fn is_command(&self) -> bool {
        matches!(self.origin, Origin::Command { .. })
    }

    /// Whether it was trained.
    #[must_use]
    pub fn is_trained(&self) -> bool {
        self.trained_episodes().is_some_and(|episodes| episodes > 0)
    }

    /// Episodes of each of its trainings; 0 of a learner that was never trained.
    #[must_use]
    pub fn trained_episodes(&self) -> Option<u32> {
        self.origin.learned().map(|learned| learned.trained_episodes)
    }

    /// What it is called among these.
    #[must_use]
    pub fn title(&self, policies: &[Self]) -> String {
        let others: Vec<(&str, &Origin)> =
            policies.iter().map(|other| (other.name.as_str(), &other.origin)).collect();
        title((&self.name, &self.origin), &others)
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
    use crate::origin::{Learned, Provenance, Training};

    fn policy(name: &str, origin: Origin) -> PolicyReport {
        PolicyReport {
            name: name.into(),
            origin,
            metrics: Estimates::of(|_| None),
            versus_baseline: Estimates::of(|_| None),
            versus_best_rule: Estimates::of(|_| None),
            versus_untrained: None,
            gap_closed: None,
            informed_gap_closed: None,
            probability_of_improvement: None,
            fairness: Fairness { by_tenant: vec![], by_size: vec![] },
            reward_by_seed: vec![],
            gain_over_time: vec![],
            reward_on_limit_steps: None,
        }
    }

    fn cem(trained_episodes: u32, artifacts: &[u8]) -> PolicyReport {
        let training =
            |byte: &u8| Training { artifact: [*byte; 32], first_seed: 1, provenance: Provenance::Unverified };
        let trainings = artifacts.iter().map(training).collect();
        policy("cem", Origin::Learned(Learned { trained_episodes, trainings }))
    }

    #[test]
    fn a_title_says_what_tells_a_policy_from_the_others_of_its_name() {
        let titles = |policies: &[PolicyReport]| -> Vec<String> {
            policies.iter().map(|policy| policy.title(policies)).collect()
        };
        let rule = policy("reserve", Origin::Rule);
        assert_eq!(titles(&[cem(20, &[0xab]), rule]), ["cem (abababab)", "reserve"]);
        assert_eq!(titles(&[cem(20, &[1, 2]), cem(0, &[])]), ["cem (2 trainings)", "cem, never trained"]);
        assert_eq!(titles(&[cem(1, &[1]), cem(20, &[2, 3])]), ["cem (1 episode)", "cem (20 episodes)"]);
        assert_eq!(titles(&[cem(20, &[1]), cem(20, &[2, 3])]), ["cem (01010101)", "cem (02020202)"]);
    }
}
