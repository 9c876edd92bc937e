//! The limit against other ways of finding it, and against what policies do.

use clarabel::{
    algebra::CscMatrix,
    solver::{DefaultSettings, DefaultSolver, IPSolver, SolverStatus, SupportedConeT},
};
use limit::{Demand, Limit, Prices, StepProblem, Use, assign};
use policy::{Rule, StepReport, Swarm};
use proptest::prelude::*;
use routing_env::{Catalog, Environment, Episode, Market, Preference, Preset, Request, Reward, Workloads};
use serde_json::json;

const REWARD: Reward = Reward::EXCESS_COST;

/// The optimum of the same program by an interior-point method, over single requests.
fn by_interior_point(limits: &[f64], demands: &[Demand]) -> f64 {
    let variables: usize = demands.iter().map(|d| d.options.len()).sum();
    let rows = limits.len() + demands.len() + variables;
    let (mut at, mut row_of, mut values, mut objective) = (vec![0], Vec::new(), Vec::new(), Vec::new());
    for (d, demand) in demands.iter().enumerate() {
        for option in &demand.options {
            let own = (limits.len() + demands.len() + objective.len(), -1.0);
            let mut column: Vec<(usize, f64)> = option.takes.clone();
            column.extend([(limits.len() + d, 1.0), own]);
            column.sort_by_key(|entry| entry.0);
            row_of.extend(column.iter().map(|entry| entry.0));
            values.extend(column.iter().map(|entry| entry.1));
            at.push(row_of.len());
            objective.push(-option.value);
        }
    }
    let bounds: Vec<f64> = limits
        .iter()
        .copied()
        .chain(demands.iter().map(|d| d.count))
        .chain(std::iter::repeat_n(0.0, variables))
        .collect();
    let matrix = CscMatrix::new(rows, variables, at, row_of, values);
    let settings = DefaultSettings { verbose: false, ..DefaultSettings::default() };
    let cones = [SupportedConeT::NonnegativeConeT(rows)];
    let quadratic = CscMatrix::zeros((variables, variables));
    let mut solver = DefaultSolver::new(&quadratic, &objective, &matrix, &bounds, &cones, settings).unwrap();
    solver.solve();
    assert_eq!(solver.solution.status, SolverStatus::Solved);
    -solver.solution.obj_val
}

/// Every request of a step that does not know congestion as a demand of its own, by the `excess-cost` reward.
fn single_requests(env: &Environment, market: &Market, requests: &[Request]) -> (Vec<f64>, Vec<Demand>) {
    let mut limits = market.budgets().to_vec();
    limits.extend(market.providers().iter().map(|p| p.capacity));
    let mut candidates = Vec::new();
    let demands = requests.iter().map(|request| {
        market.candidates(env, request, 0.0, &mut candidates);
        let list_price = env.list_price(request.gpu_type);
        let options = candidates.iter().map(|c| {
            let excess = (c.price - list_price.unwrap()) * request.hours;
            let charge = (request.tenant, c.price * request.hours);
            let hours = (market.budgets().len() + c.provider, request.hours);
            Use { value: 50.0 - 3.0 * excess - 0.02 * c.latency_ms, takes: vec![charge, hours] }
        });
        Demand { count: 1.0, options: options.collect() }
    });
    let demands = demands.collect();
    (limits, demands)
}

/// The highest total value of whole demands, by trying everything.
fn by_enumeration(limits: &[f64], demands: &[Demand]) -> f64 {
    let Some((first, rest)) = demands.split_first() else { return 0.0 };
    let mut best = by_enumeration(limits, rest);
    for option in &first.options {
        let mut left = limits.to_vec();
        option.takes.iter().for_each(|(resource, amount)| left[*resource] -= amount);
        if left.iter().all(|left| *left >= 0.0) {
            best = best.max(option.value + by_enumeration(&left, rest));
        }
    }
    best
}

fn demands(resources: usize, most: usize, count: f64) -> impl Strategy<Value = Vec<Demand>> {
    let take = (0..resources, 0.1..5.0f64);
    let option = (1.0..50.0f64, prop::collection::vec(take, 1..3)).prop_map(|(value, mut takes)| {
        takes.sort_by_key(|take| take.0);
        takes.dedup_by_key(|take| take.0);
        Use { value, takes }
    });
    let demand = (prop::collection::vec(option, 1..4), 0.5..count)
        .prop_map(|(options, count)| Demand { count: count.max(1.0).floor(), options });
    prop::collection::vec(demand, 1..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn two_solvers_find_the_same_optimum(
        limits in prop::collection::vec(0.5..20.0f64, 4),
        demands in demands(4, 12, 6.0),
    ) {
        let prices = Prices::solve(&limits, &demands).unwrap();
        let other = by_interior_point(&limits, &demands);
        prop_assert!((prices.value - other).abs() < 1e-5 * (1.0 + other), "{} {other}", prices.value);
    }

    #[test]
    fn no_assignment_of_whole_demands_is_better_than_the_one_that_is_found(
        limits in prop::collection::vec(0.5..20.0f64, 3),
        demands in demands(3, 8, 1.0),
    ) {
        let options: Vec<Vec<Use>> = demands.iter().map(|demand| demand.options.clone()).collect();
        let chosen = assign(&limits, &options).unwrap();
        let given = || options.iter().zip(&chosen).filter_map(|(options, chosen)| chosen.map(|i| &options[i]));
        let attained: f64 = given().map(|option| option.value).sum();
        let best = by_enumeration(&limits, &demands);
        prop_assert!((attained - best).abs() <= 1e-5 * best, "{attained} {best}");
        for (resource, limit) in limits.iter().enumerate() {
            let takes = given().flat_map(|option| &option.takes);
            let used: f64 = takes.filter(|(r, _)| *r == resource).map(|(_, amount)| amount).sum();
            prop_assert!(used <= limit + 1e-6, "{used} {limit}");
        }
    }

    /// A basic solution splits no more demands than there are resources, so whole ones lose at most that many.
    #[test]
    fn the_optimum_in_fractions_is_a_little_above_the_optimum_in_whole(
        limits in prop::collection::vec(0.5..20.0f64, 2),
        demands in demands(2, 8, 1.5),
    ) {
        let whole = by_enumeration(&limits, &demands);
        let highest = demands.iter().flat_map(|d| &d.options).map(|o| o.value).fold(0.0, f64::max);
        let bound = Prices::solve(&limits, &demands).unwrap().value;
        prop_assert!(bound >= whole - 1e-6 && bound <= whole + 2.0 * highest + 1e-6, "{bound} {whole}");
    }
}

proptest! {
    // each of them is a dozen rules over two steps
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn no_rule_does_better_than_the_limit_in_any_step(seed in 0u64..1 << 40, preset in 0usize..4) {
        let preset = [Preset::Default, Preset::Contended, Preset::Overloaded, Preset::Congested][preset];
        let env = Environment::built_in(preset).with_steps(2);
        let limits: Vec<Limit> = StepProblem::of_episode(&env, seed).map(|p| p.limit().unwrap()).collect();
        for rule in Rule::ALL {
            let mut swarm = Swarm::of_rule(rule, &env);
            let mut episode = Episode::new(&env, seed, REWARD);
            let mut report = StepReport::new(&env);
            swarm.begin_episode(seed);
            for limit in &limits {
                prop_assert!(swarm.run_step(&mut episode, REWARD, &mut report));
                let found = &report.metrics.overall;
                prop_assert_eq!(found.requests, limit.requests);
                prop_assert!(found.reward <= limit.reward * (1.0 + 1e-9), "{} {} {:?}", rule, found.reward, limit);
                prop_assert!(found.routed as f64 <= limit.routed * (1.0 + 1e-9));
                if found.routed as f64 >= limit.routed {
                    prop_assert!(found.cost_usd >= limit.cost_usd * (1.0 - 1e-6));
                    prop_assert!(found.latency_ms >= limit.latency_ms * (1.0 - 1e-6));
                }
            }
        }
    }
}

#[test]
fn ranges_of_requests_have_the_optimum_of_single_requests() {
    for preset in [Preset::Contended, Preset::Overloaded] {
        let env = Environment::built_in(preset).with_steps(3);
        let mut episode = Episode::new(&env, 5, REWARD);
        while episode.begin_step() {
            let requests = episode.outcome().requests;
            let (limits, demands) = single_requests(&env, episode.market(), requests);
            let expected = by_interior_point(&limits, &demands);
            let found = StepProblem::new(&env, episode.market(), requests).limit().unwrap().reward;
            assert!((found - expected).abs() < 1e-5 * expected, "{preset}: {found}, expected {expected}");
        }
    }
}

fn tiny(capacity: f64, congestion: f64, hours: [f64; 2]) -> Environment {
    let catalog = json!({"providers": [{"id": "only", "regions": ["eu"], "gpu_types": ["A100"],
        "base_price_usd_per_hour": {"A100": 2.0}, "base_latency_ms": 100, "reputation": 80,
        "capacity_gpu_hours_per_step": capacity}]});
    let catalog = Catalog::from_value("catalog", &catalog).unwrap();
    let workloads = json!({
        "tenants": [{"id": "t", "region": "eu", "budget_usd_per_step": 1e6,
            "weights": {"price": 1, "latency": 1, "reputation": 1, "availability": 1},
            "min_reputation": 0, "max_latency_ms": 1000, "mix": {"w": 1.0}, "avg_requests_per_step": 20}],
        "workload_profiles": {"w": {"gpu_type": "A100", "gpu_hours": hours}},
        "congestion": congestion, "surge": congestion, "simulation": {"steps": 5}
    });
    let workloads = Workloads::from_value("workloads", &workloads, &catalog).unwrap();
    Environment::new(catalog, workloads, Preset::Default).unwrap()
}

#[test]
fn a_single_provider_serves_as_many_equal_jobs_as_fit_at_its_price_and_latency() {
    let env = tiny(10.0, 0.0, [2.0, 2.0]);
    for (problem, limit) in StepProblem::of_episode(&env, 1).map(|p| (p.clone(), p.limit().unwrap())) {
        assert!(limit.requests > 5, "{problem:?}");
        let expected = [5.0, 20.0, 500.0, 5.0 * 48.0];
        for (found, expected) in
            [limit.routed, limit.cost_usd, limit.latency_ms, limit.reward].into_iter().zip(expected)
        {
            assert!((found - expected).abs() < 1e-4 * expected, "{limit:?}");
        }
    }
}

/// n jobs of h hours on one provider: the one served as number i meets the utilisation i·h/C. The tangents
/// may be below that, but not by much.
#[test]
fn congestion_costs_the_clairvoyant_nearly_what_it_costs_in_the_simulator() {
    let env = tiny(100.0, 0.5, [4.0, 4.0]);
    for limit in StepProblem::of_episode(&env, 1).map(|p| p.limit().unwrap()) {
        let loads: f64 = (1..=limit.requests).map(|i| (i as f64 * 4.0 / 100.0).powi(2)).sum();
        let count = limit.requests as f64;
        let (cost, latency) = (8.0 * (count + 0.5 * loads), 100.0 * (count + 0.5 * loads));
        assert!(limit.cost_usd <= cost && limit.cost_usd > 0.97 * cost, "{limit:?}, expected {cost}");
        assert!(limit.latency_ms <= latency && limit.latency_ms > 0.97 * latency, "{limit:?} {latency}");
        assert_eq!(limit.routed, count);
    }
}

#[test]
fn the_order_of_arrival_changes_neither_key_nor_limit_and_any_figure_changes_the_key() {
    let env = Environment::built_in(Preset::Contended);
    let mut episode = Episode::new(&env, 5, REWARD);
    assert!(episode.begin_step());
    let requests = episode.outcome().requests.to_vec();
    let problem = |requests: &[Request]| StepProblem::new(&env, episode.market(), requests);
    let mut reversed = requests.clone();
    reversed.reverse();
    assert_eq!(problem(&requests).key(), problem(&reversed).key());
    assert_eq!(problem(&requests).limit().unwrap(), problem(&reversed).limit().unwrap());
    let mut longer = requests.clone();
    longer[3].hours *= 1.0 + 1e-12;
    let other = Environment::built_in(Preset::Overloaded);
    let mut other = Episode::new(&other, 6, REWARD);
    assert!(other.begin_step());
    for key in [
        problem(&requests[1..]).key(),
        problem(&longer).key(),
        StepProblem::new(&env, other.market(), &requests[..9]).key(),
    ] {
        assert_ne!(problem(&requests).key(), key);
    }
}

#[test]
fn the_limit_heeds_what_people_want_and_its_key_says_so() {
    let env = Environment::built_in(Preset::Congested).with_steps(1);
    let problem = StepProblem::of_episode(&env, 5).next().unwrap();
    // limits that are kept in ledgers are found under this key
    let known = "eec48ac3229d0ff07513969ce5f615adff32ba95ad8b3c365f3d92e4a60cb5a8";
    assert_eq!(hex(&problem.key()), known);
    assert_eq!(hex(&problem.clone().with_preference(Preference::EXCESS_COST).key()), known);
    let Preference { request, gpu_hour, cost, latency } = Preference::EXCESS_COST;
    let twice = Preference { request: 2.0 * request, gpu_hour, cost: 2.0 * cost, latency: 2.0 * latency };
    let hours = Preference { gpu_hour: 1.0, ..Preference::NOTHING };
    let reward = |preference| problem.clone().with_preference(preference).limit().unwrap().reward;
    let (one, two) = (reward(Preference::EXCESS_COST), reward(twice));
    assert!((two - 2.0 * one).abs() < 1e-6 * two, "{two}, twice {one}");
    let mut episode = Episode::new(&env, 5, REWARD);
    assert!(episode.begin_step());
    let asked: f64 = episode.outcome().requests.iter().map(|request| request.hours).sum();
    assert!(reward(hours) <= asked && reward(hours) > 0.8 * asked, "{} of {asked} GPU-hours", reward(hours));
    assert_ne!(problem.clone().with_preference(twice).key(), problem.key());
    assert_ne!(problem.clone().with_preference(twice).key(), problem.clone().with_preference(hours).key());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The prototype's bound lay 1.68 to 1.695 above its baseline on `contended`, 4.16 on `overloaded` and 1.76 on
/// `congested`, on 20 seeds that are not known; every 12th step of as many seeds leaves a wide sample error.
#[test]
fn the_limit_lies_above_the_baseline_by_what_the_prototype_measured() {
    for (preset, seeds, expected, tolerance) in [
        (Preset::Contended, 20, 1.69, 0.2),
        (Preset::Overloaded, 20, 4.16, 0.5),
        (Preset::Congested, 4, 1.76, 0.6),
    ] {
        let env = Environment::built_in(preset);
        let mut limit = Limit::default();
        let (mut reward, mut requests) = (0.0, 0);
        for seed in (1 << 32)..(1 << 32) + seeds {
            let mut swarm = Swarm::of_rule(Rule::BASELINE, &env);
            let mut episode = Episode::new(&env, seed, REWARD);
            let mut report = StepReport::new(&env);
            swarm.begin_episode(seed);
            for (step, problem) in StepProblem::of_episode(&env, seed).enumerate() {
                assert!(swarm.run_step(&mut episode, REWARD, &mut report));
                if step % 12 == (seed % 12) as usize {
                    limit.merge(&problem.limit().unwrap());
                    reward += report.metrics.overall.reward;
                    requests += report.metrics.overall.requests;
                }
            }
        }
        assert_eq!(limit.requests, requests);
        let gain = (limit.reward - reward) / requests as f64;
        assert!((gain - expected).abs() < tolerance, "{preset}: found {gain}, expected {expected}");
    }
}

/// Two providers, of which the first fails one job in four; a job that fails is tried once more.
#[test]
fn where_jobs_fail_the_limit_knows_how_often_and_that_they_are_tried_once_more() {
    let provider = |id: &str, latency_ms: u32| {
        json!({"id": id, "regions": ["eu"], "gpu_types": ["A100"], "base_price_usd_per_hour": {"A100": 2.0},
            "base_latency_ms": latency_ms, "reputation": 80, "capacity_gpu_hours_per_step": 1e6})
    };
    let catalog = json!({"providers": [provider("a", 100), provider("b", 300)]});
    let catalog = Catalog::from_value("catalog", &catalog).unwrap();
    let workloads = json!({
        "tenants": [{"id": "t", "region": "eu", "budget_usd_per_step": 1e6,
            "weights": {"price": 1, "latency": 1, "reputation": 1, "availability": 1},
            "min_reputation": 0, "max_latency_ms": 1000, "mix": {"w": 1.0}, "avg_requests_per_step": 20}],
        "workload_profiles": {"w": {"gpu_type": "A100", "gpu_hours": [2.0, 2.0]}},
        "knowledge": "hidden", "failure_multiplier": 3.0, "simulation": {"steps": 5}
    });
    let workloads = Workloads::from_value("workloads", &workloads, &catalog).unwrap();
    let env = Environment::new(catalog, workloads, Preset::Default).unwrap();
    let mut episode = Episode::new(&env, 3, REWARD);
    while episode.begin_step() {
        let truth = episode.truth().unwrap();
        let [a, b] = [0, 1].map(|p| (1.0 - truth.failure_probability(p), truth.latency_factor(p)));
        let (ms_a, ms_b) = (100.0 * a.1, 300.0 * b.1);
        // first at one of them, then at the other: by hand
        let both = |(first, first_ms): (f64, f64), (second, second_ms): (f64, f64)| {
            let again = second * (50.0 - 0.02 * (first_ms + second_ms));
            first * (50.0 - 0.02 * first_ms) + (1.0 - first) * again
        };
        let expected = both((a.0, ms_a), (b.0, ms_b)).max(both((b.0, ms_b), (a.0, ms_a)));
        let count = episode.outcome().requests.len() as f64;
        let limit = StepProblem::of_step(&env, &episode).limit().unwrap();
        assert!((limit.reward - count * expected).abs() < 1e-5 * limit.reward, "{limit:?} {expected}");
        let served = 1.0 - (1.0 - a.0) * (1.0 - b.0);
        assert!((limit.routed - count * served).abs() < 1e-6 * count, "{limit:?} {served}");
        let told_nothing = StepProblem::new(&env, episode.market(), episode.outcome().requests);
        assert_ne!(told_nothing.key(), StepProblem::of_step(&env, &episode).key());
    }
}

#[test]
fn nobody_passes_the_limit_of_what_is_hidden_on_average_not_even_who_is_told_it() {
    for preset in [Preset::Drifting, Preset::Unreliable] {
        let env = Environment::built_in(preset).with_steps(4);
        let (mut limit, mut informed) = (Limit::default(), 0.0);
        for seed in 0..12 {
            StepProblem::of_episode(&env, seed).for_each(|problem| limit.merge(&problem.limit().unwrap()));
            let mut swarm = Swarm::of_rule(Rule::BidPriceInformed, &env);
            informed += swarm.play(&env, seed, REWARD).overall.reward;
        }
        let share = informed / limit.reward;
        assert!((0.98..1.0).contains(&share), "{preset}: {share}");
    }
}

/// The outcome of the best allocation is worth the limit by every preference, and no other one's is worth more.
#[test]
fn what_is_wanted_is_what_the_best_allocation_brings() {
    let usual = Preference::EXCESS_COST;
    let wanted = [
        usual,
        Preference { cost: 0.5, ..usual },
        Preference { latency: 0.08, ..usual },
        Preference { request: 0.0, gpu_hour: 31.4, ..usual },
    ];
    for preset in [Preset::Contended, Preset::Congested, Preset::Unreliable] {
        let env = Environment::built_in(preset).with_steps(2);
        let mut episode = Episode::new(&env, 5, REWARD);
        while episode.begin_step() {
            let problem = StepProblem::of_step(&env, &episode);
            let best = wanted.map(|wanted| problem.clone().with_preference(wanted).best().unwrap());
            for (wanted, own) in wanted.iter().zip(&best) {
                let close = |a: f64, b: f64| (a - b).abs() <= 1e-5 * b.abs();
                assert!(close(wanted.reward(&own.outcome), own.reward), "{preset}: {own:?}");
                let limit = problem.clone().with_preference(*wanted).limit().unwrap();
                assert!(close(own.reward, limit.reward), "{preset}: {own:?} {limit:?}");
                // what is not beyond the list prices is paid at one of them for each hour
                let (listed, hours) = (own.cost_usd - own.outcome.excess_cost.usd(), own.outcome.gpu_hours);
                let list_prices =
                    || (0..env.gpu_types().len()).filter_map(|gpu_type| env.list_price(gpu_type));
                assert!(listed >= hours * list_prices().fold(f64::INFINITY, f64::min), "{preset}: {own:?}");
                assert!(listed <= hours * list_prices().fold(0.0, f64::max), "{preset}: {own:?}");
                for other in &best {
                    assert!(wanted.reward(&other.outcome) <= own.reward * (1.0 + 1e-5), "{preset}");
                }
            }
        }
    }
}
