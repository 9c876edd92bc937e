//! Whether a contribution is what its run makes: the run is played again from its configuration and seed.

use std::fmt;

use anyhow::{Context as _, anyhow, bail};
use api::{
    Hash,
    trainer::{NewRun, ProvedContribution, PsiFieldMode},
};
use client::{Deadline, Ledger, Remembrancer};
use federation::{STEPS, Sealed};
use merkle_log::{canonical_json, evidence};
use policy::{Knowledge, StepReport, Swarm};
use records::{
    Body as _,
    federation::{Merged, merge_id, subject},
};
use routing_env::Episode;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use trainer::{digest::sha256, run_config::RunPlan};

/// A contribution that its author's log names.
pub(crate) struct Audit {
    sealed: Sealed,
    made_by: MadeBy,
    plan: RunPlan,
}

/// What a contribution says of the run whose evidence is new in it.
#[derive(Deserialize)]
struct MadeBy {
    run: Hash,
    episodes_done: u32,
    config: NewRun,
    run_evidence_sha256: Hash,
}

/// What came of an audit.
#[derive(Debug, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub(crate) enum Finding {
    /// The run has seen what its author said.
    Confirmed {
        /// The author.
        author: String,
        /// The run's digest.
        run: Hash,
        /// After so many episodes.
        episodes_done: u32,
        /// SHA-256 of what it has seen.
        run_evidence_sha256: Hash,
    },
    /// It has seen something else.
    Convicted {
        /// The author.
        author: String,
        /// The run's digest.
        run: Hash,
        /// After so many episodes.
        episodes_done: u32,
        /// SHA-256 of what the author said.
        said_sha256: Hash,
        /// SHA-256 of what the run has seen.
        seen_sha256: Hash,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed { author, run, episodes_done, run_evidence_sha256 } => write!(
                f,
                "CONFIRMED: the run {run} of {author}, played again for {episodes_done} episodes, has seen what it said: \
                 {run_evidence_sha256}"
            ),
            Self::Convicted { author, run, episodes_done, said_sha256, seen_sha256 } => write!(
                f,
                "CONVICTED: {author} said that its run {run} has seen {said_sha256} after {episodes_done} episodes, and its own \
                 log proves that it said so; played again, the run has seen {seen_sha256}"
            ),
        }
    }
}

impl Audit {
    /// Reads a contribution with the evidence that its author's log names it.
    ///
    /// # Errors
    /// It is none, or nobody has said it.
    pub(crate) fn of(name: Hash, proved: &ProvedContribution) -> anyhow::Result<Self> {
        let ProvedContribution { contribution, evidence: proof } = proved;
        let sealed = Sealed::open(contribution.get().as_bytes())?;
        if sealed.name().0 != name.0 {
            bail!("the trainer has sent another contribution than {name}: {}", sealed.name());
        }
        let contribution = sealed.contribution();
        let path: Vec<_> = proof.inclusion_path.iter().map(|hash| hash.0).collect();
        let record = proof.record.get();
        evidence::verify(record, proof.log_index, &path, &proof.checkpoint, contribution.author.as_str())
            .context("the evidence that its author's log names it")?;
        if !record.contains(&name.to_string()) {
            bail!("the record that the author's log proves names another contribution");
        }
        if contribution.knowledge.algorithm == STEPS {
            bail!(
                "the contribution is of a deployment: what became of its jobs happened once and cannot be played again. The \
                 outcomes behind it are in its author's ledger: `mesh query deployment.outcome` there"
            );
        }
        let made_by: MadeBy = serde_json::from_value(contribution.made_by.clone()).context("made_by")?;
        let plan = RunPlan::of_record(&made_by.config).map_err(|errors| {
            let told: Vec<_> =
                errors.iter().map(|error| format!("{}: {}", error.pointer, error.detail)).collect();
            anyhow!("the run cannot be played by this version: {}", told.join("; "))
        })?;
        if plan.digest != made_by.run {
            bail!(
                "the configuration has the digest {}, and the contribution names {}: another version made it",
                plan.digest,
                made_by.run
            );
        }
        Ok(Self { sealed, made_by, plan })
    }

    /// Plays the run again. What it took in of others is read in its author's ledger.
    ///
    /// # Errors
    /// It cannot be played: psi-field took part in it, or what it took in is not there.
    pub(crate) async fn play_again(
        &self,
        remembrancer: &Remembrancer,
        tell: impl Fn(&str),
    ) -> anyhow::Result<Finding> {
        let Self { made_by, plan, sealed } = self;
        let (config, author) = (&made_by.config, sealed.contribution().author.to_string());
        if config.psi_field != PsiFieldMode::Off {
            bail!(
                "psi-field took part in the run, and what it ordered is in no contribution: only runs with psi_field `off` can be played again"
            );
        }
        if config.fork.is_some() || config.prior.is_some() {
            bail!(
                "the run goes on from a checkpoint or a prior, which is in no contribution: only runs that begin anew can be played again"
            );
        }
        let federate = config.federate.context("the run was told nothing of a federation")?;
        let ledger = Ledger::new(remembrancer.clone(), Deadline::shutting_down(CancellationToken::new()));
        let mut swarm = Swarm::new(plan.swarm.clone(), &plan.environment)?;
        if let Some(preference) = plan.reward.preference() {
            swarm.prefer(preference, &plan.environment);
        }
        let mut report = StepReport::new(&plan.environment);
        for done in 0..made_by.episodes_done {
            tell(&format!("episode {} of {}", done + 1, made_by.episodes_done));
            let seed = config.seed + u64::from(done);
            swarm.begin_episode(seed);
            let mut episode = Episode::new(&plan.environment, seed, plan.reward);
            while swarm.run_step(&mut episode, plan.reward, &mut report) {}
            swarm.end_episode();
            let done = done + 1;
            if done < made_by.episodes_done && done.is_multiple_of(federate.every) {
                // the agents tell each other, as they did there
                let _known = swarm.gathered();
                let taken_in = self.taken_in(&ledger, done).await?;
                swarm.heed(taken_in.as_ref())?;
            }
        }
        let seen = swarm.gathered().context("the run has learned nothing")?;
        let seen_sha256 = sha256(&canonical_json(&seen)?);
        let (run, episodes_done) = (made_by.run, made_by.episodes_done);
        Ok(if seen_sha256 == made_by.run_evidence_sha256 {
            Finding::Confirmed { author, run, episodes_done, run_evidence_sha256: seen_sha256 }
        } else {
            let said_sha256 = made_by.run_evidence_sha256;
            Finding::Convicted { author, run, episodes_done, said_sha256, seen_sha256 }
        })
    }

    async fn taken_in(&self, ledger: &Ledger, episodes_done: u32) -> anyhow::Result<Option<Knowledge>> {
        let id = merge_id(self.made_by.run, episodes_done);
        let about = subject(Hash(self.sealed.contribution().stream.0.0));
        let merged = ledger.find(&id, &about, |record| Merged::read(record).ok()).await?.with_context(|| {
            format!(
                "the ledger at {} has no record {id} of what the run took in: name its author's remembrancer with \
                 --remembrancer",
                ledger.url()
            )
        })?;
        let Some(name) = merged.heeded_sha256 else { return Ok(None) };
        let bytes =
            ledger.artifact(&name).await?.with_context(|| format!("the artifact {name} is missing there"))?;
        Ok(Some(serde_json::from_slice(&bytes)?))
    }
}
