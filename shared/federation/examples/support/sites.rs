//! Nodes that route in one world, each with its part of the requests, and tell each other what they see; some lie.

use std::{collections::BTreeMap, ops::RangeFrom};

use federation::{Author, Verdict, Window, judge};
use merkle_log::note::NoteSigner;
use policy::{StepEvidence, StepReport, Swarm, SwarmConfig};
use routing_env::{Catalog, Environment, Episode, Preset, Reward, Workloads};
use serde_json::json;

const REWARD: Reward = Reward::EXCESS_COST;

/// Neither capacities nor budgets bind: both are so many times as large.
const ROOM: f64 = 1000.0;

/// A world and its sites.
pub(crate) struct World {
    whole: Environment,
    sites: Vec<Environment>,
    authors: Vec<Author>,
}

/// What an episode came to, by site: reward and requests.
pub(crate) struct Played {
    sites: Vec<(f64, f64)>,
    /// How often an honest author was judged, and how often it was left out; the same of liars.
    pub(crate) honest: (u64, u64),
    pub(crate) lying: (u64, u64),
}

/// What liars say, who are the first sites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// 10 tries a step at each provider, all failed.
    AllFailed,
    /// 1,000 tries a step at each provider, three tenths of which failed.
    ManyAtThreeTenths,
    /// 1,000 tries a step at each provider, none of which failed.
    ManySucceeded,
    /// Twice the failures that there were.
    SixDouble,
    /// A tenth of all tries failed that did not.
    SixATenthMore,
}

/// Whether claims are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    On,
    Off,
}

impl Lie {
    pub(crate) const ALL: [Self; 5] =
        [Self::AllFailed, Self::ManyAtThreeTenths, Self::ManySucceeded, Self::SixDouble, Self::SixATenthMore];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AllFailed => "one lies: 10 tries a step, all failed",
            Self::ManyAtThreeTenths => "one lies: 1,000 tries a step at .3",
            Self::ManySucceeded => "one lies: 1,000 tries a step, none failed",
            Self::SixDouble => "six lie: twice the failures",
            Self::SixATenthMore => "six lie: .1 more a try",
        }
    }

    pub(crate) fn liars(self) -> u32 {
        match self {
            Self::AllFailed | Self::ManyAtThreeTenths | Self::ManySucceeded => 1,
            Self::SixDouble | Self::SixATenthMore => 6,
        }
    }

    fn tell(self, evidence: &mut StepEvidence) {
        for figures in &mut evidence.failures {
            let (tries, failed) = *figures;
            *figures = match self {
                Self::AllFailed => (10.0, 10.0),
                Self::ManyAtThreeTenths => (1000.0, 300.0),
                Self::ManySucceeded => (1000.0, 0.0),
                Self::SixDouble => (tries, (2.0 * failed).min(tries)),
                Self::SixATenthMore => (tries, failed + 0.1 * (tries - failed)),
            };
        }
    }
}

impl Played {
    fn new(sites: usize) -> Self {
        Self { sites: vec![(0.0, 0.0); sites], honest: (0, 0), lying: (0, 0) }
    }

    /// Reward per request of these sites.
    pub(crate) fn reward(&self, sites: RangeFrom<usize>) -> f64 {
        let sum = self.sites[sites].iter().fold((0.0, 0.0), |sum, site| (sum.0 + site.0, sum.1 + site.1));
        sum.0 / sum.1
    }
}

impl World {
    /// Episodes of so many steps, dealt out to so many sites.
    pub(crate) fn new(preset: Preset, sites: u32, steps: u32) -> Self {
        let (mut catalog, mut workloads) = (Catalog::built_in(), Workloads::built_in());
        catalog.providers.iter_mut().for_each(|provider| provider.capacity_gpu_hours_per_step *= ROOM);
        workloads.budget_multiplier *= ROOM;
        let whole = Environment::new(catalog, workloads, preset).unwrap().with_steps(steps);
        let author = |site: u32| {
            let key = [site as u8 + 1; 32];
            Author::of(&NoteSigner::new(&format!("node-{site:02}.example/log"), &key).unwrap().verifier_key())
        };
        let at_site = |site| whole.clone().at_site(site, sites);
        Self { sites: (0..sites).map(at_site).collect(), authors: (0..sites).map(author).collect(), whole }
    }

    /// One that decides all requests, and so sees what comes of all.
    pub(crate) fn whole(&self, policy: &str, seed: u64) -> Played {
        let mut swarm = swarm(policy, &self.whole);
        let (mut episode, mut report) =
            (Episode::new(&self.whole, seed, REWARD), StepReport::new(&self.whole));
        let mut played = Played::new(self.sites.len());
        let mut sites = (0..self.sites.len()).cycle();
        swarm.begin_episode(seed);
        while swarm.run_step(&mut episode, REWARD, &mut report) {
            for decided in &report.decisions {
                let site = &mut played.sites[sites.next().unwrap()];
                *site = (site.0 + decided.reward, site.1 + 1.0);
            }
        }
        played
    }

    /// One at each site, which hear of each other so many steps late, or of nobody.
    pub(crate) fn sites(&self, seed: u64, heard: Option<(u64, Option<Lie>, Guard)>) -> Played {
        let mut nodes: Vec<(Swarm, Episode<'_>)> = self
            .sites
            .iter()
            .map(|env| {
                let mut swarm = swarm("adaptive", env);
                swarm.begin_episode(seed);
                (swarm, Episode::new(env, seed, REWARD))
            })
            .collect();
        let providers = self.whole.catalog().providers.len();
        let mut report = StepReport::new(&self.whole);
        let mut played = Played::new(nodes.len());
        let mut seen: Vec<Vec<StepEvidence>> = vec![Vec::new(); nodes.len()];
        let mut windows: BTreeMap<&Author, Window> =
            self.authors.iter().map(|author| (author, Window::default())).collect();
        for step in 0_u64.. {
            for (site, (swarm, episode)) in nodes.iter_mut().enumerate() {
                if !swarm.run_step(episode, REWARD, &mut report) {
                    return played;
                }
                let overall = &report.metrics.overall;
                let (reward, requests) = &mut played.sites[site];
                (*reward, *requests) = (*reward + overall.reward, *requests + overall.requests as f64);
                seen[site].push(swarm.step_evidence().unwrap());
            }
            let Some((late, lie, guard)) = heard else { continue };
            let Some(last) = step.checked_sub(late) else { continue };
            let lies = |site: usize| lie.filter(|lie| site < lie.liars() as usize);
            for (site, author) in self.authors.iter().enumerate() {
                let mut evidence = seen[site][last as usize].clone();
                lies(site).into_iter().for_each(|lie| lie.tell(&mut evidence));
                windows.get_mut(author).unwrap().push(last, evidence).unwrap();
            }
            let claims =
                |(author, window): (&&Author, &Window)| ((*author).clone(), window.claims(providers, last));
            let mut taken = BTreeMap::new();
            let verdicts = match guard {
                Guard::On => judge(&windows.iter().map(claims).collect()),
                Guard::Off => {
                    windows.iter().map(claims).map(|(a, claims)| (a, Verdict::Heeded(claims))).collect()
                }
            };
            for (author, verdict) in verdicts {
                let site = self.authors.iter().position(|known| *known == author).unwrap();
                let counted = if lies(site).is_some() { &mut played.lying } else { &mut played.honest };
                counted.0 += 1;
                match verdict {
                    Verdict::LeftOut(_) => counted.1 += 1,
                    Verdict::Heeded(claims) => {
                        let window = windows[&author].with_claims(providers, last, &claims).unwrap();
                        taken.insert(author, window);
                    }
                }
            }
            for (own, (swarm, _)) in self.authors.iter().zip(&mut nodes) {
                let mut others = Window::default();
                for (_, window) in taken.iter().filter(|(author, _)| *author != own) {
                    others.add(window).unwrap();
                }
                assert!(swarm.heed_steps(&others.past_steps(step)).unwrap());
            }
        }
        unreachable!("an episode has an end")
    }
}

fn swarm(policy: &str, env: &Environment) -> Swarm {
    Swarm::new(SwarmConfig::new(policy, &json!({}), 1).unwrap(), env).unwrap()
}
