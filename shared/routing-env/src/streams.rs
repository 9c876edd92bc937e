//! Seeds and streams: every use of randomness has a generator of its own, derived from the episode's
//! seed, so that turning one feature on does not change another's draws.

use rand_pcg::Pcg64;

/// What a stream is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Number, workload and hours of requests.
    Requests,
    /// Their order within a step.
    Arrivals,
    /// Random events.
    Events,
    /// What is hidden of an episode: failures, latencies, brownouts, the leaning mix.
    Truth,
    /// Demand's drift from step to step.
    Drift,
    /// What comes of running a request at a provider.
    Outcome {
        /// The request's position in the episode.
        arrival: u64,
        /// The provider's index.
        provider: u32,
    },
    /// The seed of another future, tried beside the run.
    Fork {
        /// After how many windows of the run it begins.
        window: u64,
        /// Which of the futures tried there.
        fork: u32,
    },
    /// One agent's exploration.
    Agent(u32),
    /// One agent's replay.
    Replay(u32),
}

/// The generator of one use in one episode.
#[must_use]
pub fn generator(episode_seed: u64, stream: Stream) -> Pcg64 {
    let (kind, index): (u64, u32) = match stream {
        Stream::Requests => (1, 0),
        Stream::Arrivals => (2, 0),
        Stream::Events => (3, 0),
        Stream::Agent(agent) => (4, agent),
        Stream::Replay(agent) => (5, agent),
        Stream::Truth => (6, 0),
        Stream::Drift => (7, 0),
        Stream::Outcome { provider, .. } => (8, provider),
        Stream::Fork { fork, .. } => (9, fork),
    };
    // few draws are made of each of these many streams, so their states have to be unrelated
    let episode_seed = match stream {
        Stream::Outcome { arrival, provider } => {
            mix(mix(episode_seed).wrapping_add(arrival)) ^ u64::from(provider)
        }
        Stream::Fork { window, fork } => mix(mix(episode_seed).wrapping_add(window)) ^ u64::from(fork),
        _ => episode_seed,
    };
    let state = (u128::from(mix(episode_seed)) << 64) | u128::from(mix(!episode_seed));
    Pcg64::new(state, (u128::from(kind) << 64) | u128::from(index))
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014): neighbouring seeds give unrelated states.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use rand::Rng;

    use super::*;

    #[test]
    fn every_use_of_every_seed_has_a_stream_of_its_own() {
        let firsts: std::collections::BTreeSet<u64> = (0..200)
            .flat_map(|seed| {
                [
                    Stream::Requests,
                    Stream::Arrivals,
                    Stream::Events,
                    Stream::Agent(0),
                    Stream::Agent(1),
                    Stream::Replay(0),
                    Stream::Truth,
                    Stream::Drift,
                    Stream::Outcome { arrival: 0, provider: 0 },
                    Stream::Outcome { arrival: 0, provider: 1 },
                    Stream::Outcome { arrival: 1, provider: 0 },
                    Stream::Fork { window: 0, fork: 0 },
                    Stream::Fork { window: 1, fork: 1 },
                ]
                .map(|stream| generator(seed, stream).next_u64())
            })
            .collect();
        assert_eq!(firsts.len(), 200 * 13);
    }

    #[test]
    fn the_same_seed_and_use_give_the_same_stream() {
        let draw = || generator(7, Stream::Agent(3)).next_u64();
        assert_eq!(draw(), draw());
    }
}
