//! Request streams (CSV): every row is a request of its step, and what is accepted can be replayed.
#![no_main]

use ai_mesh_fuzz::markets::{SMALL, play_in};
use libfuzzer_sys::fuzz_target;
use policy::{Rule, Swarm};
use routing_env::{Episode, Reward, Trace};

fuzz_target!(|text: &str| {
    let env = &*SMALL;
    for step_seconds in [None, Some(60.0)] {
        let trace = match Trace::parse("trace.csv", text, env, step_seconds) {
            Ok(trace) => trace,
            Err(error) => {
                assert!(!error.expected.is_empty());
                let line: usize = error
                    .pointer
                    .strip_prefix("line ")
                    .and_then(|place| place.split(',').next()?.parse().ok())
                    .expect("an error names its line");
                assert!(line >= 1 && line <= text.split(['\n', '\r']).count() + 1, "{error}: {text:?}");
                continue;
            }
        };
        let records = csv::ReaderBuilder::new().from_reader(text.as_bytes()).records().count();
        let requests: usize = (0..trace.steps()).map(|step| trace.requests(step).len()).sum();
        assert_eq!(requests, records);
        assert!(!trace.requests(trace.steps() - 1).is_empty(), "the last step has a request");
        if trace.steps() < 30 {
            let mut episode = Episode::replaying(env, &trace, 1, Reward::EXCESS_COST);
            play_in(env, &mut episode, &mut Swarm::of_rule(Rule::WeightedScore, env));
        }
    }
});
