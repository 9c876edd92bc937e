//! What is wanted, on the command line.

use std::str::FromStr;

use routing_env::{Environment, NAMED_PREFERENCES, Preference};
use serde_json::{Map, Value};

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

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains('=') {
            return Ok(Self(text.into()));
        }
        let weight = |pair: &str| {
            let (name, value) =
                pair.split_once('=').ok_or_else(|| format!("expected NAME=WEIGHT, found `{pair}`"))?;
            let value: Value = serde_json::from_str(value)
                .or_else(|_| value.parse::<f64>().map(Value::from))
                .map_err(|_| format!("{name}: expected a number, found `{value}`"))?;
            Ok((name.to_owned(), value))
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
}
