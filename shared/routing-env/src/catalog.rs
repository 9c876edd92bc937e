//! The provider catalog: the public schema of `providers.json`.

use serde::{Deserialize, Serialize};

use crate::input::{self, Checker, InputError, OrderedMap, token};

/// A GPU type that a provider lists without a price is assumed to cost this. Wherever the price is shown, it is said
/// that it was assumed.
pub const UNLISTED_PRICE_USD_PER_HOUR: f64 = 10.0;

/// A provider has at most so many regions, and so many GPU types.
const MOST_NAMES: usize = 1000;

/// The region that serves every tenant.
pub const GLOBAL_REGION: &str = "global";

/// All providers, in the file's order (ties in scores go to the first).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalog {
    /// The providers.
    pub providers: Vec<Provider>,
    /// The currency of `credits_per_hour`; it does not enter the simulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit_currency: Option<String>,
    /// What a credit is worth; it does not enter the simulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_per_credit: Option<f64>,
}

/// One provider of GPUs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its unique id.
    pub id: String,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it is reached; it does not enter the simulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<String>,
    /// Regions that it serves; `global` serves all.
    pub regions: Vec<String>,
    /// GPU types that it has.
    pub gpu_types: Vec<String>,
    /// Prices in credits; they do not enter the simulation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits_per_hour: Option<OrderedMap<f64>>,
    /// Prices by GPU type; 0 is what one's own machines cost. Of a listed type without one
    /// [`UNLISTED_PRICE_USD_PER_HOUR`] is assumed.
    #[serde(default)]
    pub base_price_usd_per_hour: OrderedMap<f64>,
    /// Latency without events and congestion, in ms.
    pub base_latency_ms: f64,
    /// GPU-hours that it can take in a step.
    pub capacity_gpu_hours_per_step: f64,
    /// 0 to 100.
    pub reputation: f64,
}

impl Catalog {
    /// The catalog that the project ships.
    #[must_use]
    pub fn built_in() -> Self {
        #[allow(clippy::expect_used)] // a test loads the same bytes
        Self::parse("the built-in providers.json", include_str!("../data/providers.json"))
            .expect("valid built-in catalog")
    }

    /// Reads a catalog from JSON text; `file` names it in errors.
    ///
    /// # Errors
    /// The first mistake: malformed JSON, an unknown field, a value out of range.
    pub fn parse(file: &str, text: &str) -> Result<Self, InputError> {
        input::parse::<Self>(file, text)?.validated(file)
    }

    /// Like [`Catalog::parse`], from a JSON value.
    ///
    /// # Errors
    /// The first mistake.
    pub fn from_value(file: &str, value: &serde_json::Value) -> Result<Self, InputError> {
        input::from_value::<Self>(file, value)?.validated(file)
    }

    /// Every GPU type that is listed without a price: its provider's id, and its own name. Whoever reads a catalog tells
    /// of them.
    pub fn assumed_prices(&self) -> impl Iterator<Item = (&str, &str)> {
        self.providers.iter().flat_map(|provider| {
            let assumed = provider.gpu_types.iter().filter(|gpu| provider.assumes_price_of(gpu));
            assumed.map(|gpu| (provider.id.as_str(), gpu.as_str()))
        })
    }

    /// What is assumed of what the catalog does not say, in a sentence; `None` where it says everything.
    #[must_use]
    pub fn assumption(&self) -> Option<String> {
        const NAMED: usize = 5;
        let all: Vec<_> =
            self.assumed_prices().map(|(provider, gpu)| format!("{gpu} at {provider}")).collect();
        let more = all.len().saturating_sub(NAMED);
        let others = if more > 0 { format!(" and {more} more") } else { String::new() };
        let named = all.get(..NAMED).unwrap_or(&all).join(", ");
        (!all.is_empty()).then(|| {
            format!(
                "The catalog has no price of {named}{others}: {UNLISTED_PRICE_USD_PER_HOUR} $ per GPU-hour is assumed, and \
                 marked wherever it is shown. Say what it costs in base_price_usd_per_hour; 0 is a price."
            )
        })
    }

    fn validated(self, file: &str) -> Result<Self, InputError> {
        let check = Checker { file };
        let count = self.providers.len();
        check.require((1..=1000).contains(&count), "/providers", || {
            format!("expected 1 to 1000 providers, found {count}")
        })?;
        for (i, provider) in self.providers.iter().enumerate() {
            provider.validate(&check, &format!("/providers/{i}"))?;
            let earlier = self.providers[..i].iter().position(|p| p.id == provider.id);
            if let Some(first) = earlier {
                return Err(check.error(
                    format!("/providers/{i}/id"),
                    format!(
                        "expected a unique id, but `{}` is also the id of /providers/{first}",
                        provider.id
                    ),
                ));
            }
        }
        Ok(self)
    }
}

impl Provider {
    fn validate(&self, check: &Checker<'_>, at: &str) -> Result<(), InputError> {
        check.name(&self.id, &format!("{at}/id"))?;
        check.require(!self.regions.is_empty(), &format!("{at}/regions"), || {
            "expected at least one region (`global` serves all)".into()
        })?;
        for (list, names) in [("regions", &self.regions), ("gpu_types", &self.gpu_types)] {
            check.require(names.len() <= MOST_NAMES, &format!("{at}/{list}"), || {
                format!("expected at most {MOST_NAMES} of them, found {}", names.len())
            })?;
        }
        for (i, region) in self.regions.iter().enumerate() {
            check.name(region, &format!("{at}/regions/{i}"))?;
        }
        check.require(!self.gpu_types.is_empty(), &format!("{at}/gpu_types"), || {
            "expected at least one GPU type".into()
        })?;
        for (i, gpu) in self.gpu_types.iter().enumerate() {
            check.name(gpu, &format!("{at}/gpu_types/{i}"))?;
        }
        for (gpu, price) in self.base_price_usd_per_hour.iter() {
            let pointer = format!("{at}/base_price_usd_per_hour/{}", token(gpu));
            check.require(self.gpu_types.iter().any(|g| g == gpu), &pointer, || {
                format!("expected a GPU type of this provider's gpu_types ({})", self.gpu_types.join(", "))
            })?;
            check.within(*price, 0.0, 1e6, &pointer)?;
        }
        check.within(self.base_latency_ms, 1.0, 1e6, &format!("{at}/base_latency_ms"))?;
        check.within(
            self.capacity_gpu_hours_per_step,
            0.0,
            1e9,
            &format!("{at}/capacity_gpu_hours_per_step"),
        )?;
        check.within(self.reputation, 0.0, 100.0, &format!("{at}/reputation"))
    }

    /// Whether the provider has the GPU type, but its catalog does not say at what price.
    #[must_use]
    pub fn assumes_price_of(&self, gpu_type: &str) -> bool {
        self.gpu_types.iter().any(|g| g == gpu_type) && self.base_price_usd_per_hour.get(gpu_type).is_none()
    }

    /// The price of a GPU type, or `None` when the provider does not have it.
    #[must_use]
    pub fn base_price(&self, gpu_type: &str) -> Option<f64> {
        self.gpu_types.iter().any(|g| g == gpu_type).then(|| {
            self.base_price_usd_per_hour.get(gpu_type).copied().unwrap_or(UNLISTED_PRICE_USD_PER_HOUR)
        })
    }

    pub(crate) fn serves_all(&self) -> bool {
        self.regions.iter().any(|region| region == GLOBAL_REGION)
    }

    /// True when it serves the region.
    #[must_use]
    pub fn serves(&self, region: &str) -> bool {
        self.regions.iter().any(|r| r == region || r == GLOBAL_REGION)
    }
}
