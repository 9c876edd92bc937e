//! The settings of the four services in one process: those that each has alone, but for what the stack decides.

use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};
use service_kit::{ConfigError, HttpConfig, load_part_from, telemetry::LogConfig};

use crate::{commands::api_key::new_secret, exit::usage};

/// The names of the services, which begin their variables and are their tables in a settings file.
const SERVICES: [&str; 4] = ["psi-field", "trainer", "remembrancer", "evaluator"];

/// What the variables of all services begin with.
const PREFIX: &str = "AI_MESH_";

/// Everybody's settings.
#[derive(Clone, Default)]
pub(super) struct ServiceSettings {
    pub(super) psi_field: psi_field::Config,
    pub(super) trainer: trainer::Config,
    pub(super) remembrancer: remembrancer::Config,
    pub(super) evaluator: evaluator::Config,
}

impl ServiceSettings {
    /// From the file, which has a table for each service, and the environment, which is stronger.
    ///
    /// # Errors
    /// A setting that does not exist or does not fit, or one that the stack decides.
    pub(super) fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with(PREFIX))?;
            Some((name, value.to_string_lossy().into_owned()))
        });
        Self::of(file, &environment.collect::<Vec<_>>())
    }

    fn of(file: Option<&Path>, environment: &[(String, String)]) -> anyhow::Result<Self> {
        if let Some(file) = file {
            service_kit::check_parts(file, &SERVICES).map_err(|error| usage(error.to_string()))?;
        }
        let prefix = |service: &str| format!("{PREFIX}{}_", service.to_uppercase().replace('-', "_"));
        let is_known = |name: &str| SERVICES.iter().any(|service| name.starts_with(&prefix(service)));
        if let Some((unknown, _)) = environment.iter().find(|(name, _)| !is_known(name)) {
            return Err(usage(format!(
                "the environment variable {unknown} is no setting of a stack: expected {}",
                SERVICES.map(|service| prefix(service) + "…").join(", ")
            )));
        }
        let settings = Self {
            psi_field: part("psi-field", file, environment)?,
            trainer: part("trainer", file, environment)?,
            remembrancer: part("remembrancer", file, environment)?,
            evaluator: part("evaluator", file, environment)?,
        };
        settings.check()?;
        settings.with_keys_of_its_own()
    }

    /// Where all keys are in files, which have their hashes alone, the services call each other with one that nobody else has.
    fn with_keys_of_its_own(mut self) -> anyhow::Result<Self> {
        let Self { psi_field, trainer, remembrancer, evaluator } = &mut self;
        for http in [&mut psi_field.http, &mut trainer.http, &mut remembrancer.http, &mut evaluator.http] {
            if http.api_key_file.is_some() && http.api_keys.is_empty() {
                http.api_keys.push(new_secret()?);
            }
        }
        Ok(self)
    }

    /// What would be ignored in silence is refused.
    fn check(&self) -> anyhow::Result<()> {
        let Self { psi_field, trainer, remembrancer, evaluator } = self;
        let usual = Self::default();
        let urls = [
            ("psi-field: remembrancer_url", psi_field.remembrancer_url.is_some()),
            ("trainer: remembrancer_url", trainer.remembrancer_url != usual.trainer.remembrancer_url),
            ("trainer: psi_field_url", trainer.psi_field_url != usual.trainer.psi_field_url),
            ("evaluator: remembrancer_url", evaluator.remembrancer_url != usual.evaluator.remembrancer_url),
        ];
        if let Some((name, _)) = urls.iter().find(|(_, is_set)| *is_set) {
            return Err(usage(format!(
                "{name}: expected none, because the services of a stack call each other"
            )));
        }
        let logs = [&psi_field.log, &trainer.log, &remembrancer.log, &evaluator.log];
        if logs.iter().any(|log| **log != LogConfig::default()) {
            return Err(usage(
                "log: expected none for a single service, because all of them write one log: set MESH_LOG and \
                 MESH_LOG_FORMAT",
            ));
        }
        Ok(())
    }
}

fn part<C>(service: &str, file: Option<&Path>, environment: &[(String, String)]) -> anyhow::Result<C>
where
    C: Serialize + DeserializeOwned + Default,
{
    let told = |error: ConfigError| usage(error.to_string());
    load_part_from(service, file, environment.iter().cloned()).map_err(told)
}

/// The key with which the others of the stack call a service that has some.
pub(super) fn key(http: &HttpConfig) -> Option<String> {
    http.api_keys.first().cloned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn with(variables: &[(&str, &str)]) -> anyhow::Result<ServiceSettings> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        ServiceSettings::of(None, &variables.iter().map(owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_variable_of_a_service_counts_and_an_unknown_one_is_refused() {
        let set = with(&[
            ("AI_MESH_TRAINER_MAX_CONCURRENT_RUNS", "7"),
            ("AI_MESH_REMEMBRANCER_HTTP_API_KEYS", "one,two"),
            ("AI_MESH_PSI_FIELD_MAX_SWARMS", "3"),
        ])
        .unwrap();
        assert_eq!((set.trainer.max_concurrent_runs, set.psi_field.max_swarms), (7, 3));
        assert_eq!(key(&set.remembrancer.http).as_deref(), Some("one"));
        for (name, told) in [
            ("AI_MESH_TRAINER_MAX_RUNS", "AI_MESH_TRAINER_MAX_CONCURRENT_RUNS"),
            ("AI_MESH_TRAINNER_LEASE_SECONDS", "AI_MESH_TRAINER_…"),
            ("AI_MESH_API_KEY", "AI_MESH_REMEMBRANCER_…"),
            ("AI_MESH_EVALUATOR_REMEMBRANCER_URL", "the services of a stack call each other"),
            ("AI_MESH_EVALUATOR_LOG_FILTER", "MESH_LOG"),
        ] {
            let refused = with(&[(name, "9")]).err().unwrap().to_string();
            assert!(refused.contains(told), "{name}: {refused}");
        }
    }

    #[test]
    fn a_file_has_a_table_for_each_service_and_the_environment_is_stronger() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stack.toml");
        fs::write(
            &path,
            "[trainer]\nlease_seconds = 30\nmax_concurrent_runs = 1\n[psi-field]\nmax_swarms = 5\n",
        )
        .unwrap();
        let variable = [("AI_MESH_TRAINER_LEASE_SECONDS".to_owned(), "40".to_owned())];
        let set = ServiceSettings::of(Some(&path), &variable).unwrap();
        assert_eq!((set.trainer.lease_seconds, set.trainer.max_concurrent_runs), (40, 1));
        assert_eq!(set.psi_field.max_swarms, 5);
        for (wrong, told) in
            [("[trainor]\nx = 1\n", "trainor"), ("[trainer]\nx = 1\n", "`x`"), ("lease = 1\n", "lease")]
        {
            fs::write(&path, wrong).unwrap();
            let refused = ServiceSettings::of(Some(&path), &[]).err().unwrap().to_string();
            assert!(refused.contains(told), "{wrong}: {refused}");
        }
    }
}
