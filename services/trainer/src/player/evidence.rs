//! Learning with other nodes: what the run does between two episodes.

use federation::Stream;
use policy::{Knowledge, Swarm};
use serde_json::Map;
use uuid::Uuid;

use super::Player;
use crate::{
    federation::{Federation, Published, Unlearned, stream_of},
    ledger::RunLedger,
    run::Run,
    run_config::RunPlan,
    run_waiter::Halt,
};

/// A run's part in the federation.
pub(super) struct Others {
    federation: Federation,
    stream: Stream,
    unlearned: Unlearned,
    every: u32,
}

impl Others {
    /// That of a run which is told to learn with others.
    pub(super) fn of(plan: &RunPlan, federation: &Federation) -> Result<Option<Self>, Halt> {
        let Some(federate) = plan.run.federate else { return Ok(None) };
        let (stream, unlearned) = stream_of(plan).map_err(Halt::Failed)?;
        let federation = federation.clone();
        Ok(Some(Self { federation, stream, unlearned, every: federate.every.max(1) }))
    }

    /// Lets the swarm of a run that goes on after so many episodes act on what the run took in last.
    pub(super) fn go_on(
        &self,
        ledger: &RunLedger,
        run: &Run,
        episodes_done: u32,
        swarm: &mut Swarm,
    ) -> Result<(), Halt> {
        let last = episodes_done / self.every * self.every;
        if last == 0 {
            return Ok(());
        }
        let Self { federation, stream, unlearned, .. } = self;
        let is_another_run =
            run.config.fork.is_some() && run.goes_on_from() == run.config.fork.map(|fork| fork.checkpoint);
        let taken_in = ledger.federate("reading what the run took in of others", async |ledger| {
            if is_another_run {
                // what the run took in that it leaves was that run's
                federation.take_in(ledger, run.digest, last, stream, unlearned).await
            } else {
                federation.taken_in(ledger, run.digest, last, stream).await
            }
        })?;
        heed(swarm, taken_in.as_ref(), run.id)
    }
}

/// Lets a swarm act on what others have seen. Evidence that it cannot act on was left out before it was folded; should the
/// fold come to something else that it cannot act on, that is passed over, whole, because no other node may end a run.
/// Whoever repeats the run does the same.
fn heed(swarm: &mut Swarm, others: Option<&Knowledge>, run: Uuid) -> Result<(), Halt> {
    let Err(error) = swarm.heed(others) else { return Ok(()) };
    tracing::warn!(%run, %error, "what others have seen cannot be acted on and is passed over");
    swarm.heed(None).map_err(|error| Halt::Failed(format!("what others have seen: {error}")))
}

impl Player<'_> {
    /// Publishes what the run has seen, and takes in what others have, when it is time. Before a checkpoint, so that what is
    /// checkpointed has taken it in.
    pub(super) fn exchange_evidence(&mut self) -> Result<(), Halt> {
        let Some(Others { federation, stream, unlearned, every }) = &self.others else { return Ok(()) };
        let is_over = self.episodes_done >= self.run.config.episodes;
        if !self.episodes_done.is_multiple_of(*every) && !is_over {
            return Ok(());
        }
        let Some(knowledge) = self.swarm.gathered() else { return Ok(()) };
        let config = serde_json::to_value(&self.plan.run)
            .map_err(|error| Halt::Failed(format!("the configuration: {error}")))?;
        let published = Published {
            stream: stream.clone(),
            run: self.plan.digest,
            made_by: Map::from_iter([("config".to_owned(), config)]),
            episodes_done: self.episodes_done,
            decisions: self.frontier.len(),
            knowledge,
            unlearned: unlearned.knowledge.clone(),
        };
        let (run, episodes_done) = (self.plan.digest, self.episodes_done);
        let taken_in = self.ledger.federate("exchanging with other nodes", async |ledger| {
            let add =
                |all: &mut Knowledge, other: &Knowledge| all.merge(other).map_err(|error| error.to_string());
            federation.publish(ledger, &published, add).await?;
            if is_over {
                return Ok(None);
            }
            federation.take_in(ledger, run, episodes_done, stream, unlearned).await
        })?;
        if !is_over {
            heed(&mut self.swarm, taken_in.as_ref(), self.run.id)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use policy::SwarmConfig;
    use routing_env::{Environment, Preset, Reward};
    use serde_json::json;

    use super::*;

    /// Found by a fuzzer: a table of a q-learning swarm that names what this catalog does not have.
    #[test]
    fn no_evidence_of_another_node_ends_a_run() {
        let env = Environment::built_in(Preset::Contended).with_steps(10);
        let config = SwarmConfig::new("q-learning", &json!({}), 1).unwrap();
        let mut swarm = Swarm::new(config, &env).unwrap();
        swarm.play(&env, 1, Reward::EXCESS_COST);
        let mut evidence = swarm.gathered().unwrap();
        let cells = evidence.learned["cells"].as_array_mut().unwrap();
        cells[0][0][0] = json!(200);
        assert!(swarm.clone().heed(Some(&evidence)).is_err());
        let mut alone = swarm.clone();
        assert!(heed(&mut swarm, Some(&evidence), Uuid::nil()).is_ok());
        let [told, untold] = [&mut swarm, &mut alone].map(|swarm| swarm.play(&env, 2, Reward::EXCESS_COST));
        assert_eq!(told, untold, "it goes on as if nobody had told it anything");
    }
}
