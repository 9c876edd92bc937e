//! An agent as one of a region: what it sees of a step, what it reports, and what it reads of others.

use routing_env::{Environment, Observation, StepOutcome};

use crate::{
    adaptive::{
        board::{Board, Report},
        model::{Seen, Tries},
        nowcast::Nowcast,
        settings::RegionSettings,
        view::View,
    },
    division::Regions,
    fault::Fault,
    policy::Decision,
    prices::{bid_price::BidPrices, forecast::Beliefs},
};

/// One of the agents of regions.
#[derive(Clone)]
pub(crate) struct Member {
    number: usize,
    regions: Regions,
    settings: RegionSettings,
    view: View,
    /// What its own requests of the step showed, once it has ended.
    own: Option<Seen>,
    nowcast: Nowcast,
    fault: Option<Fault>,
}

impl Member {
    pub(crate) fn new(regions: Regions, settings: RegionSettings) -> Self {
        Self {
            number: 0,
            regions,
            settings,
            view: View::default(),
            own: None,
            nowcast: Nowcast::default(),
            fault: None,
        }
    }

    /// The agent's number is known where an episode begins.
    pub(crate) fn begin_episode(&mut self, number: usize) {
        self.number = number;
        self.view = View::default();
        self.nowcast = Nowcast::default();
    }

    pub(crate) fn begin_step(&mut self) {
        self.view.begin_step();
        self.own = None;
    }

    pub(crate) fn set_fault(&mut self, fault: Option<Fault>) {
        self.fault = fault;
    }

    /// A board for the agents of its swarm.
    pub(crate) fn board(&self, env: &Environment) -> Board {
        Board::new(env, &self.regions, self.settings.board_delay as usize, self.settings.reject_outliers)
    }

    /// Decides a request of its own by what it sees.
    pub(crate) fn decide(
        &mut self,
        prices: &mut BidPrices,
        observation: &Observation<'_>,
        beliefs: &Beliefs,
        agents: &[usize],
    ) -> Decision {
        // it knows of its own requests, those included that nobody could serve, and of no later ones
        let so_far = if observation.waited_ms.is_some() { agents } else { &agents[..observation.index] };
        let own = so_far.iter().filter(|agent| **agent == self.number).count();
        self.view.decide(prices, observation, beliefs, own, (&self.regions, self.number))
    }

    /// What it reports of the step: its own requests and what came of them. `None` where it is silent.
    pub(crate) fn report(
        &mut self,
        env: &Environment,
        outcome: &StepOutcome<'_>,
        tries: &Tries,
    ) -> Option<Report> {
        let is_own = |index: usize| {
            let arrival = outcome.first_arrival + index as u64;
            self.regions.agent_of(outcome.requests[index].tenant, arrival) == self.number
        };
        let seen = Seen::new(env, outcome, tries, is_own);
        let requests = outcome.requests.iter().copied().enumerate().filter(|(index, _)| is_own(*index));
        let report = Report { requests: requests.collect(), seen: seen.clone() };
        self.own = Some(seen);
        match self.fault {
            None => Some(report),
            Some(fault) => fault.falsified(outcome.step, report),
        }
    }

    /// What it takes the whole step to have shown, by its own requests and the reports that it can read.
    pub(crate) fn seen(&mut self, board: &Board) -> Option<Seen> {
        self.own.take().map(|own| board.completed(self.number, &own, &mut self.nowcast))
    }
}
