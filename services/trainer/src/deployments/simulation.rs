//! Deployments in the simulator: what of a policy's gain is left where it is asked call by call, and what became of its jobs is
//! told late or never.
//!
//! `cargo test -p trainer --lib -- --ignored --nocapture figures_of_deployments` prints what docs/results.md shows.
//! `examples/deployments` plays the same world over HTTP.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]

use api::{Hash, deployments::NewDeployment, policies::Outcome};
use policy::Swarm;
use routing_env::{Choice, Environment, Episode, Preset, Request};

use super::{
    engine::{Asked, Engine, Made},
    event::DEFERRED,
    schedule::Schedule,
};

// the example's, which can see nothing of this crate that is not public
#[path = "../../examples/deployments/world.rs"]
mod world;

use world::{
    Bounds, Decided, Deployed, Error, HEAD, OUTCOME_DEADLINE_SECONDS, REWARD, SETTLE_SECONDS, STEP_SECONDS,
    World,
};

/// A stream, asked without a desk and a ledger.
struct Stream {
    engine: Engine,
}

impl Stream {
    fn new(env: &Environment, policy: Swarm) -> Self {
        let settings: NewDeployment = serde_json::from_value(serde_json::json!({
            "name": "simulated",
            "policy_id": uuid::Uuid::nil(),
            "step_seconds": STEP_SECONDS,
            "settle_seconds": SETTLE_SECONDS,
            "outcome_deadline_seconds": OUTCOME_DEADLINE_SECONDS,
        }))
        .unwrap();
        let schedule = Schedule::new(&settings, "2025-12-01T00:00:00Z".parse().unwrap());
        Self { engine: Engine::new(env.clone(), policy, REWARD.into(), Hash([7; 32]), schedule, None) }
    }

    fn decided(&self, made: &Made) -> Decided<u64> {
        let decision = &made.decision;
        let providers = &self.engine.env().catalog().providers;
        let choice = match &decision.provider {
            Some(id) => Choice::Route(providers.iter().position(|provider| provider.id == *id).unwrap()),
            None if decision.reason == DEFERRED => Choice::Defer,
            None => Choice::Hold,
        };
        Decided { id: decision.sequence, sequence: decision.sequence, choice }
    }
}

impl Deployed for Stream {
    type Id = u64;

    async fn announce(&mut self, episode: &Episode<'_>, step: u32) -> Result<(), Error> {
        if step > 0 {
            self.engine.settle(false);
            self.engine.begin_window(step);
        }
        let providers: Vec<_> = episode.market().providers().iter().copied().enumerate().collect();
        self.engine.hear_market(&providers, &[]);
        Ok(())
    }

    async fn ask(
        &mut self,
        _step: u32,
        _has_settled: bool,
        request: &Request,
        retry_of: Option<u64>,
    ) -> Result<Decided<u64>, Error> {
        let made = self.engine.decide(Asked { request: *request, retry_of, arm: 0 }, false);
        Ok(self.decided(&made))
    }

    async fn settle(&mut self, _step: u32, deferrals: &[u64]) -> Result<Vec<Decided<u64>>, Error> {
        let made = self.engine.settle(false);
        let of = |deferral: &u64| {
            let made = made.iter().find(|made| made.deferral == Some(*deferral));
            made.map(|made| self.decided(made)).ok_or_else(|| "a request waits for nobody".into())
        };
        deferrals.iter().map(of).collect()
    }

    async fn tell(&mut self, decision: u64, outcome: &Outcome) -> Result<(), Error> {
        assert!(self.engine.hear(decision, outcome));
        Ok(())
    }
}

async fn deployed(bounds: &Bounds, late: u32, missing: f64) -> Vec<f64> {
    let mut rewards = Vec::new();
    for seed in &bounds.seeds {
        let stream = Stream::new(&bounds.env, bounds.policy.swarm(&bounds.env).unwrap());
        rewards.push(World::new(&bounds.env, stream, late, missing).play(*seed).await.unwrap());
    }
    rewards
}

#[tokio::test]
#[ignore = "prints the figures of docs/results.md, which takes minutes; it asserts nothing"]
async fn figures_of_deployments() {
    println!("{HEAD}");
    for preset in [Preset::Drifting, Preset::Unreliable] {
        let bounds = Bounds::new(preset, 120, 20).unwrap();
        for (late, missing) in [(0, 0.0), (0, 0.1), (5, 0.1), (20, 0.1)] {
            println!("{}", bounds.row(late, missing, &deployed(&bounds, late, missing).await));
        }
    }
}
