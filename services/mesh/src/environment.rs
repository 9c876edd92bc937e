//! The environment that a command is about: preset, catalog and workloads, as flags name them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use api::trainer::EnvironmentSpec;
use routing_env::{Document, Environment, InputError, Preset};

use crate::{exit::usage, files::read_text, output::note};

/// Flags that name an environment.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct EnvironmentArgs {
    #[arg(long, value_name = "NAME", help = preset_help())]
    pub(crate) preset: Option<String>,
    /// A catalog of providers (providers.json) [default: the built-in one]
    #[arg(long, value_name = "FILE")]
    pub(crate) providers: Option<PathBuf>,
    /// Tenants and their demand (workloads.json) [default: the built-in ones]
    #[arg(long, value_name = "FILE")]
    pub(crate) workloads: Option<PathBuf>,
}

fn preset_help() -> String {
    let (names, default) = (Preset::names(), Preset::Contended);
    format!(
        "A named setting on top of catalog and workloads: {names} [default: {default}; {} when --workloads is given]",
        Preset::default()
    )
}

impl EnvironmentArgs {
    /// The environment on the wire. The files are read and checked here, so that a mistake is told with
    /// the file's own name.
    pub(crate) fn spec(&self) -> anyhow::Result<EnvironmentSpec> {
        self.load()?;
        Ok(EnvironmentSpec {
            preset: Some(self.preset()),
            providers: self.providers.as_deref().map(json).transpose()?,
            workloads: self.workloads.as_deref().map(json).transpose()?,
        })
    }

    /// The environment itself.
    pub(crate) fn load(&self) -> anyhow::Result<Environment> {
        let asked = routing_env::EnvironmentSpec {
            preset: Some(self.preset()),
            providers: self.providers.as_deref().map(document).transpose()?,
            workloads: self.workloads.as_deref().map(document).transpose()?,
        };
        let environment = built(&asked)?;
        if let Some(assumption) = environment.catalog().assumption() {
            note(&format!("Warning: {assumption}"));
        }
        Ok(environment)
    }

    /// Whether any of the flags is given.
    pub(crate) fn is_named(&self) -> bool {
        self.preset.is_some() || self.providers.is_some() || self.workloads.is_some()
    }

    /// The name of the preset, which need not be one.
    fn preset(&self) -> String {
        match &self.preset {
            Some(name) => name.clone(),
            None if self.workloads.is_some() => Preset::default().name().into(),
            None => Preset::Contended.name().into(),
        }
    }
}

/// The environment that was asked for.
///
/// # Errors
/// Every mistake: in a file by its name, in the preset by its flag.
pub(crate) fn built(asked: &routing_env::EnvironmentSpec) -> anyhow::Result<Environment> {
    let told = |error: InputError| match error.file.as_str() {
        routing_env::EnvironmentSpec::PRESET => format!("--preset: {}", error.expected),
        _ => error.to_string(),
    };
    let joined = |errors: Vec<InputError>| errors.into_iter().map(told).collect::<Vec<_>>().join("; ");
    asked.build().map_err(|errors| usage(joined(errors)))
}

/// A file as it is.
pub(crate) fn document(path: &Path) -> anyhow::Result<Document> {
    Ok(Document::File { name: path.display().to_string(), text: read_text(path)? })
}

fn json(path: &Path) -> anyhow::Result<serde_json::Value> {
    json_input::from_str(&read_text(path)?).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use routing_env::Workloads;

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
