//! What somebody asks for as a preference: a name, or the weights that shall differ from the usual ones, and what must hold
//! whatever else is wanted.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    constraints::{Constraint, constraints},
    environment::Environment,
    input::{Checker, InputError, from_value, token},
    preference::{Preference, Preferences},
    preset::Preset,
};

/// Where tenants have preferences of their own.
const TENANTS: &str = "tenants";

/// No weight is above this.
const MOST: f64 = 1e6;

/// Preferences that have a name, each with what it is in one sentence. A request of the built-in workloads has 1.6
/// GPU-hours, so that `hours` pays for a mean one what `balanced` pays for any.
pub const NAMED_PREFERENCES: [(&str, Preference, &str); 5] = [
    (
        "balanced",
        Preference::EXCESS_COST,
        "A request that is served, its excess cost and its latency: the reward `excess-cost`.",
    ),
    (
        "cheap",
        Preference { cost: 8.0, ..Preference::EXCESS_COST },
        "A USD of excess cost counts for 8 points in place of 3.",
    ),
    (
        "fast",
        Preference { latency: 0.08, ..Preference::EXCESS_COST },
        "A ms of latency counts four times as much.",
    ),
    (
        "fill",
        Preference { cost: 0.5, latency: 0.002, ..Preference::EXCESS_COST },
        "As many requests as can be served; cost and latency hardly count.",
    ),
    (
        "hours",
        Preference { request: 0.0, gpu_hour: 31.4, ..Preference::EXCESS_COST },
        "GPU-hours in place of requests: a job of 8 hours is worth 16 of half an hour.",
    ),
];

/// Weights as they are asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weights {
    request: Option<f64>,
    gpu_hour: Option<f64>,
    cost: Option<f64>,
    latency: Option<f64>,
    #[serde(default)]
    relative_to_prices: bool,
    #[serde(default)]
    at_most: BTreeMap<String, f64>,
    #[serde(default)]
    at_least: BTreeMap<String, f64>,
}

/// What is wanted, and what must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// The weights of rewards.
    pub preference: Preference,
    /// What an episode as a whole has to meet; often nothing.
    pub constraints: Vec<Constraint>,
}

impl Preference {
    /// The weights with their names.
    fn weights(self) -> [(&'static str, f64); 4] {
        let Self { request, gpu_hour, cost, latency } = self;
        [("request", request), ("gpu_hour", gpu_hour), ("cost", cost), ("latency", latency)]
    }

    /// What mistakes in a preference are told as in [`InputError::file`].
    pub const FILE: &'static str = "preference";

    /// The preference that is asked for, see [`Wanted::asked`], where nothing is constrained.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn asked(asked: &Value, env: &Environment) -> Result<Self, InputError> {
        let Wanted { preference, constraints } = Wanted::asked(asked, env)?;
        match constraints.first() {
            None => Ok(preference),
            Some(constraint) => Err(Checker { file: Self::FILE }.error(
                format!("/{}", constraint.side()),
                "expected no constraint here, because it is on an episode as a whole: ask for it in an evaluation",
            )),
        }
    }
}

impl Preferences {
    /// The preferences that are asked for: what [`Preference::asked`] takes, and `tenants`, an object of the same by tenant
    /// where a weight that is left out is that of all.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn asked(asked: &Value, env: &Environment) -> Result<Self, InputError> {
        let check = Checker { file: Preference::FILE };
        let mut all = asked.clone();
        let Some(own) = all.as_object_mut().and_then(|weights| weights.remove(TENANTS)) else {
            return Ok(Preference::asked(asked, env)?.into());
        };
        let all = Preference::asked(&all, env)?;
        let own: BTreeMap<String, Value> =
            from_value(Preference::FILE, &own).map_err(|error| within(TENANTS, error))?;
        let mut tenants = vec![all; env.workloads().tenants.len()];
        for (id, asked) in &own {
            let known = env.workloads().tenants.iter().position(|tenant| tenant.id == *id);
            let Some(tenant) = known else {
                let ids: Vec<&str> =
                    env.workloads().tenants.iter().map(|tenant| tenant.id.as_str()).collect();
                let expected = format!("there is no such tenant: expected one of {}", ids.join(", "));
                return Err(check.error(format!("/{TENANTS}/{}", token(id)), expected));
            };
            let mut asked = asked.clone();
            if let Some(weights) = asked.as_object_mut() {
                // the weights of all stand in for those that are left out, whatever they are relative to
                let relative = weights.get("relative_to_prices").and_then(Value::as_bool).unwrap_or_default();
                for (name, weight) in all.weights() {
                    if !(relative && name == "cost") {
                        weights.entry(name).or_insert_with(|| weight.into());
                    }
                }
            }
            tenants[tenant] = Preference::asked(&asked, env)
                .map_err(|error| within(&format!("{TENANTS}/{}", token(id)), error))?;
        }
        Ok(Self { all, tenants })
    }

    /// As it can be asked for again: weights, and those of the tenants that have some of their own.
    #[must_use]
    pub fn spelled(&self, env: &Environment) -> Value {
        let object = |preference: &Preference| {
            let weights = preference.weights().into_iter();
            weights.map(|(name, weight)| (name.to_owned(), weight.into())).collect::<Map<String, Value>>()
        };
        let mut spelled = object(&self.all);
        let own = env.workloads().tenants.iter().zip(&self.tenants).filter(|(_, own)| **own != self.all);
        let own: Map<String, Value> =
            own.map(|(tenant, own)| (tenant.id.clone(), object(own).into())).collect();
        if !own.is_empty() {
            spelled.insert(TENANTS.to_owned(), own.into());
        }
        spelled.into()
    }
}

/// The same mistake, where it is within this.
fn within(what: &str, mut error: InputError) -> InputError {
    error.pointer = format!("/{what}{}", error.pointer);
    error
}

impl Wanted {
    /// What is asked for: the name of a preference, or an object of weights, where those that are left out are as in
    /// [`Preference::EXCESS_COST`]. With `relative_to_prices` the weight of a USD is that at the price level of the built-in
    /// files, and is the more the cheaper this environment's requests are. `at_most` and `at_least` constrain figures.
    ///
    /// # Errors
    /// Says what was expected.
    pub fn asked(asked: &Value, env: &Environment) -> Result<Self, InputError> {
        let check = Checker { file: Preference::FILE };
        if let Some(name) = asked.as_str() {
            let named = NAMED_PREFERENCES.into_iter().find(|(known, ..)| *known == name);
            let wanted = named.map(|(_, preference, _)| Self { preference, constraints: Vec::new() });
            return wanted.ok_or_else(|| {
                let names = NAMED_PREFERENCES.map(|(name, ..)| name).join(", ");
                check.error(
                    String::new(),
                    format!("unknown preference `{name}`: expected one of {names}, or an object of weights"),
                )
            });
        }
        if !asked.is_object() {
            let expected = "expected the name of a preference, or an object of weights";
            return Err(check.error(String::new(), expected));
        }
        check.require(asked.get(TENANTS).is_none(), &format!("/{TENANTS}"), || {
            "expected no preferences of tenants here: only a deployment has some".into()
        })?;
        let asked: Weights = from_value(Preference::FILE, asked)?;
        let usual = Preference::EXCESS_COST;
        let mut preference = Preference {
            request: asked.request.unwrap_or(usual.request),
            gpu_hour: asked.gpu_hour.unwrap_or(usual.gpu_hour),
            cost: asked.cost.unwrap_or(usual.cost),
            latency: asked.latency.unwrap_or(usual.latency),
        };
        let Preference { request, gpu_hour, .. } = preference;
        for (name, weight) in preference.weights() {
            check.within(weight, 0.0, MOST, &format!("/{name}"))?;
        }
        check.require(request > 0.0 || gpu_hour > 0.0, "", || {
            "expected a request or a GPU-hour to be worth something, else nothing is worth serving".into()
        })?;
        let constraints = constraints(&check, &asked.at_most, &asked.at_least)?;
        if asked.relative_to_prices {
            let level = env.mean_list_cost_usd();
            check.require(level > 0.0, "/relative_to_prices", || {
                "expected requests that cost something, because the weight of a USD is relative to that"
                    .into()
            })?;
            preference.cost *= Environment::built_in(Preset::Default).mean_list_cost_usd() / level;
        }
        Ok(Self { preference, constraints })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{catalog::Catalog, constraints::ConstrainedFigure, workloads::Workloads};

    fn asked(asked: Value) -> Result<Preference, (String, String)> {
        let env = Environment::built_in(Preset::Default);
        Preference::asked(&asked, &env).map_err(|error| (error.pointer, error.expected))
    }

    #[test]
    fn weights_that_are_left_out_are_the_usual_ones() {
        assert_eq!(asked(json!({"cost": 8})), Ok(Preference { cost: 8.0, ..Preference::EXCESS_COST }));
        assert_eq!(asked(json!({})), asked(json!("balanced")));
        assert_eq!(asked(json!("cheap")), asked(json!({"cost": 8.0})));
    }

    #[test]
    fn a_tenant_may_want_something_of_its_own_and_is_as_all_others_elsewhere() {
        let env = Environment::built_in(Preset::Default);
        let wanted =
            json!({"cost": 8, "tenants": {"tenant-gaming": {"latency": 0.08}, "tenant-dao": "cheap"}});
        let wanted = Preferences::asked(&wanted, &env).unwrap();
        let all = Preference { cost: 8.0, ..Preference::EXCESS_COST };
        let gaming = Preference { latency: 0.08, ..all };
        assert_eq!(wanted, Preferences { all, tenants: vec![all, gaming, all, all] });
        assert_eq!(wanted.of(1), gaming);
        assert_eq!(Preferences::asked(&wanted.spelled(&env), &env), Ok(wanted.clone()));
        assert_eq!(wanted.spelled(&env)["tenants"].as_object().unwrap().len(), 1, "cheap is what all want");
        for (wrong, pointer) in [
            (json!({"tenants": {"tenant-x": "fast"}}), "/tenants/tenant-x"),
            (json!({"tenants": {"tenant-dao": "bold"}}), "/tenants/tenant-dao"),
            (json!({"tenants": {"tenant-dao": {"cost": -1}}}), "/tenants/tenant-dao/cost"),
            (json!({"tenants": 3}), "/tenants"),
        ] {
            assert_eq!(Preferences::asked(&wrong, &env).unwrap_err().pointer, pointer);
        }
        assert_eq!(asked(json!({"tenants": {"tenant-dao": "fast"}})).unwrap_err().0, "/tenants");
    }

    #[test]
    fn what_is_no_preference_is_refused_with_what_was_expected() {
        let expected = |wrong: Value| asked(wrong).unwrap_err();
        assert!(expected(json!("cheapest")).1.contains("balanced, cheap, fast, fill, hours"));
        assert_eq!(expected(json!({"cost": -1})).0, "/cost");
        assert_eq!(expected(json!({"latency": 1e7})).0, "/latency");
        assert!(expected(json!({"price": 1})).1.contains("price"));
        assert!(expected(json!({"request": 0})).1.contains("worth something"));
        assert!(expected(json!(3)).1.contains("name of a preference"));
    }

    #[test]
    fn constraints_are_told_beside_the_weights_and_refused_where_no_episode_is_judged() {
        let env = Environment::built_in(Preset::Default);
        let both = json!({
            "cost": 8, "at_least": {"gpu_hours_fill": 0.9}, "at_most": {"avg_latency_ms": 305}
        });
        let wanted = Wanted::asked(&both, &env).unwrap();
        assert_eq!(wanted.preference.cost, 8.0);
        let constraint = |figure, bound| Constraint { figure, bound };
        let expected = [
            constraint(ConstrainedFigure::AvgLatencyMs, 305.0),
            constraint(ConstrainedFigure::GpuHoursFill, 0.9),
        ];
        assert_eq!(wanted.constraints, expected);
        let refused = asked(both).unwrap_err();
        assert!(refused.0 == "/at_most" && refused.1.contains("evaluation"), "{refused:?}");
        for (wrong, pointer, expected) in [
            (
                json!({"at_least": {"avg_latency_ms": 305}}),
                "/at_least/avg_latency_ms",
                "fill_rate or gpu_hours_fill or worst_tenant_gpu_hours_fill",
            ),
            (
                json!({"at_most": {"worst_tenant_gpu_hours_fill": 1}}),
                "/at_most/worst_tenant_gpu_hours_fill",
                "avg_latency_ms",
            ),
            (
                json!({"at_least": {"gpu_hours_fill": 1.5}}),
                "/at_least/gpu_hours_fill",
                "at most 1, found 1.5",
            ),
            (json!({"at_most": {"avg_latency_ms": 0}}), "/at_most/avg_latency_ms", "above 0"),
        ] {
            let error = Wanted::asked(&wrong, &env).unwrap_err();
            assert_eq!(error.pointer, pointer);
            assert!(error.expected.contains(expected), "{error}");
        }
    }

    /// Prices a thousandth, weights of cost a thousand times: the same decisions are the best.
    #[test]
    fn relative_to_prices_a_cheap_market_is_weighed_as_a_dear_one() {
        let mut catalog = serde_json::to_value(Catalog::built_in()).unwrap();
        for provider in catalog["providers"].as_array_mut().unwrap() {
            let prices = provider["base_price_usd_per_hour"].as_object_mut().unwrap();
            prices.values_mut().for_each(|price| *price = json!(price.as_f64().unwrap() / 1000.0));
        }
        let catalog = Catalog::from_value("providers", &catalog).unwrap();
        let cheap = Environment::new(catalog, Workloads::built_in(), Preset::Default).unwrap();
        let usual = Environment::built_in(Preset::Default);
        let relative = json!({"relative_to_prices": true});
        let cost = |env: &Environment| Preference::asked(&relative, env).unwrap().cost;
        assert!((cost(&usual) - 3.0).abs() < 1e-9, "{}", cost(&usual));
        assert!((cost(&cheap) - 3000.0).abs() < 1e-6, "{}", cost(&cheap));
    }
}
