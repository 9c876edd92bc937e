//! What a run does between two episodes: it publishes what it has seen, and takes in what others have.

use std::collections::BTreeMap;

use api::{
    Hash,
    trainer::{FederationContribution, LeftOut},
};
use client::Ledger;
use federation::{
    Author, CONTRIBUTION_FORMAT, Contribution, Digest, Exclusion, Fold, Head, Stream, StreamId, TwinsLaw,
};
use merkle_log::canonical_json;
use policy::{Knowledge, Swarm};
use records::{
    Body as _,
    federation::{Contributed, Merged, merge_id},
};
use serde_json::{Map, Value, json};

use super::{
    Federation, FederationError,
    own::{Node, OwnRun, knowledge, missing},
    there,
};
use crate::run_config::RunPlan;

/// What is published by a run, or by a deployment.
#[derive(Clone, Debug)]
pub struct Published {
    /// What it is about.
    pub stream: Stream,
    /// The run's digest, or that of the deployment's stream.
    pub run: Hash,
    /// What made it, beside that: of a run its configuration, from which it can be repeated.
    pub made_by: Map<String, Value>,
    /// How many episodes the run has done, or windows the deployment.
    pub episodes_done: u32,
    /// How many decisions it has made.
    pub decisions: u64,
    /// What it has seen itself.
    pub knowledge: Knowledge,
    /// What an agent of it knows that has seen nothing.
    pub unlearned: Knowledge,
}

/// Who has seen nothing yet: what a fold begins with, and who tries evidence before it is folded.
#[derive(Clone)]
pub struct Unlearned {
    /// What an agent of it knows.
    pub knowledge: Knowledge,
    /// A swarm of the run's plan.
    pub twin: Swarm,
}

/// What runs of this plan learn about, and who begins to.
///
/// # Errors
/// Says why such runs cannot learn with others.
pub fn stream_of(plan: &RunPlan) -> Result<(Stream, Unlearned), String> {
    let mut twin = Swarm::new(plan.swarm.clone(), &plan.environment).map_err(|error| error.to_string())?;
    let algorithm = &plan.swarm.algorithm;
    if algorithm.settings().get("regions").is_some_and(|regions| regions["enabled"] == true) {
        return Err("expected no regions: their agents learn of each other by a board already".into());
    }
    let knowledge = twin.gathered().ok_or_else(|| {
        format!("expected a learner: the hand rule {} has nothing to exchange", algorithm.name())
    })?;
    let mut settings = algorithm.settings().clone();
    settings.insert("revision".into(), policy::registry::revision(algorithm.name(), &settings).into());
    // what is learned where prices, capacities or demand are others is of another world, whatever its names are
    let world = (*plan.environment).clone().with_steps(1).definition();
    let stream = Stream {
        learner: algorithm.name().to_owned(),
        settings: Value::Object(settings),
        catalog: Digest::of(world.as_bytes()).to_string(),
        preference: json!({"reward": plan.run.reward, "preference": plan.run.preference}),
        version: knowledge.version,
    };
    Ok((stream, Unlearned { knowledge, twin }))
}

impl Federation {
    /// Publishes what a run has seen, with what the other runs of this node have, as the node's next contribution. What was
    /// published before is not published again. `ledger` is the run's own, under its lease; `add` brings what two have seen
    /// together.
    ///
    /// # Errors
    /// The ledger's; what was published before cannot be read.
    pub async fn publish(
        &self,
        ledger: &Ledger,
        published: &Published,
        add: impl Fn(&mut Knowledge, &Knowledge) -> Result<(), String>,
    ) -> Result<(), FederationError> {
        let damaged =
            |error: &dyn std::fmt::Display| FederationError::Damaged(format!("a contribution: {error}"));
        let stream = published.stream.id().map_err(|error| damaged(&error))?;
        let about = serde_json::to_value(&published.stream).map_err(|error| damaged(&error))?;
        let bytes = canonical_json(&published.knowledge).map_err(|error| damaged(&error))?;
        let run_evidence_sha256 = ledger.put_artifact("application/json", bytes).await?;
        let bytes = canonical_json(&published.unlearned).map_err(|error| damaged(&error))?;
        let unlearned_sha256 = ledger.put_artifact("application/json", bytes).await?;
        loop {
            let mut guard = self.node(ledger).await?;
            let node = there(&mut guard)?;
            let author = node.replica.own().clone();
            let own = node.own.get_mut(&stream);
            let sequence = own.as_ref().map_or(0, |own| own.sequence) + 1;
            let mut of_all =
                BTreeMap::from([(published.run, (published.decisions, published.knowledge.clone()))]);
            for (run, known) in own.into_iter().flat_map(|own| &mut own.runs) {
                if *run != published.run {
                    match known.read(ledger).await {
                        // whoever can post to the ledger can name what is none
                        Err(FederationError::Damaged(why)) => {
                            tracing::warn!(%run, why, "what a run of this node has seen is passed over");
                        }
                        read => drop(of_all.insert(*run, read?)),
                    }
                } else if known.episodes_done >= published.episodes_done {
                    return Ok(()); // the run goes on from an earlier checkpoint
                }
            }
            let mut evidence = 0;
            let mut all: Option<Knowledge> = None;
            for (decisions, known) in of_all.into_values() {
                evidence += decisions;
                match &mut all {
                    None => all = Some(known),
                    Some(all) => add(all, &known).map_err(|error| damaged(&error))?,
                }
            }
            let mut made_by = published.made_by.clone();
            made_by.insert("run".into(), json!(published.run));
            made_by.insert("episodes_done".into(), published.episodes_done.into());
            made_by.insert("run_evidence_sha256".into(), json!(run_evidence_sha256));
            let contribution = Contribution {
                format: CONTRIBUTION_FORMAT.to_owned(),
                author,
                stream,
                sequence,
                evidence,
                knowledge: all.unwrap_or_else(|| published.knowledge.clone()),
                made_by: Value::Object(made_by),
            };
            let sealed = contribution.seal().map_err(|error| damaged(&error))?;
            let contribution_sha256 =
                ledger.put_artifact("application/json", sealed.bytes().to_vec()).await?;
            let contributed = Contributed {
                stream: Hash(stream.0.0),
                about: about.clone(),
                sequence,
                contribution_sha256,
                evidence,
                run: published.run,
                episodes_done: published.episodes_done,
                run_evidence: published.decisions,
                run_evidence_sha256,
                unlearned_sha256,
            };
            match ledger.append_body(&contributed).await {
                Ok(_) => {
                    node.catch_up(ledger, &self.0.peers).await?;
                    self.show(node);
                    return Ok(());
                }
                // another trainer of this node was first: its run's evidence belongs into the next one
                Err(error) if error.code() == Some("record_conflict") => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What others have seen, for a run that has done so many episodes: as it is recorded, or else what this node has of it
    /// now, which is recorded before it is given. `None` when there is nothing of others.
    ///
    /// # Errors
    /// The ledger's; what was recorded cannot be read.
    pub async fn take_in(
        &self,
        ledger: &Ledger,
        run: Hash,
        episodes_done: u32,
        stream: &Stream,
        unlearned: &Unlearned,
    ) -> Result<Option<Knowledge>, FederationError> {
        let damaged = |error: &dyn std::fmt::Display| FederationError::Damaged(format!("a merge: {error}"));
        let stream = stream.id().map_err(|error| damaged(&error))?;
        loop {
            if let Some(recorded) = recorded(ledger, run, episodes_done, stream).await? {
                return heeded(ledger, &recorded).await;
            }
            let mut guard = self.node(ledger).await?;
            let node = there(&mut guard)?;
            let (own, exclusions) = (node.replica.own().clone(), node.exclusions());
            let Unlearned { knowledge: nothing, twin } = unlearned;
            let fold = node.replica.fold(stream, &exclusions, &TwinsLaw(twin), nothing)?;
            let of_others = node.replica.fold_of_others(stream, &exclusions, &TwinsLaw(twin), nothing)?;
            let others = self.others(&own, &fold);
            let heads = named(ledger, node, &others).await?;
            let heeded_sha256 = if others.is_empty() {
                None
            } else {
                let bytes = canonical_json(&of_others.knowledge).map_err(|error| damaged(&error))?;
                Some(ledger.put_artifact("application/json", bytes).await?)
            };
            let merged = Merged {
                run,
                episodes_done,
                stream: Hash(stream.0.0),
                map_root: Hash(node.replica.heads().root().0),
                heads,
                excluded: excluded(&exclusions),
                left_out: all_left_out(&fold)?,
                fold_sha256: Hash(fold.sha256.0),
                heeded_sha256,
            };
            match ledger.append_body(&merged).await {
                // what is read again is what others read who repeat the run
                Ok(_) => {}
                Err(error) if error.code() == Some("record_conflict") => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What a run took in last, where it has done so many episodes and exchanges after each `every` of them.
    ///
    /// # Errors
    /// As [`Federation::take_in`]; also when it is not recorded.
    pub async fn taken_in(
        &self,
        ledger: &Ledger,
        run: Hash,
        episodes_done: u32,
        stream: &Stream,
    ) -> Result<Option<Knowledge>, FederationError> {
        let id = stream.id().map_err(|error| FederationError::Damaged(error.to_string()))?;
        let merged = recorded(ledger, run, episodes_done, id).await?.ok_or_else(|| {
            FederationError::Damaged(format!(
                "the ledger has no record {} of what the run took in: it goes on only on the ledger that has it",
                merge_id(run, episodes_done)
            ))
        })?;
        heeded(ledger, &merged).await
    }
}

impl Federation {
    /// Whom a fold heeds beside this node; how many are left out is shown.
    pub(super) fn others<'a>(&self, own: &Author, fold: &'a Fold) -> Vec<&'a (Author, Head)> {
        self.0.left_out.set(fold.left_out.len() as f64);
        fold.heeded.iter().filter(|(author, _)| author != own).collect()
    }
}

/// Contributions of others that are taken in. Whoever asks later what was taken in finds them in this node's own ledger, each
/// with its proof, and so does this node when it is started again.
pub(super) async fn named(
    ledger: &Ledger,
    node: &Node,
    others: &[&(Author, Head)],
) -> Result<Vec<FederationContribution>, FederationError> {
    let mut named = Vec::with_capacity(others.len());
    for (author, head) in others {
        let held = node.replica.held(head.artifact).ok_or_else(|| missing(Hash(head.artifact.0)))?;
        ledger.put_artifact("application/json", held.sealed.bytes().to_vec()).await?;
        let proof_sha256 = match held.proof.as_str() {
            Some(proof) => Some(ledger.put_artifact("application/json", proof.as_bytes().to_vec()).await?),
            None => None,
        };
        named.push(FederationContribution { proof_sha256, ..contribution(author, head) });
    }
    Ok(named)
}

/// A contribution, as the wire and the ledger name it.
pub(super) fn contribution(author: &Author, head: &Head) -> FederationContribution {
    FederationContribution {
        author: author.to_string(),
        sequence: head.sequence,
        sha256: Hash(head.artifact.0),
        evidence: head.evidence,
        proof_sha256: None,
    }
}

/// Whom an operator leaves out, likewise.
pub(super) fn excluded(exclusions: &[Exclusion]) -> Vec<String> {
    exclusions.iter().map(|exclusion| exclusion.author.to_string()).collect()
}

/// All who are left out of a fold, likewise.
pub(super) fn all_left_out(fold: &Fold) -> Result<Vec<LeftOut>, FederationError> {
    let told: Result<_, _> = fold.left_out.iter().map(left_out).collect();
    told.map_err(|error| FederationError::Damaged(format!("who is left out: {error}")))
}

/// What a merge took in of others.
async fn heeded(ledger: &Ledger, merged: &Merged) -> Result<Option<Knowledge>, FederationError> {
    match merged.heeded_sha256 {
        Some(name) => knowledge(ledger, &name).await.map(Some),
        None => Ok(None),
    }
}

impl OwnRun {
    /// How many observations there are, and what they come to.
    async fn read(&mut self, ledger: &Ledger) -> Result<(u64, Knowledge), FederationError> {
        if self.knowledge.is_none() {
            self.knowledge = Some(knowledge(ledger, &self.evidence_sha256).await?);
        }
        let known = self.knowledge.clone().ok_or_else(|| missing(self.evidence_sha256))?;
        Ok((self.evidence, known))
    }
}

async fn recorded(
    ledger: &Ledger,
    run: Hash,
    episodes_done: u32,
    stream: StreamId,
) -> Result<Option<Merged>, FederationError> {
    let id = merge_id(run, episodes_done);
    let subject = records::federation::subject(Hash(stream.0.0));
    Ok(ledger.find(&id, &subject, |record| Merged::read(record).ok()).await?)
}

/// Somebody who is left out, as the wire and the ledger tell it.
pub(super) fn left_out(left_out: &federation::LeftOut) -> Result<LeftOut, serde_json::Error> {
    let why = serde_json::to_value(&left_out.reason)?;
    Ok(LeftOut { author: left_out.author.to_string(), why })
}
