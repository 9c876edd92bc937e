//! A deployment and the policies that its log is asked about, as the ledger has them.

use api::{FieldError, Hash, trainer::EnvironmentSpec};
use policy::{PolicyFile, Rule, Swarm};
use records::{
    Body as _,
    deployments::{self, Created},
    policy::{Imported, subject as policy_subject},
    run,
};
use routing_env::{Environment, Preference, Preferences, Reward, Rewards};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Asked, Name, Named};
use crate::{
    error::EvaluationError,
    ledger::{FILE_DEADLINE, Ledger, REQUEST_DEADLINE},
    plan::environment,
};

/// A deployment, and all who are judged from its log.
pub(crate) struct Prepared {
    pub(crate) created: Created,
    /// The index of the leaf that says so.
    pub(crate) first_leaf: u64,
    pub(crate) env: Environment,
    pub(crate) rewards: Rewards,
    /// The deployment's own policy.
    pub(crate) own: Contestant,
    pub(crate) others: Vec<Contestant>,
}

/// A policy that decides.
#[derive(Clone)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) file: Option<Hash>,
    pub(crate) swarm: Swarm,
}

/// What a policy decides by.
#[derive(Clone, Copy)]
enum Source {
    Rule(Rule),
    File(Hash),
}

impl Ledger {
    /// What is needed to judge policies from a log.
    ///
    /// # Errors
    /// There is no such deployment or policy, a policy cannot decide there, the remembrancer is away.
    pub(crate) async fn prepare(&self, asked: &Asked) -> Result<Prepared, EvaluationError> {
        let name = &asked.deployment;
        let missing = || EvaluationError::DeploymentNotFound(name.clone());
        let (first_leaf, created) = Box::pin(self.deployment(name)).await?.ok_or_else(missing)?;
        let configuration = &created.configuration;
        let unusable = |what: &str| {
            let detail = format!("expected a deployment whose log can be read: {what}");
            EvaluationError::Invalid(vec![FieldError { pointer: "/logged".to_owned(), detail }])
        };
        let (_, spec) = Box::pin(self.policy(configuration.policy_id))
            .await?
            .ok_or_else(|| unusable("its policy is not in the ledger any more"))?;
        let env = environment(&spec).map_err(|_| unusable("its environment is not valid any more"))?;
        if Hash(Sha256::digest(env.definition()).into()) != configuration.environment_sha256 {
            return Err(unusable("its environment means something else in this version of the program"));
        }
        let source = match (&configuration.policy_sha256, &configuration.rule) {
            (Some(file), _) => Source::File(*file),
            (None, Some(rule)) => {
                Source::Rule(rule.parse().map_err(|_| unusable("no rule has the name of its policy"))?)
            }
            (None, None) => return Err(unusable("it does not say by what it decides")),
        };
        let wanted = created.settings.preference.as_ref();
        let wanted = wanted.map(|wanted| Preferences::asked(wanted, &env)).transpose();
        let wanted = wanted.map_err(|_| unusable("what it decides for is no preference of this version"))?;
        let (own, rewards) = Box::pin(self.contestant(source, &env, wanted)).await?;
        let mut others = Vec::with_capacity(asked.policies.len());
        for named in &asked.policies {
            let source = Box::pin(self.source(named)).await?;
            others.push(Box::pin(self.contestant(source, &env, rewards.preferences())).await?.0);
        }
        Ok(Prepared { created, first_leaf, env, rewards, own, others })
    }

    /// A deployment and the index of its first leaf.
    async fn deployment(&self, name: &str) -> Result<Option<(u64, Created)>, EvaluationError> {
        let id = Created::id_of(name);
        let read = |record: &api::remembrancer::Record| {
            let created = Created::read(record).ok().filter(Created::is_sound)?;
            Some((record.log_index, created))
        };
        let ledger = self.asked().within(REQUEST_DEADLINE);
        Ok(ledger.find(&format!("{id}:created"), &deployments::subject(id), read).await?)
    }

    /// What a named policy decides by.
    async fn source(&self, named: &Named) -> Result<Source, EvaluationError> {
        match named.policy {
            Name::Rule(rule) => Ok(Source::Rule(rule)),
            Name::File(file) => Ok(Source::File(file)),
            Name::Id(id) => match self.policy(id).await? {
                Some((source, _)) => Ok(source),
                None => Err(EvaluationError::Invalid(vec![FieldError {
                    pointer: named.pointer.clone(),
                    detail: format!(
                        "expected the id of a policy, and there is no policy {id}: the trainer's `GET /v1/policies` \
                                     lists them"
                    ),
                }])),
            },
        }
    }

    /// A policy by its id, whether it was imported or a run learned it, and where it decides.
    async fn policy(&self, id: Uuid) -> Result<Option<(Source, EnvironmentSpec)>, EvaluationError> {
        let ledger = self.asked().within(REQUEST_DEADLINE);
        let imported = policy_subject(id);
        if let Some(imported) = ledger.body::<Imported>(&imported, &imported).await? {
            let source = match imported.policy_sha256 {
                Some(file) => Some(Source::File(file)),
                None => imported.algorithm.parse().ok().map(Source::Rule),
            };
            return Ok(source.zip(imported.environment().ok()));
        }
        let subject = run::subject(id);
        let Some(created) = ledger.body::<run::Created>(&format!("{id}:created"), &subject).await? else {
            return Ok(None);
        };
        let ended = ledger.body::<run::Ended>(&format!("{id}:completed"), &subject).await?;
        let file = ended.and_then(|ended| ended.policy_sha256);
        let config = created.exact_config().ok();
        Ok(file.map(Source::File).zip(config.map(|config| config.environment)))
    }

    /// A policy, ready to decide in this environment for those who want this, where it can; by default for what it was trained
    /// for. And what that is.
    async fn contestant(
        &self,
        source: Source,
        env: &Environment,
        wanted: Option<Preferences>,
    ) -> Result<(Contestant, Rewards), EvaluationError> {
        let file = match source {
            Source::Rule(rule) => {
                let wanted = wanted.unwrap_or(Preference::EXCESS_COST.into());
                let swarm = Swarm::of_rule_for(rule, env, wanted.clone());
                let name = rule.name().to_owned();
                return Ok((Contestant { name, file: None, swarm }, wanted.into()));
            }
            Source::File(file) => file,
        };
        let bytes = self.asked().within(FILE_DEADLINE).artifact(&file).await?;
        let bytes = bytes.ok_or(EvaluationError::PolicyNotFound(file))?;
        let env = env.clone();
        // a large policy takes a while to parse
        let made = tokio::task::spawn_blocking(move || made(file, &bytes, &env, wanted)).await;
        made.map_err(|panic| EvaluationError::InvalidPolicy(file, format!("reading it failed: {panic}")))?
    }
}

fn made(
    sha256: Hash,
    bytes: &[u8],
    env: &Environment,
    wanted: Option<Preferences>,
) -> Result<(Contestant, Rewards), EvaluationError> {
    let invalid = |reason: &dyn ToString| EvaluationError::InvalidPolicy(sha256, reason.to_string());
    let file = PolicyFile::parse(bytes).map_err(|error| invalid(&error))?;
    let mut swarm =
        file.swarm(env).map_err(|error| EvaluationError::PolicyMismatch(sha256, error.to_string()))?;
    if !swarm.decides_one_by_one() {
        return Err(invalid(
            &"its agents are of regions, which divide a step's requests beforehand: a stream's are not known",
        ));
    }
    if let Some(wanted) = &wanted {
        // one that cannot heed it is judged as it was trained
        swarm.prefer(wanted.clone(), env);
    }
    let named = file.training.reward.parse().unwrap_or_default();
    let trained_for = file.training.preference.map_or(named, Reward::Preference);
    let name = format!("{} {}", file.swarm.algorithm.name(), &sha256.to_string()[..8]);
    Ok((Contestant { name, file: Some(sha256), swarm }, wanted.map_or(trained_for.into(), Rewards::from)))
}
