//! Who decides which requests: all agents in turn, or each those of tenants of its region.

use routing_env::Environment;

/// How a swarm's requests are divided among its agents.
#[derive(Clone, Debug)]
pub(crate) enum Division {
    /// The agents take the requests in turn, whoever asks.
    InTurn {
        /// How many agents there are.
        agents: usize,
    },
    /// Each agent decides for tenants of one region.
    ByRegion(Regions),
}

impl Division {
    /// The agent that decides a request of this tenant, at this position in the episode.
    pub(crate) fn agent_of(&self, tenant: usize, arrival: u64) -> usize {
        match self {
            Self::InTurn { agents } => (arrival % *agents as u64) as usize,
            Self::ByRegion(regions) => regions.agent_of(tenant, arrival),
        }
    }
}

/// Agents of regions. The agents are dealt out to the regions one after the other, and a region's tenants to its agents;
/// where a region has more agents than tenants, several share a tenant and take its requests in turn. Where there are
/// fewer agents than regions, an agent has several.
#[derive(Clone, Debug)]
pub(crate) struct Regions {
    /// `[tenant]`: the agents that decide its requests.
    agents_of: Vec<Vec<usize>>,
    /// `[agent][provider]`: whether it serves a region of the agent's.
    serving: Vec<Vec<bool>>,
}

impl Regions {
    /// So many agents (at least one).
    pub(crate) fn new(env: &Environment, agents: usize) -> Self {
        let tenants = &env.workloads().tenants;
        let mut names: Vec<&str> = Vec::new();
        for tenant in tenants {
            if !names.contains(&tenant.region.as_str()) {
                names.push(&tenant.region);
            }
        }
        let mut agents_of = vec![Vec::new(); tenants.len()];
        let mut serving = vec![vec![false; env.catalog().providers.len()]; agents];
        for (region, name) in names.iter().enumerate() {
            let own: Vec<usize> = if agents < names.len() {
                vec![region % agents]
            } else {
                (region..agents).step_by(names.len()).collect()
            };
            let here: Vec<usize> = (0..tenants.len()).filter(|t| tenants[*t].region == *name).collect();
            for (i, tenant) in here.iter().enumerate() {
                agents_of[*tenant] = if own.len() <= here.len() {
                    vec![own[i % own.len()]]
                } else {
                    own.iter().copied().skip(i).step_by(here.len()).collect()
                };
            }
            for agent in own {
                for (serves, provider) in serving[agent].iter_mut().zip(&env.catalog().providers) {
                    *serves |= provider.serves(name);
                }
            }
        }
        Self { agents_of, serving }
    }

    pub(crate) fn agent_of(&self, tenant: usize, arrival: u64) -> usize {
        let agents = &self.agents_of[tenant];
        agents[(arrival % agents.len() as u64) as usize]
    }

    /// How many agents there are.
    pub(crate) fn agents(&self) -> usize {
        self.serving.len()
    }

    /// The share of a tenant's requests that an agent decides.
    pub(crate) fn share(&self, agent: usize, tenant: usize) -> f64 {
        let agents = &self.agents_of[tenant];
        if agents.contains(&agent) { 1.0 / agents.len() as f64 } else { 0.0 }
    }

    /// Whether a provider serves a region of the agent's.
    pub(crate) fn serves(&self, agent: usize, provider: usize) -> bool {
        self.serving[agent][provider]
    }
}

#[cfg(test)]
mod tests {
    use routing_env::Preset;

    use super::*;

    #[test]
    fn every_request_has_one_agent_of_its_region_and_every_agent_has_requests() {
        let env = Environment::built_in(Preset::Contended);
        for agents in [1, 2, 3, 4, 7, 10, 50] {
            let regions = Regions::new(&env, agents);
            let mut asked = vec![false; agents];
            for (tenant, asking) in env.workloads().tenants.iter().enumerate() {
                for arrival in 0..1000 {
                    let agent = regions.agent_of(tenant, arrival);
                    asked[agent] = true;
                    if agents > 1 {
                        let expected = if asking.region == "eu-west-1" { 0 } else { 1 };
                        assert_eq!(agent % 2, expected, "{agents} agents");
                    }
                }
                let shares: f64 = (0..agents).map(|agent| regions.share(agent, tenant)).sum();
                assert!((shares - 1.0).abs() < 1e-12);
            }
            assert!(asked.iter().all(|asked| *asked), "{agents} agents: {asked:?}");
        }
    }

    #[test]
    fn an_agent_knows_the_providers_that_serve_its_region() {
        let env = Environment::built_in(Preset::Contended);
        let regions = Regions::new(&env, 10);
        let serving = |agent| -> Vec<&str> {
            let providers = env.catalog().providers.iter().enumerate();
            providers.filter(|(i, _)| regions.serves(agent, *i)).map(|(_, p)| p.id.as_str()).collect()
        };
        assert_eq!(serving(0), ["akash", "render", "flux", "aethir", "salad"]);
        assert_eq!(serving(1), ["akash", "ionet", "render", "aethir", "vast", "salad"]);
    }
}
