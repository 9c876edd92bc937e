//! The simulator as the world behind a deployment: it posts the requests of an episode one by one, draws from what is hidden
//! there what becomes of each job, and tells it now, so many steps late, or never.
//!
//! The crate's own tests play it against the deployment's stream itself, and the example over HTTP: it is the same world.

use std::collections::{BTreeMap, HashMap};

use api::{FIRST_HELD_OUT_SEED, policies::Outcome};
use policy::{PolicyFile, Rule, StepReport, Swarm, SwarmConfig, Training};
use routing_env::{Choice, Environment, Episode, Fate, Metrics, Preset, Request, Reward, Turn};

pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;

pub(crate) const STEP_SECONDS: u32 = 3600;
pub(crate) const SETTLE_SECONDS: u32 = 60;
pub(crate) const OUTCOME_DEADLINE_SECONDS: u32 = 48 * STEP_SECONDS;
pub(crate) const REWARD: Reward = Reward::EXCESS_COST;

/// Episodes that the policy is trained for.
const TRAINING_EPISODES: u32 = 20;

/// What a deployment decided about a request.
#[derive(Clone, Copy)]
pub(crate) struct Decided<Id> {
    pub(crate) id: Id,
    /// Its place among all decisions.
    pub(crate) sequence: u64,
    pub(crate) choice: Choice,
}

/// A deployment, as whoever asks it sees it.
pub(crate) trait Deployed {
    /// By what it knows a decision.
    type Id: Copy;

    /// Says what everybody is told of a step that begins.
    async fn announce(&mut self, episode: &Episode<'_>, step: u32) -> Result<(), Error>;

    /// Asks where a request goes, the second time where its job has failed. `has_settled` when those that waited in this step
    /// have been decided.
    async fn ask(
        &mut self,
        step: u32,
        has_settled: bool,
        request: &Request,
        retry_of: Option<Self::Id>,
    ) -> Result<Decided<Self::Id>, Error>;

    /// Asks where those go that waited, by the decisions that deferred them.
    async fn settle(&mut self, step: u32, deferrals: &[Self::Id]) -> Result<Vec<Decided<Self::Id>>, Error>;

    /// Tells what became of a decision.
    async fn tell(&mut self, decision: Self::Id, outcome: &Outcome) -> Result<(), Error>;
}

/// The world behind one deployment.
pub(crate) struct World<'a, D: Deployed> {
    env: &'a Environment,
    deployed: D,
    /// By how many steps what is told is late.
    late: u32,
    /// The share of jobs of which nothing is ever told.
    missing: f64,
    /// What is to be told, by the step in which it is.
    untold: BTreeMap<u32, Vec<(D::Id, Outcome)>>,
}

/// What is known of a step's requests.
struct Step<Id> {
    number: u32,
    requests: Vec<Request>,
    /// The first one's place in the episode.
    first_arrival: u64,
    /// How many of them were posted.
    posted: usize,
    has_settled: bool,
    /// The last decision about each.
    decisions: HashMap<usize, Decided<Id>>,
}

impl<'a, D: Deployed> World<'a, D> {
    pub(crate) fn new(env: &'a Environment, deployed: D, late: u32, missing: f64) -> Self {
        Self { env, deployed, late, missing, untold: BTreeMap::new() }
    }

    /// Plays an episode; its mean reward.
    ///
    /// # Errors
    /// Where the deployment does not answer.
    pub(crate) async fn play(mut self, seed: u64) -> Result<f64, Error> {
        let mut episode = Episode::new(self.env, seed, REWARD);
        let mut metrics = Metrics::new(self.env);
        while episode.begin_step() {
            let outcome = episode.outcome();
            let mut step = Step {
                number: outcome.step,
                requests: outcome.requests.to_vec(),
                first_arrival: outcome.first_arrival,
                posted: 0,
                has_settled: false,
                decisions: HashMap::new(),
            };
            self.deployed.announce(&episode, step.number).await?;
            for (decision, outcome) in self.untold.remove(&step.number).unwrap_or_default() {
                self.deployed.tell(decision, &outcome).await?;
            }
            self.play_step(&mut episode, &mut step).await?;
            metrics.merge(episode.outcome().metrics);
        }
        Ok(metrics.overall.avg_reward().unwrap_or_default())
    }

    async fn play_step(&mut self, episode: &mut Episode<'_>, step: &mut Step<D::Id>) -> Result<(), Error> {
        loop {
            let (index, failed) = match episode.turn() {
                None => break,
                Some(Turn::Request(observation)) => (observation.index, observation.failed_at.is_some()),
                Some(Turn::Waiting { waiting, .. }) => {
                    let mut order = waiting.to_vec();
                    self.post_up_to(step, step.requests.len()).await?;
                    self.settle(step, &order).await?;
                    // those that were not deferred there, for whatever reason, are decided last
                    order.sort_by_key(|index| step.decisions.get(index).map_or(u64::MAX, |d| d.sequence));
                    episode.order_waiting(&order);
                    continue;
                }
            };
            if failed {
                let before = step.decisions[&index].id;
                self.post(step, index, Some(before)).await?;
            } else {
                // those before it that nobody could take were asked for too
                self.post_up_to(step, index + 1).await?;
            }
            let Decided { id, choice, .. } = step.decisions[&index];
            episode.act(choice);
            if let Choice::Route(_) = choice {
                self.observe(episode, step, (index, failed), id).await?;
            }
        }
        self.post_up_to(step, step.requests.len()).await
    }

    /// What became of a job that was just sent somewhere, told now, later or never.
    async fn observe(
        &mut self,
        episode: &Episode<'_>,
        step: &Step<D::Id>,
        (index, is_second_try): (usize, bool),
        decision: D::Id,
    ) -> Result<(), Error> {
        let outcome = match episode.outcome().turns.last() {
            Some((_, None)) => Outcome::default(), // it failed, and is tried again
            Some((_, Some(resolution))) => match resolution.fate {
                Fate::Routed(routed) => Outcome {
                    succeeded: true,
                    latency_ms: Some(routed.latency_ms),
                    cost_usd: Some(routed.cost),
                    ..Outcome::default()
                },
                Fate::Failed => Outcome::default(),
                // the world could not have it there: there was no job
                Fate::Held | Fate::NoViableProvider | Fate::InfeasibleChoice => return Ok(()),
            },
            None => return Ok(()),
        };
        let job = 2 * (step.first_arrival + index as u64) + u64::from(is_second_try);
        if share_of(job) < self.missing {
            return Ok(());
        }
        if self.late == 0 {
            self.deployed.tell(decision, &outcome).await?;
        } else {
            self.untold.entry(step.number + self.late).or_default().push((decision, outcome));
        }
        Ok(())
    }

    async fn post_up_to(&mut self, step: &mut Step<D::Id>, end: usize) -> Result<(), Error> {
        while step.posted < end {
            self.post(step, step.posted, None).await?;
            step.posted += 1;
        }
        Ok(())
    }

    async fn post(
        &mut self,
        step: &mut Step<D::Id>,
        index: usize,
        retry_of: Option<D::Id>,
    ) -> Result<(), Error> {
        let request = &step.requests[index];
        let decided = self.deployed.ask(step.number, step.has_settled, request, retry_of).await?;
        step.decisions.insert(index, decided);
        Ok(())
    }

    /// Asks where those go that waited.
    async fn settle(&mut self, step: &mut Step<D::Id>, waiting: &[usize]) -> Result<(), Error> {
        let deferrals: Vec<D::Id> = waiting.iter().map(|index| step.decisions[index].id).collect();
        let decided = self.deployed.settle(step.number, &deferrals).await?;
        step.decisions.extend(waiting.iter().copied().zip(decided));
        step.has_settled = true;
        Ok(())
    }
}

/// A number from 0 to 1 that looks drawn, the same for the same job (SplitMix64, Steele, Lea and Flood 2014).
fn share_of(job: u64) -> f64 {
    let mut z = job.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// What a deployment is compared with.
pub(crate) struct Bounds {
    pub(crate) env: Environment,
    /// `adaptive` with its usual settings, trained on seeds that are for training.
    pub(crate) policy: PolicyFile,
    pub(crate) seeds: Vec<u64>,
    /// By seed: what `bid-price` earns in the simulator, and what the policy does.
    baseline: Vec<f64>,
    simulated: Vec<f64>,
}

impl Bounds {
    /// # Errors
    /// Where the policy cannot be made again from its file.
    pub(crate) fn new(preset: Preset, steps: u32, seeds: u64) -> Result<Self, Error> {
        let env = Environment::built_in(preset).with_steps(steps);
        let config = SwarmConfig::new("adaptive", &serde_json::json!({}), 10).expect("settings by default");
        let mut swarm = Swarm::new(config, &env)?;
        for seed in 0..u64::from(TRAINING_EPISODES) {
            play(&env, &mut swarm, seed);
        }
        let training = Training {
            preset: preset.name().to_owned(),
            reward: REWARD.to_string(),
            preference: None,
            prior: None,
            first_seed: 0,
            episodes: TRAINING_EPISODES,
            decisions: 0,
        };
        let policy = PolicyFile::new(&swarm, &env, training);
        let mut frozen = policy.swarm(&env)?;
        frozen.freeze();
        let seeds: Vec<u64> = (0..seeds).map(|seed| FIRST_HELD_OUT_SEED + seed).collect();
        let rule = Swarm::of_rule(Rule::BidPrice, &env);
        let played = |swarm: &Swarm| seeds.iter().map(|seed| play(&env, &mut swarm.clone(), *seed)).collect();
        let (baseline, simulated) = (played(&rule), played(&frozen));
        Ok(Self { env, policy, seeds, baseline, simulated })
    }

    /// A row of the table: mean rewards, the share of the policy's gain that the deployment has, and its standard error over
    /// the seeds (jackknife).
    pub(crate) fn row(&self, late: u32, missing: f64, deployed: &[f64]) -> String {
        let (count, rows) = (deployed.len() as f64, [&self.baseline[..], &self.simulated, deployed]);
        let share = |means: [f64; 3]| 100.0 * (means[2] - means[0]) / (means[1] - means[0]);
        let means = rows.map(|rewards| rewards.iter().sum::<f64>() / count);
        let left_out = |seed: usize| rows.map(|r| (r.iter().sum::<f64>() - r[seed]) / (count - 1.0));
        let shares: Vec<f64> = (0..deployed.len()).map(|seed| share(left_out(seed))).collect();
        let mean = shares.iter().sum::<f64>() / count;
        let error = shares.iter().map(|share| (share - mean) * (share - mean)).sum::<f64>();
        let error = (error * (count - 1.0) / count).sqrt();
        let (preset, [baseline, simulated, deployed]) = (self.env.preset().name(), means);
        let (missing, share) = (100.0 * missing, share(means));
        format!(
            "| `{preset}` | {late} | {missing:.0} % | {baseline:.4} | {simulated:.4} | {deployed:.4} | {share:.1} % | {error:.1} |"
        )
    }
}

/// The table's head.
pub(crate) const HEAD: &str = "| preset | steps late | never told | `bid-price` | in the simulator | deployed | share | its standard error |\n\
     |---|---|---|---|---|---|---|---|";

fn play(env: &Environment, swarm: &mut Swarm, seed: u64) -> f64 {
    let (mut episode, mut report) = (Episode::new(env, seed, REWARD), StepReport::new(env));
    let mut metrics = Metrics::new(env);
    swarm.begin_episode(seed);
    while swarm.run_step(&mut episode, REWARD, &mut report) {
        metrics.merge(&report.metrics);
    }
    swarm.end_episode();
    metrics.overall.avg_reward().unwrap_or_default()
}
