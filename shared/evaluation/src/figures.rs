//! The figures that policies are compared by: their names, where they come from, which way is better.

use routing_env::Metrics;
use strum::IntoStaticStr;

use crate::statistics::Estimate;

/// One figure of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Figure {
    /// Requests routed / requested.
    FillRate,
    /// GPU-hours served / requested.
    GpuHoursFill,
    /// Mean cost of a routed request, in USD.
    AvgCostUsd,
    /// Paid per GPU-hour served, in USD.
    CostPerGpuHourUsd,
    /// Paid / cheapest list price for the same hours.
    CostIndex,
    /// Fill rate of jobs below 3 GPU-hours.
    #[strum(serialize = "fill_by_size.under_3h")]
    FillUnder3h,
    /// Fill rate of jobs from 3 to below 6 GPU-hours.
    #[strum(serialize = "fill_by_size.from_3h_to_6h")]
    FillFrom3hTo6h,
    /// Fill rate of jobs from 6 GPU-hours on.
    #[strum(serialize = "fill_by_size.from_6h")]
    FillFrom6h,
    /// The worst tenant's GPU-hours fill.
    WorstTenantGpuHoursFill,
    /// Requests set aside / requested.
    DeferredShare,
    /// Mean latency of a routed request, waiting included, in ms.
    AvgLatencyMs,
    /// Mean reward per request.
    Reward,
}

impl Figure {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 12] = [
        Self::FillRate,
        Self::GpuHoursFill,
        Self::AvgCostUsd,
        Self::CostPerGpuHourUsd,
        Self::CostIndex,
        Self::FillUnder3h,
        Self::FillFrom3hTo6h,
        Self::FillFrom6h,
        Self::WorstTenantGpuHoursFill,
        Self::DeferredShare,
        Self::AvgLatencyMs,
        Self::Reward,
    ];

    /// The figures that unmask a policy which games the reward, each with true where more is better.
    pub const UNMASKING: [(Self, bool); 8] = [
        (Self::GpuHoursFill, true),
        (Self::FillUnder3h, true),
        (Self::FillFrom3hTo6h, true),
        (Self::FillFrom6h, true),
        (Self::WorstTenantGpuHoursFill, true),
        (Self::CostIndex, false),
        (Self::CostPerGpuHourUsd, false),
        (Self::DeferredShare, false),
    ];

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Its name in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::FillRate => "fill",
            Self::GpuHoursFill => "GPU-hours fill",
            Self::AvgCostUsd => "$ per request",
            Self::CostPerGpuHourUsd => "$ per GPU-hour",
            Self::CostIndex => "cost index",
            Self::FillUnder3h => "fill of jobs below 3 GPU-hours",
            Self::FillFrom3hTo6h => "fill of jobs from 3 to 6 GPU-hours",
            Self::FillFrom6h => "fill of jobs from 6 GPU-hours on",
            Self::WorstTenantGpuHoursFill => "the worst tenant's GPU-hours fill",
            Self::DeferredShare => "deferred share",
            Self::AvgLatencyMs => "latency (ms)",
            Self::Reward => "reward",
        }
    }

    /// True of a share of a whole, which lies between 0 and 1.
    #[must_use]
    pub fn is_share(self) -> bool {
        match self {
            Self::FillRate
            | Self::GpuHoursFill
            | Self::FillUnder3h
            | Self::FillFrom3hTo6h
            | Self::FillFrom6h
            | Self::WorstTenantGpuHoursFill
            | Self::DeferredShare => true,
            Self::AvgCostUsd
            | Self::CostPerGpuHourUsd
            | Self::CostIndex
            | Self::AvgLatencyMs
            | Self::Reward => false,
        }
    }

    /// The figure of one episode; `None` where nothing was counted.
    pub fn of(self, metrics: &Metrics) -> Option<f64> {
        let overall = &metrics.overall;
        match self {
            Self::FillRate => overall.fill_rate(),
            Self::GpuHoursFill => overall.gpu_hours_fill(),
            Self::AvgCostUsd => overall.avg_cost_usd(),
            Self::CostPerGpuHourUsd => overall.cost_per_gpu_hour_usd(),
            Self::CostIndex => overall.cost_index(),
            Self::FillUnder3h => metrics.sizes[0].fill_rate(),
            Self::FillFrom3hTo6h => metrics.sizes[1].fill_rate(),
            Self::FillFrom6h => metrics.sizes[2].fill_rate(),
            Self::WorstTenantGpuHoursFill => metrics.worst_tenant_gpu_hours_fill(),
            Self::DeferredShare => overall.deferred_share(),
            Self::AvgLatencyMs => overall.avg_latency_ms(),
            Self::Reward => overall.avg_reward(),
        }
    }
}

/// Every figure's estimate, or those of paired differences; `None` where no seed has data.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimates([Option<Estimate>; Figure::ALL.len()]);

impl Estimates {
    /// Asks for each figure's estimate.
    #[must_use]
    pub fn of(estimate: impl FnMut(Figure) -> Option<Estimate>) -> Self {
        Self(Figure::ALL.map(estimate))
    }

    /// A figure's estimate.
    #[must_use]
    pub fn get(&self, figure: Figure) -> Option<Estimate> {
        self.0[figure as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_finds_its_own_place_among_the_estimates() {
        let value = |figure: Figure| figure.name().len() as f64;
        let estimate =
            |mean| Estimate { mean, low: mean, high: mean, iqm: mean, std_dev: None, training_std_dev: None };
        let estimates = Estimates::of(|figure| Some(estimate(value(figure))));
        for (i, figure) in Figure::ALL.into_iter().enumerate() {
            assert_eq!(figure as usize, i);
            assert_eq!(estimates.get(figure).map(|e| e.mean), Some(value(figure)), "{}", figure.name());
        }
    }
}
