//! What is wanted, on the command line.

use std::str::FromStr;

use routing_env::{Environment, NAMED_PREFERENCES, Preference};
use serde_json::{Map, Value, json};

use crate::exit::usage;

/// The flag that says what is wanted.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct PreferenceArgs {
    #[arg(long, value_name = "NAME|WEIGHTS", help = preference_help())]
    preference: Option<Asked>,
}

fn preference_help() -> String {
    let names = NAMED_PREFERENCES.map(|(name, ..)| name).join(", ");
    let Preference { request, gpu_hour, cost, latency } = Preference::EXCESS_COST;
    format!(
        "What is wanted: {names}, or weights, as in cost=8,latency=0.08. The weights are request ({request} points), gpu_hour \
         ({gpu_hour}), cost ({cost} points a USD beyond the list price) and latency ({latency} a ms); relative_to_prices=true \
         means cost at the price level of the built-in catalog [default: balanced]"
    )
}

/// What is asked for, as it stands on the wire.
#[derive(Clone, Debug, PartialEq)]
struct Asked(Value);

impl PreferenceArgs {
    /// As it stands on the wire; `None` where nothing was said.
    pub(crate) fn on_the_wire(&self) -> Option<Value> {
        self.preference.as_ref().map(|asked| asked.0.clone())
    }

    /// The weights in this environment; `None` where nothing was said.
    pub(crate) fn weights(&self, environment: &Environment) -> anyhow::Result<Option<Preference>> {
        let asked =
            self.preference.as_ref().map(|asked| Preference::asked(&asked.0, environment)).transpose();
        asked.map_err(|error| {
            let weight = error.pointer.trim_start_matches('/');
            let at = if weight.is_empty() { String::new() } else { format!(" {weight}") };
            usage(format!("--preference{at}: {}", error.expected))
        })
    }
}

/// Flags that say what must hold of each episode.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct ConstraintArgs {
    /// Play so that a figure of each episode is at most this: avg_latency_ms=305. What that is worth is learned while deciding;
    /// may be given several times
    #[arg(long, value_name = "FIGURE=VALUE")]
    at_most: Vec<Bound>,
    /// The same with at least this: fill_rate=0.97, gpu_hours_fill=0.9, worst_tenant_gpu_hours_fill=0.8
    #[arg(long, value_name = "FIGURE=VALUE")]
    at_least: Vec<Bound>,
}

/// A figure's name and what it is to be.
#[derive(Clone, Debug, PartialEq)]
struct Bound(String, Value);

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) =
            text.split_once('=').ok_or_else(|| format!("expected FIGURE=VALUE, found `{text}`"))?;
        Ok(Self(name.to_owned(), number(name, value)?))
    }
}

impl ConstraintArgs {
    /// The preference with these constraints, as it stands on the wire: one of a name is then told by its weights.
    pub(crate) fn on_the_wire(&self, preference: Option<Value>) -> Option<Value> {
        if self.at_most.is_empty() && self.at_least.is_empty() {
            return preference;
        }
        let mut asked = match spelled(preference) {
            Ok(weights) => weights,
            Err(other) => return Some(other), // it is refused with what was expected
        };
        for (side, bounds) in [("at_most", &self.at_most), ("at_least", &self.at_least)] {
            if !bounds.is_empty() {
                let bounds = bounds.iter().map(|Bound(name, value)| (name.clone(), value.clone()));
                asked.insert(side.into(), bounds.collect::<Map<_, _>>().into());
            }
        }
        Some(asked.into())
    }
}

/// A preference as weights; as it is where it is none.
fn spelled(preference: Option<Value>) -> Result<Map<String, Value>, Value> {
    let named = |name: &str| NAMED_PREFERENCES.into_iter().find(|(known, ..)| *known == name);
    match preference {
        None => Ok(Map::new()),
        Some(Value::Object(weights)) => Ok(weights),
        Some(other) => match other.as_str().and_then(named).map(|(_, weights, _)| json!(weights)) {
            Some(Value::Object(weights)) => Ok(weights),
            _ => Err(other),
        },
    }
}

/// The flag that says what single tenants want.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct TenantPreferenceArgs {
    /// What a tenant wants for itself, as in tenant-gaming=fast or tenant-dao=cost=8,latency=.08: a weight that is left out is that of
    /// --preference; may be given several times
    #[arg(long = "tenant-preference", value_name = "TENANT=NAME|WEIGHTS")]
    tenants: Vec<OfTenant>,
}

/// A tenant, and what it wants.
#[derive(Clone, Debug, PartialEq)]
struct OfTenant(String, Asked);

impl FromStr for OfTenant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tenant, asked) = text
            .split_once('=')
            .ok_or_else(|| format!("expected TENANT=NAME or TENANT=WEIGHTS, found `{text}`"))?;
        Ok(Self(tenant.to_owned(), asked.parse()?))
    }
}

impl TenantPreferenceArgs {
    /// The preference with those of tenants, as it stands on the wire: one of a name is then told by its weights.
    pub(crate) fn on_the_wire(&self, preference: Option<Value>) -> Option<Value> {
        if self.tenants.is_empty() {
            return preference;
        }
        let mut asked = match spelled(preference) {
            Ok(weights) => weights,
            Err(other) => return Some(other), // it is refused with what was expected
        };
        let tenants = self.tenants.iter().map(|OfTenant(tenant, asked)| (tenant.clone(), asked.0.clone()));
        asked.insert("tenants".into(), tenants.collect::<Map<_, _>>().into());
        Some(asked.into())
    }
}

/// A number as people write it, `.08` included.
fn number(name: &str, text: &str) -> Result<Value, String> {
    serde_json::from_str(text)
        .or_else(|_| text.parse::<f64>().map(Value::from))
        .map_err(|_| format!("{name}: expected a number, found `{text}`"))
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains('=') {
            return Ok(Self(text.into()));
        }
        let weight = |pair: &str| {
            let (name, value) =
                pair.split_once('=').ok_or_else(|| format!("expected NAME=WEIGHT, found `{pair}`"))?;
            Ok((name.to_owned(), number(name, value)?))
        };
        text.split(',').map(weight).collect::<Result<Map<_, _>, String>>().map(|weights| Self(weights.into()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_preference_is_a_name_or_weights() {
        let asked = |text: &str| text.parse::<Asked>().map(|asked| asked.0);
        assert_eq!(asked("cheap"), Ok(json!("cheap")));
        assert_eq!(asked("cost=8,latency=.08"), Ok(json!({"cost": 8, "latency": 0.08})));
        assert_eq!(asked("relative_to_prices=true"), Ok(json!({"relative_to_prices": true})));
        assert!(asked("cost=8,latency").unwrap_err().contains("`latency`"));
        assert!(asked("cost=much").unwrap_err().contains("`much`"));
    }

    #[test]
    fn what_tenants_want_is_told_beside_what_all_want() {
        let flags = |tenants: &[&str]| {
            let tenants = tenants.iter().map(|tenant| tenant.parse().unwrap()).collect();
            TenantPreferenceArgs { tenants }
        };
        let both = flags(&["tenant-gaming=fast", "tenant-dao=cost=8,latency=.08"]);
        let own = json!({"tenant-gaming": "fast", "tenant-dao": {"cost": 8, "latency": 0.08}});
        assert_eq!(both.on_the_wire(None), Some(json!({"tenants": own})));
        let cheap = both.on_the_wire(Some(json!("cheap"))).unwrap();
        assert_eq!((&cheap["cost"], &cheap["tenants"]), (&json!(8.0), &own));
        assert_eq!(flags(&[]).on_the_wire(Some(json!("cheap"))), Some(json!("cheap")));
        assert!("tenant-gaming".parse::<OfTenant>().unwrap_err().contains("TENANT=NAME"));
    }

    #[test]
    fn a_constraint_is_told_beside_the_weights_of_a_preference() {
        let bound = |text: &str| text.parse::<Bound>().unwrap();
        let flags = ConstraintArgs { at_most: vec![bound("avg_latency_ms=305")], at_least: vec![] };
        let at_most = json!({"avg_latency_ms": 305});
        assert_eq!(flags.on_the_wire(None), Some(json!({"at_most": at_most})));
        assert_eq!(flags.on_the_wire(Some(json!({"cost": 8}))), Some(json!({"cost": 8, "at_most": at_most})));
        let cheap = flags.on_the_wire(Some(json!("cheap"))).unwrap();
        assert_eq!((&cheap["cost"], &cheap["at_most"]), (&json!(8.0), &at_most));
        assert_eq!(flags.on_the_wire(Some(json!("cheapest"))), Some(json!("cheapest")));
        assert_eq!(ConstraintArgs::default().on_the_wire(Some(json!("cheap"))), Some(json!("cheap")));
        assert!("avg_latency_ms".parse::<Bound>().unwrap_err().contains("FIGURE=VALUE"));
    }
}
