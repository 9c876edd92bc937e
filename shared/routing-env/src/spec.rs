//! From what was asked for to an environment: the one way, whether a request, flags or a checkpoint asks.

use serde_json::Value;

use crate::{
    catalog::Catalog, environment::Environment, input::InputError, preset::Preset, workloads::Workloads,
};

/// What an environment is asked to be made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnvironmentSpec {
    /// The name of a [`Preset`]; the files as they are when absent.
    pub preset: Option<String>,
    /// A provider catalog; the built-in one when absent.
    pub providers: Option<Document>,
    /// Workloads; the built-in ones when absent.
    pub workloads: Option<Document>,
}

/// A JSON document in the public schema, as it came.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// A part of a request that has been parsed already.
    Value(Value),
    /// A file, with the name that mistakes in it are told by.
    File {
        /// Its name.
        name: String,
        /// Its text.
        text: String,
    },
}

impl EnvironmentSpec {
    /// What a mistake in the preset's name is told as in [`InputError::file`].
    pub const PRESET: &'static str = "preset";
    /// The same of a catalog that is no file.
    pub const PROVIDERS: &'static str = "providers";
    /// The same of workloads that are no file.
    pub const WORKLOADS: &'static str = "workloads";

    /// The environment, with episodes as long as the workloads say.
    ///
    /// # Errors
    /// Every mistake that can be found: an unknown preset beside what is wrong in a file. What is wrong in the workloads
    /// is told once the catalog is right, because they name its providers.
    pub fn build(&self) -> Result<Environment, Vec<InputError>> {
        let mut errors = Vec::new();
        let preset = match self.preset.as_deref().map_or(Ok(Preset::Default), str::parse) {
            Ok(preset) => Some(preset),
            Err(unknown) => {
                errors.push(InputError {
                    file: Self::PRESET.into(),
                    pointer: String::new(),
                    expected: unknown.to_string(),
                });
                None
            }
        };
        let catalog = self.catalog().map_err(|error| errors.push(error)).ok();
        let workloads = catalog
            .as_ref()
            .and_then(|catalog| self.workloads(catalog).map_err(|error| errors.push(error)).ok());
        match (catalog, workloads, preset) {
            (Some(catalog), Some(workloads), Some(preset)) => {
                Environment::new(catalog, workloads, preset).map_err(|error| vec![error])
            }
            _ => Err(errors),
        }
    }

    fn catalog(&self) -> Result<Catalog, InputError> {
        match &self.providers {
            None => Ok(Catalog::built_in()),
            Some(Document::Value(value)) => Catalog::from_value(Self::PROVIDERS, value),
            Some(Document::File { name, text }) => Catalog::parse(name, text),
        }
    }

    fn workloads(&self, catalog: &Catalog) -> Result<Workloads, InputError> {
        match &self.workloads {
            None => built_in_workloads(catalog),
            Some(Document::Value(value)) => Workloads::from_value(Self::WORKLOADS, value, catalog),
            Some(Document::File { name, text }) => Workloads::parse(name, text, catalog),
        }
    }
}

/// The built-in workloads on a catalog that may not have every provider that their events name.
fn built_in_workloads(catalog: &Catalog) -> Result<Workloads, InputError> {
    let workloads = Workloads::built_in();
    let is_known = |id: &str| catalog.providers.iter().any(|provider| provider.id == id);
    let unknown = workloads.scenarios.iter().find(|event| !is_known(&event.provider_id));
    let Some(event) = unknown else { return Ok(workloads) };
    Err(InputError {
        file: EnvironmentSpec::WORKLOADS.into(),
        pointer: String::new(),
        expected: format!(
            "expected workloads of your own: the built-in ones have an event at `{}`, which your catalog does not have",
            event.provider_id
        ),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mistakes(spec: &EnvironmentSpec) -> Vec<(String, String)> {
        let errors = spec.build().unwrap_err();
        errors.into_iter().map(|error| (error.file, error.pointer)).collect()
    }

    fn one_provider(latency_ms: f64) -> Value {
        json!({"providers": [{"id": "a", "regions": ["global"], "gpu_types": ["A100"], "reputation": 1,
            "base_latency_ms": latency_ms, "capacity_gpu_hours_per_step": 1}]})
    }

    #[test]
    fn nothing_asked_for_is_the_built_in_files_as_they_are() {
        let built = EnvironmentSpec::default().build().unwrap();
        assert_eq!(built.definition(), Environment::built_in(Preset::Default).definition());
        let spelled_out = EnvironmentSpec {
            preset: Some("steady".into()),
            providers: Some(Document::Value(serde_json::to_value(Catalog::built_in()).unwrap())),
            workloads: Some(Document::File {
                name: "w.json".into(),
                text: serde_json::to_string(&Workloads::built_in()).unwrap(),
            }),
        };
        let built = spelled_out.build().unwrap();
        assert_eq!(built.definition(), Environment::built_in(Preset::Steady).definition());
    }

    #[test]
    fn every_mistake_is_told_at_once_and_in_which_document_it_is() {
        let spec = EnvironmentSpec {
            preset: Some("easy".into()),
            providers: Some(Document::Value(one_provider(0.5))),
            ..EnvironmentSpec::default()
        };
        let latency = "/providers/0/base_latency_ms".to_owned();
        assert_eq!(mistakes(&spec), [("preset".into(), String::new()), ("providers".into(), latency)]);
        let text = "{\"tenants\": [], \"tennants\": 1}".to_owned();
        let file = Document::File { name: "mine.json".into(), text };
        let spec = EnvironmentSpec { workloads: Some(file), ..EnvironmentSpec::default() };
        assert_eq!(mistakes(&spec), [("mine.json".into(), "/tennants".into())]);
    }

    #[test]
    fn the_built_in_workloads_need_the_providers_that_their_events_name() {
        let providers = Some(Document::Value(one_provider(5.0)));
        let spec = EnvironmentSpec { providers, ..EnvironmentSpec::default() };
        assert_eq!(mistakes(&spec), [("workloads".into(), String::new())]);
    }
}
