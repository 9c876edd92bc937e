//! The physical limit under constraints: the most that an episode can earn which meets them all.
//!
//! Its Lagrangian dual is solved by generating columns (Dantzig and Wolfe 1960): at any prices of the constraints, the best
//! allocation is that for another preference ([`StepProblem::best`]), and its value is an upper bound (weak duality). The
//! best mixture of the allocations that were found so far, which is a small linear program, has the prices to try next, and
//! both meet where no prices give a lower bound.

use limit::{AllocationError, Demand, Prices, StepProblem, Use};
use rayon::prelude::*;
use routing_env::{Constraint, Environment, Outcome, Preference, Requested};

use crate::{bounds::Sample, progress::Progress};

/// The bound may be above what is attained by this share.
const CLOSE: f64 = 1e-4;

/// Prices that are tried; the bound holds with fewer, but may be less tight.
const MOST_ROUNDS: usize = 16;

/// No price is above so many unit prices ([`Constraint::unit_price`]): whoever misses a constraint at such prices cannot
/// meet it.
const HIGHEST_PRICE: f64 = 100.0;

/// The program's own highest price, see [`Prices`].
const HIGHEST_OF_PROGRAM: f64 = 1e6;

/// What is possible at best in an episode under constraints.
#[derive(Clone, Debug, PartialEq)]
pub struct ConstrainedLimit {
    /// The highest sum of rewards by the preference alone, of those who meet the constraints; where nobody can, of one who
    /// misses them by the least.
    pub reward: f64,
    /// The price of each constraint: how many points a unit of its excess would be worth.
    pub prices: Vec<f64>,
    /// By which share of its bound each constraint is missed at best; 0 where it can be met.
    pub missed_by: Vec<f64>,
}

/// An allocation of a whole episode.
struct Column {
    reward: f64,
    excesses: Vec<f64>,
    missed_by: Vec<f64>,
}

/// The limits of these seeds, in which so much is requested; `None` when it was cancelled, as `progress` tells.
///
/// # Errors
/// When the solver fails.
pub fn solve(
    env: &Environment,
    preference: Preference,
    constraints: &[Constraint],
    seeds: &[(u64, Requested)],
    progress: &Progress,
) -> Option<Result<Vec<ConstrainedLimit>, AllocationError>> {
    let of_seed = |(seed, requested): &(u64, Requested)| {
        let problems: Vec<StepProblem> = Sample::all(env).problems(env, preference, *seed).collect();
        let units = constraints.iter().map(|constraint| constraint.unit_price(preference, env)).collect();
        let search = Search { problems, preference, constraints, units, requested: *requested };
        search.run(progress)
    };
    let solved: Vec<Option<Result<ConstrainedLimit, AllocationError>>> =
        seeds.par_iter().map(of_seed).collect();
    solved.into_iter().collect::<Option<Vec<_>>>().map(|limits| limits.into_iter().collect())
}

/// The search for the prices of one episode.
struct Search<'a> {
    problems: Vec<StepProblem>,
    preference: Preference,
    constraints: &'a [Constraint],
    units: Vec<f64>,
    requested: Requested,
}

impl Search<'_> {
    /// `None` when it was cancelled.
    fn run(&self, progress: &Progress) -> Option<Result<ConstrainedLimit, AllocationError>> {
        let mut columns: Vec<Column> = Vec::new();
        let mut prices = vec![0.0; self.constraints.len()];
        let mut best = (f64::INFINITY, prices.clone());
        for _ in 0..MOST_ROUNDS {
            let (bound, outcome) = match self.at(&prices, progress)? {
                Ok(found) => found,
                Err(error) => return Some(Err(error)),
            };
            if bound < best.0 {
                best = (bound, prices.clone());
            }
            columns.push(self.column(&outcome));
            let mixed = match self.mixed(&columns) {
                Ok(mixed) => mixed,
                Err(error) => return Some(Err(error)),
            };
            prices = mixed.1;
            if best.0 - mixed.0 <= CLOSE * best.0.abs() {
                break;
            }
        }
        let (bound, prices) = best;
        Some(Ok(self.judged(bound, prices, &columns)))
    }

    /// At these prices: what nobody earns more than who meets the constraints, and the outcome of who earns the most when
    /// excess is paid for.
    fn at(&self, prices: &[f64], progress: &Progress) -> Option<Result<(f64, Outcome), AllocationError>> {
        let priced = Constraint::all_priced(self.constraints, prices, self.preference);
        let mut sum = limit::Best::default();
        for problem in &self.problems {
            if progress.is_cancelled() {
                return None;
            }
            match problem.clone().with_preference(priced).best() {
                Ok(best) => sum.merge(&best),
                Err(error) => return Some(Err(error)),
            }
        }
        // the weights say what excess is saved beside who serves nothing
        let idle = self.excesses(&Outcome::default());
        let paid: f64 = prices.iter().zip(&idle).map(|(price, excess)| price * excess).sum();
        Some(Ok((sum.reward - paid, sum.outcome)))
    }

    fn column(&self, outcome: &Outcome) -> Column {
        let missed_by = |constraint: &Constraint| constraint.missed_by(outcome, self.requested).max(0.0);
        Column {
            reward: self.preference.reward(outcome),
            excesses: self.excesses(outcome),
            missed_by: self.constraints.iter().map(missed_by).collect(),
        }
    }

    fn excesses(&self, outcome: &Outcome) -> Vec<f64> {
        self.constraints.iter().map(|constraint| constraint.excess(outcome, self.requested)).collect()
    }

    /// The best mixture of these allocations, and of serving nothing, that meets the constraints, and their prices there.
    fn mixed(&self, columns: &[Column]) -> Result<(f64, Vec<f64>), AllocationError> {
        let scales: Vec<f64> =
            self.units.iter().map(|unit| unit * HIGHEST_PRICE / HIGHEST_OF_PROGRAM).collect();
        let idle = self.excesses(&Outcome::default());
        let limits: Vec<f64> = idle.iter().zip(&scales).map(|(excess, scale)| -excess * scale).collect();
        let option = |column: &Column| Use {
            value: column.reward,
            takes: (0..scales.len()).map(|i| (i, (column.excesses[i] - idle[i]) * scales[i])).collect(),
        };
        let demand = Demand { count: 1.0, options: columns.iter().map(option).collect() };
        let Prices { of, value } = Prices::solve(&limits, &[demand])?;
        Ok((value, of.iter().zip(&scales).map(|(price, scale)| price * scale).collect()))
    }

    fn judged(&self, bound: f64, prices: Vec<f64>, columns: &[Column]) -> ConstrainedLimit {
        let highest = self.units.iter().map(|unit| unit * HIGHEST_PRICE);
        if prices.iter().zip(highest).all(|(price, highest)| *price < highest * 0.999) {
            return ConstrainedLimit { reward: bound, missed_by: vec![0.0; prices.len()], prices };
        }
        let missed = |column: &Column| -> f64 {
            column.excesses.iter().zip(&self.units).map(|(excess, unit)| excess.max(0.0) * unit).sum()
        };
        let worth = |column: &Column| column.reward - HIGHEST_PRICE * missed(column);
        let least = columns.iter().max_by(|a, b| worth(a).total_cmp(&worth(b)));
        ConstrainedLimit {
            reward: least.map_or(bound, |column| column.reward),
            missed_by: least.map_or_else(Vec::new, |column| column.missed_by.clone()),
            prices,
        }
    }
}

#[cfg(test)]
mod tests {
    use limit::{Best, Limit};
    use routing_env::{ConstrainedFigure, Episode, Preset, Reward};

    use super::*;
    use crate::bounds;

    const USUAL: Preference = Preference::EXCESS_COST;
    const SEED: u64 = 1 << 32;

    fn env() -> Environment {
        Environment::built_in(Preset::Contended).with_steps(4)
    }

    fn requested(env: &Environment) -> Requested {
        let mut episode = Episode::new(env, SEED, Reward::EXCESS_COST);
        let mut requested = Requested::default();
        while episode.begin_step() {
            let requests = episode.outcome().requests;
            requested.requests += requests.len() as f64;
            requested.gpu_hours += requests.iter().map(|request| request.hours).sum::<f64>();
        }
        requested
    }

    fn limit(constraints: &[Constraint]) -> ConstrainedLimit {
        let env = env();
        let seeds = [(SEED, requested(&env))];
        solve(&env, USUAL, constraints, &seeds, &Progress::default()).unwrap().unwrap().remove(0)
    }

    /// The best by these weights.
    fn best(wanted: Preference) -> Best {
        let env = env();
        let all = Sample::all(&env);
        bounds::best(&env, wanted, &all, &[SEED], &Progress::default()).unwrap().unwrap().remove(0)
    }

    #[test]
    fn what_the_best_meets_anyway_costs_nothing() {
        let loose = [
            Constraint { figure: ConstrainedFigure::AvgLatencyMs, bound: 1000.0 },
            Constraint { figure: ConstrainedFigure::GpuHoursFill, bound: 0.1 },
        ];
        let found = limit(&loose);
        assert_eq!((found.prices, found.missed_by), (vec![0.0; 2], vec![0.0; 2]));
        assert!((found.reward / best(USUAL).reward - 1.0).abs() < 1e-9);
    }

    /// A second way: the dual function on a grid of prices, of which the least value is the limit.
    #[test]
    fn the_limit_is_where_no_price_gives_a_lower_bound() {
        let free = best(USUAL).outcome;
        let mean = free.latency_ms / free.served;
        let constraint = Constraint { figure: ConstrainedFigure::AvgLatencyMs, bound: 0.97 * mean };
        let found = limit(&[constraint]);
        let at = |price: f64| best(constraint.priced(price, USUAL)).reward;
        let least = (0..40).map(|i| at(0.01 * f64::from(i))).fold(f64::INFINITY, f64::min);
        assert!(
            found.reward <= least * (1.0 + 1e-4) && found.reward >= least * (1.0 - 1e-3),
            "{found:?} {least}"
        );
        assert!(found.reward < best(USUAL).reward * (1.0 - 1e-3) && found.prices[0] > 0.0, "{found:?}");
        assert_eq!(found.missed_by, [0.0]);
    }

    #[test]
    fn what_nobody_can_meet_is_missed_by_what_the_highest_fill_misses() {
        let env = env();
        let all = Sample::all(&env);
        let limits = bounds::solve(&env, USUAL, &all, &[SEED], &Progress::default()).unwrap().unwrap();
        let highest = limits.first().and_then(Limit::fill_rate).unwrap();
        assert!(highest < 0.999, "{highest}");
        let found = limit(&[Constraint { figure: ConstrainedFigure::FillRate, bound: 1.0 }]);
        assert!((found.missed_by[0] - (1.0 - highest)).abs() < 1e-4, "{found:?} {highest}");
        assert!(found.reward < best(USUAL).reward);
    }

    #[test]
    fn a_cancelled_search_is_none() {
        let cancelled = Progress::default();
        cancelled.cancel();
        let any = [Constraint { figure: ConstrainedFigure::FillRate, bound: 0.5 }];
        assert!(solve(&env(), USUAL, &any, &[(SEED, Requested::default())], &cancelled).is_none());
    }
}
