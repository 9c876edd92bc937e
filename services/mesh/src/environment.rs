//! The environment that a command is about: preset, catalog and workloads, as flags name them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use api::trainer::EnvironmentSpec;
use routing_env::{Catalog, Environment, Preset, Workloads};

use crate::{exit::usage, files::read_text};

/// Flags that name an environment.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct EnvironmentArgs {
    /// A named setting on top of catalog and workloads: default, contended, overloaded, congested or
    /// steady [default: contended; default when --workloads is given]
    #[arg(long, value_name = "NAME")]
    pub(crate) preset: Option<String>,
    /// A catalog of providers (providers.json); the built-in one when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) providers: Option<PathBuf>,
    /// Tenants and their demand (workloads.json); the built-in ones when absent
    #[arg(long, value_name = "FILE")]
    pub(crate) workloads: Option<PathBuf>,
}

impl EnvironmentArgs {
    /// The environment on the wire. The files are read and checked here, so that a mistake is told with
    /// the file's own name.
    pub(crate) fn spec(&self) -> anyhow::Result<EnvironmentSpec> {
        self.load()?;
        Ok(EnvironmentSpec {
            preset: Some(self.preset()?.name().into()),
            providers: self.providers.as_deref().map(json).transpose()?,
            workloads: self.workloads.as_deref().map(json).transpose()?,
        })
    }

    /// The environment itself.
    pub(crate) fn load(&self) -> anyhow::Result<Environment> {
        let catalog = match &self.providers {
            None => Catalog::built_in(),
            Some(path) => Catalog::parse(&path.display().to_string(), &read_text(path)?)
                .map_err(|error| usage(error.to_string()))?,
        };
        let workloads = match &self.workloads {
            None => {
                let file = "the built-in workloads";
                let text = serde_json::to_string(&Workloads::built_in())?;
                Workloads::parse(file, &text, &catalog)
            }
            Some(path) => Workloads::parse(&path.display().to_string(), &read_text(path)?, &catalog),
        };
        let environment =
            workloads.and_then(|workloads| Environment::new(catalog, workloads, self.preset_or_default()));
        self.preset()?;
        environment.map_err(|error| usage(error.to_string()))
    }

    fn preset(&self) -> anyhow::Result<Preset> {
        match &self.preset {
            Some(name) => {
                name.parse().map_err(|error: routing_env::UnknownPreset| usage(format!("--preset: {error}")))
            }
            None if self.workloads.is_some() => Ok(Preset::Default),
            None => Ok(Preset::Contended),
        }
    }

    fn preset_or_default(&self) -> Preset {
        self.preset().unwrap_or_default()
    }
}

fn json(path: &Path) -> anyhow::Result<serde_json::Value> {
    serde_json::from_str(&read_text(path)?).with_context(|| format!("{} is not JSON", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preset_is_contended_unless_workloads_are_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.json");
        std::fs::write(&path, serde_json::to_string(&Workloads::built_in()).unwrap()).unwrap();
        let none = EnvironmentArgs::default();
        assert_eq!(none.load().unwrap().preset(), Preset::Contended);
        assert_eq!(none.spec().unwrap().preset.as_deref(), Some("contended"));
        let given = EnvironmentArgs { workloads: Some(path), ..EnvironmentArgs::default() };
        assert_eq!(given.load().unwrap().preset(), Preset::Default);
        assert_eq!(given.spec().unwrap().preset.as_deref(), Some("default"));
    }
}
