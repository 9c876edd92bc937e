//! The services of a stack that somebody else runs.

use anyhow::{Context as _, anyhow};
use api::trainer::RunQuery;
use client::{ClientError, Endpoint, PsiField, Remembrancer, Trainer};
use uuid::Uuid;

use crate::{exit::usage, known_ledger::KnownLedger, known_logs::KnownLogsArgs, output::note};

/// Flags that name a running stack's trainer.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "The running stack")]
pub(crate) struct RemoteArgs {
    /// The address of the trainer
    #[arg(long, value_name = "URL", env = "MESH_TRAINER_URL", default_value = "http://127.0.0.1:8001")]
    trainer: String,
    /// The API key
    #[arg(long, value_name = "KEY", env = "MESH_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
}

/// Flags that name a running stack's remembrancer.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "The running stack")]
pub(crate) struct LedgerArgs {
    /// The address of the remembrancer
    #[arg(long, value_name = "URL", env = "MESH_REMEMBRANCER_URL", default_value = "http://127.0.0.1:8002")]
    remembrancer: String,
    /// The API key
    #[arg(long, value_name = "KEY", env = "MESH_API_KEY", hide_env_values = true)]
    api_key: Option<String>,
    #[command(flatten)]
    known: KnownLogsArgs,
}

/// A run by its id or its id's beginning, or the newest one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RunName {
    /// This one.
    Id(Uuid),
    /// The only one whose id begins so.
    Beginning(String),
    /// The newest.
    Last,
}

/// Fewer digits of an id are too easily another run's.
const LEAST_DIGITS: usize = 4;

impl std::str::FromStr for RunName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "last" {
            return Ok(Self::Last);
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        let beginning = text.to_ascii_lowercase();
        let is_beginning = (LEAST_DIGITS..36).contains(&beginning.len())
            && beginning.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if is_beginning {
            return Ok(Self::Beginning(beginning));
        }
        Err("expected a run's id or its first digits, as `mesh runs` lists it, or `last`".to_owned())
    }
}

impl RemoteArgs {
    /// A client of the trainer; nothing is called yet.
    pub(crate) fn trainer(&self) -> anyhow::Result<Trainer> {
        Trainer::new(self.endpoint(&self.trainer)).map_err(|error| usage(format!("--trainer: {error}")))
    }

    /// A client of the psi-field there, with the same key; nothing is called yet.
    pub(crate) fn psi_field(&self, url: &str) -> anyhow::Result<PsiField> {
        PsiField::new(self.endpoint(url)).map_err(|error| usage(format!("--psi-field: {error}")))
    }

    /// A client of the remembrancer there, with the same key; nothing is called yet.
    pub(crate) fn remembrancer(&self, url: &str) -> anyhow::Result<Remembrancer> {
        Remembrancer::new(self.endpoint(url)).map_err(|error| usage(format!("--remembrancer: {error}")))
    }

    fn endpoint(&self, url: &str) -> Endpoint {
        Endpoint::new(url).with_api_key(self.api_key.clone())
    }
}

impl LedgerArgs {
    /// A client of the remembrancer; nothing is called yet.
    pub(crate) fn remembrancer(&self) -> anyhow::Result<Remembrancer> {
        let endpoint = Endpoint::new(&self.remembrancer).with_api_key(self.api_key.clone());
        Remembrancer::new(endpoint).map_err(|error| usage(format!("--remembrancer: {error}")))
    }

    /// The log that the remembrancer keeps, which must be the one that is known.
    pub(crate) async fn meet(&self, remembrancer: &Remembrancer) -> anyhow::Result<KnownLedger> {
        KnownLedger::meet(remembrancer, self.known.file()?, false, note).await
    }
}

impl RunName {
    /// The run's id.
    pub(crate) async fn id(&self, trainer: &Trainer) -> anyhow::Result<Uuid> {
        match self {
            Self::Id(id) => Ok(*id),
            Self::Beginning(beginning) => begins_with(trainer, beginning).await,
            Self::Last => {
                let query = RunQuery { limit: Some(1), ..RunQuery::default() };
                let newest = trainer.runs(&query).await.map_err(|error| trainer_error(trainer, error))?;
                let newest = newest.items.first().map(|run| run.id);
                newest.with_context(|| format!("the trainer at {} has no run yet", trainer.endpoint().url))
            }
        }
    }
}

/// The run whose id begins so.
async fn begins_with(trainer: &Trainer, beginning: &str) -> anyhow::Result<Uuid> {
    let query = RunQuery { q: Some(beginning.to_owned()), limit: Some(1000), ..RunQuery::default() };
    let page = trainer.runs(&query).await.map_err(|error| trainer_error(trainer, error))?;
    // words are looked for in names and digests too
    let ids = page.items.iter().map(|run| run.id).filter(|id| id.to_string().starts_with(beginning));
    match ids.collect::<Vec<_>>()[..] {
        [id] => Ok(id),
        [] => Err(anyhow!(
            "the trainer at {} has no run whose id begins with {beginning}: `mesh runs` lists them",
            trainer.endpoint().url
        )),
        [one, other, ..] => Err(usage(format!(
            "the ids of several runs begin with {beginning}, such as {one} and {other}: give more of it"
        ))),
    }
}

/// A trainer's error for people: when nothing listens, what to do rather than how the connection failed.
pub(crate) fn trainer_error(trainer: &Trainer, error: ClientError) -> anyhow::Error {
    service_error("trainer", trainer.endpoint(), error)
}

/// The same of the remembrancer.
pub(crate) fn ledger_error(remembrancer: &Remembrancer, error: ClientError) -> anyhow::Error {
    service_error("remembrancer", remembrancer.endpoint(), error)
}

/// The same of the service that this flag names.
pub(crate) fn service_error(flag: &str, endpoint: &Endpoint, error: ClientError) -> anyhow::Error {
    match error {
        ClientError::Unreachable { .. } => anyhow!(
            "nothing answers at {}: start a stack with `mesh up`, or name a running one's {flag} with --{flag} or \
             MESH_{}_URL",
            endpoint.url,
            flag.to_uppercase().replace('-', "_")
        ),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_its_id_or_the_beginning_of_it_or_as_the_last() {
        assert_eq!("last".parse(), Ok(RunName::Last));
        assert_eq!(Uuid::nil().to_string().parse(), Ok(RunName::Id(Uuid::nil())));
        assert_eq!("01A2-f".parse(), Ok(RunName::Beginning("01a2-f".into())));
        for wrong in ["lost", "01a", "01a2f3c4-1111-2222-3333-4444555566667"] {
            assert!(wrong.parse::<RunName>().unwrap_err().contains("`mesh runs`"), "{wrong}");
        }
    }
}
