//! How scarce providers and budgets will become in the rest of a step.

use routing_env::{Candidate, Environment, Market, Request};

use crate::prices::forecast::Beliefs;

/// It is worked out anew so many times a step, and scaled by what is still to come in between.
const PARTS: f64 = 8.0;

/// How often demand is spread again, away from the providers that it presses on most.
const ROUNDS: usize = 3;

/// Keeps what is divided by above 0.
const LEAST: f64 = 1e-9;

/// What the rest of a step demands of each provider and each budget.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pressure {
    part: u32,
    /// The share of the step's requests that was still to come when it was worked out.
    to_come: f64,
    /// By provider: GPU-hours, where all demand goes to where it presses least.
    hours: Vec<f64>,
    /// By provider: GPU-hours that no other provider could take.
    critical_hours: Vec<f64>,
    /// By tenant: USD, at the lowest feasible prices.
    spend: Vec<f64>,
}

/// Jobs that are to come and where they could go.
struct Stream {
    tenant: usize,
    hours: f64,
    candidates: Vec<Candidate>,
}

impl Pressure {
    /// Whether it stands for this part of the step.
    pub(crate) fn is_of(&self, phase: f64) -> bool {
        self.part == part(phase)
    }

    /// Works it out when `seen` requests of the step have come, which are this share of it.
    pub(crate) fn new(
        env: &Environment,
        market: &Market,
        beliefs: &Beliefs,
        seen: usize,
        phase: f64,
    ) -> Self {
        let (providers, tenants) = (market.providers().len(), market.budgets().len());
        let mut spend = vec![0.0; tenants];
        let mut streams = Vec::new();
        let mut candidates = Vec::new();
        for jobs in beliefs.jobs_to_come(env, seen) {
            let size = (jobs.hours[0] + jobs.hours[1]) / 2.0;
            // where a job can go depends on its tenant, its GPU type and its size alone
            let typical = Request::of_tenant(env, jobs.tenant, 0, jobs.gpu_type, size);
            market.candidates(env, &typical, 0.0, &mut candidates);
            let Some(price) = candidates.iter().map(|c| c.price).reduce(f64::min) else { continue };
            let hours = jobs.count * size;
            spend[jobs.tenant] += hours * price;
            streams.push(Stream { tenant: jobs.tenant, hours, candidates: candidates.clone() });
        }
        for stream in &mut streams {
            // what a tenant cannot pay presses on nobody
            stream.hours *=
                (market.budgets()[stream.tenant] / spend[stream.tenant].max(LEAST)).clamp(0.0, 1.0);
        }
        let mut critical_hours = vec![0.0; providers];
        for stream in &streams {
            if let [only] = stream.candidates.as_slice() {
                critical_hours[only.provider] += stream.hours;
            }
        }
        let remaining: Vec<f64> = market.providers().iter().map(|p| p.remaining.max(LEAST)).collect();
        let mut attraction = remaining.clone();
        let mut hours = vec![0.0; providers];
        for _ in 0..ROUNDS {
            hours.fill(0.0);
            for stream in &streams {
                let total: f64 = stream.candidates.iter().map(|c| attraction[c.provider]).sum();
                for c in &stream.candidates {
                    hours[c.provider] += stream.hours * attraction[c.provider] / total;
                }
            }
            for ((attraction, hours), remaining) in attraction.iter_mut().zip(&hours).zip(&remaining) {
                *attraction /= 0.1 + hours / remaining;
            }
        }
        let to_come = (1.0 - phase).max(LEAST);
        Self { part: part(phase), to_come, hours, critical_hours, spend }
    }

    /// Demand on the provider / what it has left, at this phase of the step.
    pub(crate) fn on_provider(&self, market: &Market, provider: usize, phase: f64) -> f64 {
        self.scale(phase) * self.hours[provider] / market.providers()[provider].remaining.max(LEAST)
    }

    /// The same of the demand that no other provider could take.
    pub(crate) fn critical(&self, market: &Market, provider: usize, phase: f64) -> f64 {
        self.scale(phase) * self.critical_hours[provider] / market.providers()[provider].remaining.max(LEAST)
    }

    /// What the tenant still wants to spend / what it has left, at this phase of the step.
    pub(crate) fn on_budget(&self, market: &Market, tenant: usize, phase: f64) -> f64 {
        self.scale(phase) * self.spend[tenant] / market.budgets()[tenant].max(LEAST)
    }

    fn scale(&self, phase: f64) -> f64 {
        (1.0 - phase).max(0.0) / self.to_come
    }
}

fn part(phase: f64) -> u32 {
    (phase.min(1.0) * PARTS) as u32
}

#[cfg(test)]
mod tests {
    use routing_env::{Catalog, Episode, Preset, Reward, Workloads};
    use serde_json::json;

    use super::*;

    /// Two providers of 10 and 30 hours in `eu`, one of 20 in `us`; a tenant in each, 10 jobs of 2 hours at 1 $/h.
    fn env(eu_budget: f64) -> Environment {
        let provider = |id: &str, region: &str, hours: f64| {
            json!({"id": id, "regions": [region], "gpu_types": ["A100"], "base_price_usd_per_hour": {"A100": 1.0},
                "base_latency_ms": 100, "capacity_gpu_hours_per_step": hours, "reputation": 80})
        };
        let tenant = |region: &str, budget: f64| {
            json!({"id": region, "region": region, "budget_usd_per_step": budget, "min_reputation": 0,
                "weights": {"price": 1, "latency": 1, "reputation": 1, "availability": 1},
                "max_latency_ms": 1000, "mix": {"w": 1.0}, "avg_requests_per_step": 10})
        };
        let catalog = json!({"providers": [provider("a", "eu", 10.0), provider("b", "eu", 30.0), provider("c", "us", 20.0)]});
        let catalog = Catalog::from_value("catalog", &catalog).unwrap();
        let workloads = json!({"tenants": [tenant("eu", eu_budget), tenant("us", 40.0)],
            "workload_profiles": {"w": {"gpu_type": "A100", "gpu_hours": [2, 2]}}});
        let workloads = Workloads::from_value("workloads", &workloads, &catalog).unwrap();
        Environment::new(catalog, workloads, Preset::Default).unwrap()
    }

    fn at_start(env: &Environment) -> (Market, Pressure) {
        let mut episode = Episode::new(env, 1, Reward::EXCESS_COST);
        assert!(episode.begin_step());
        let market = episode.market().clone();
        let pressure = Pressure::new(env, &market, &Beliefs::of_catalog(env), 0, 0.0);
        (market, pressure)
    }

    #[test]
    fn demand_presses_equally_on_providers_that_can_stand_in_for_each_other() {
        let env = env(40.0);
        let (market, pressure) = at_start(&env);
        // 20 hours for 10 + 30; the other region's 20 hours have 20
        for (provider, expected) in [(0, 0.5), (1, 0.5), (2, 1.0)] {
            assert!((pressure.on_provider(&market, provider, 0.0) - expected).abs() < 1e-9);
        }
        assert_eq!([0, 1, 2].map(|p| pressure.critical(&market, p, 0.0)), [0.0, 0.0, 1.0]);
        // 20 $ of 40 $ each
        assert_eq!([0, 1].map(|t| pressure.on_budget(&market, t, 0.0)), [0.5, 0.5]);
    }

    #[test]
    fn what_a_tenant_cannot_pay_presses_on_no_provider() {
        let env = env(5.0);
        let (market, pressure) = at_start(&env);
        assert_eq!(pressure.on_budget(&market, 0, 0.0), 4.0);
        assert!((pressure.on_provider(&market, 0, 0.0) - 5.0 / 40.0).abs() < 1e-9);
    }

    #[test]
    fn pressure_falls_with_what_is_still_to_come() {
        let env = env(40.0);
        let (market, pressure) = at_start(&env);
        assert_eq!(pressure.on_budget(&market, 0, 0.1), 0.45);
        assert_eq!(pressure.on_budget(&market, 0, 1.0), 0.0);
        assert!(pressure.is_of(0.1) && !pressure.is_of(0.13));
    }
}
