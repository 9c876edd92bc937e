//! Catalogs and workloads that nobody has seen before, to try policies on, or to learn what holds for many of them.
//!
//! They are made for [`Preset::Contended`](crate::Preset::Contended), whose eightfold demand asks for about as many
//! GPU-hours as there are. The first two providers have every GPU type in every region, so that every job could be served
//! somewhere.

use rand::{RngExt as _, seq::IndexedRandom as _};
use rand_pcg::Pcg64;
use serde_json::{Map, Value, json};

const GPU_TYPES: [&str; 5] = ["A10", "B200", "H200", "L40S", "MI300X"];
const REGIONS: [&str; 4] = ["ap-south-1", "eu-central-1", "sa-east-1", "us-east-1"];

/// What `contended` multiplies the demand by.
const CONTENDED: f64 = 8.0;

/// A kind of job.
struct Profile {
    name: String,
    gpu_type: &'static str,
    gpu_hours: [f64; 2],
    /// The usual price of its GPU type, $ an hour.
    price: f64,
}

impl Profile {
    fn mean_hours(&self) -> f64 {
        f64::midpoint(self.gpu_hours[0], self.gpu_hours[1])
    }
}

/// Such files.
#[derive(Clone, Debug, PartialEq)]
pub struct RandomFiles {
    /// As in a `providers.json`.
    pub providers: Value,
    /// As in a `workloads.json`.
    pub workloads: Value,
}

impl RandomFiles {
    /// So many providers, of which the first two have everything, and so many tenants.
    #[must_use]
    pub fn draw(rng: &mut Pcg64, providers: usize, tenants: usize) -> Self {
        let gpu_types = some(rng, &GPU_TYPES, 2);
        let regions = some(rng, &REGIONS, 2);
        let profiles: Vec<Profile> = gpu_types
            .iter()
            .flat_map(|gpu_type| {
                let price = rng.random_range(0.6..5.0);
                [0, 1].map(|i| {
                    let least = rng.random_range(0.2..3.0);
                    let gpu_hours = [least, least * rng.random_range(1.5..5.0)].map(rounded);
                    Profile { name: format!("{}-{i}", gpu_type.to_lowercase()), gpu_type, gpu_hours, price }
                })
            })
            .collect();
        let mut hours = 0.0;
        let tenants: Vec<Value> = (0..tenants)
            .map(|i| {
                let (tenant, wanted) = tenant(rng, i, &regions, &profiles);
                hours += wanted;
                tenant
            })
            .collect();
        let providers = catalog(rng, providers, hours, &regions, &gpu_types, &profiles);
        let named = profiles.iter().map(|profile| {
            let of = json!({"gpu_type": profile.gpu_type, "gpu_hours": profile.gpu_hours});
            (profile.name.clone(), of)
        });
        let workloads = json!({
            "tenants": tenants,
            "workload_profiles": named.collect::<Map<_, _>>(),
            "simulation": {"steps": 120, "seed": 42},
            "scenarios": [],
        });
        Self { providers: json!({"providers": providers}), workloads }
    }
}

/// A tenant, and the GPU-hours that it asks for in a step of `contended`.
fn tenant(rng: &mut Pcg64, i: usize, regions: &[&str], profiles: &[Profile]) -> (Value, f64) {
    let kinds = rng.random_range(2..=4);
    let chosen: Vec<&Profile> = profiles.sample(rng, kinds).collect();
    let requests = f64::from(rng.random_range(3..=24));
    let share = 1.0 / chosen.len() as f64;
    let each = CONTENDED * requests * share;
    let hours: f64 = chosen.iter().map(|profile| each * profile.mean_hours()).sum();
    let cost: f64 = chosen.iter().map(|profile| each * profile.mean_hours() * profile.price).sum();
    let tenant = json!({
        "id": format!("team-{i}"),
        "name": format!("Team {i}"),
        "region": pick(rng, regions),
        "budget_usd_per_step": rounded(cost * pick(rng, &[0.9, 1.1, 2.0])),
        "weights": {"price": 0.3, "latency": 0.3, "reputation": 0.2, "availability": 0.2},
        "min_reputation": rng.random_range(40..60),
        "max_latency_ms": pick(rng, &[250, 400, 600]),
        "mix": chosen.iter().map(|profile| (profile.name.clone(), json!(share))).collect::<Map<_, _>>(),
        "avg_requests_per_step": requests,
    });
    (tenant, hours)
}

/// Providers that share out so many GPU-hours a step.
fn catalog(
    rng: &mut Pcg64,
    count: usize,
    hours: f64,
    regions: &[&'static str],
    gpu_types: &[&'static str],
    profiles: &[Profile],
) -> Vec<Value> {
    let sizes: Vec<f64> = (0..count).map(|_| rng.random_range(0.3..1.3)).collect();
    let total: f64 = sizes.iter().sum();
    sizes
        .into_iter()
        .enumerate()
        .map(|(i, size)| {
            let has_all = i < 2;
            let regions = if has_all { regions.to_vec() } else { some(rng, regions, 1) };
            let gpu_types = if has_all { gpu_types.to_vec() } else { some(rng, gpu_types, 1) };
            let prices = gpu_types.iter().map(|gpu_type| {
                let of_type = profiles.iter().find(|profile| profile.gpu_type == *gpu_type);
                let usual = of_type.map_or(1.0, |profile| profile.price); // every type has a profile
                ((*gpu_type).to_owned(), json!(rounded(usual * rng.random_range(0.7..1.4))))
            });
            let prices: Map<String, Value> = prices.collect();
            json!({
                "id": format!("cloud-{i}"),
                "name": format!("Cloud {i}"),
                "regions": regions,
                "gpu_types": gpu_types,
                "base_price_usd_per_hour": prices,
                "base_latency_ms": pick(rng, &[80, 120, 180, 230, 300, 350]),
                "capacity_gpu_hours_per_step": rounded(hours * size / total),
                "reputation": rng.random_range(60..95),
            })
        })
        .collect()
}

/// At least so many of them, in their order.
fn some(rng: &mut Pcg64, of: &[&'static str], least: usize) -> Vec<&'static str> {
    let count = rng.random_range(least..=of.len());
    let mut chosen: Vec<&'static str> = of.sample(rng, count).copied().collect();
    chosen.sort_unstable();
    chosen
}

fn pick<T: Copy>(rng: &mut Pcg64, of: &[T]) -> T {
    of[rng.random_range(0..of.len())]
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
