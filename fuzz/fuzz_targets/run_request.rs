//! Runs that are asked for: every one that is let in has a plan, which its record leads to again, and can be played.
#![no_main]

use ai_mesh_fuzz::markets::{is_busy, play};
use api::trainer::NewRun;
use garde::Validate;
use libfuzzer_sys::fuzz_target;
use policy::{Swarm, SwarmConfig};
use trainer::run_config::RunPlan;

fuzz_target!(|data: &[u8]| {
    let Ok(run) = serde_json::from_slice::<NewRun>(data) else { return };
    if run.validate().is_err() {
        return;
    }
    let plan = match RunPlan::new(&run) {
        Ok(plan) => plan,
        Err(errors) => {
            assert!(!errors.is_empty() && errors.iter().all(|error| !error.detail.is_empty()));
            assert!(errors.iter().all(|error| error.pointer.starts_with('/')), "{errors:?}");
            return;
        }
    };
    let recorded = serde_json::to_string(&plan.run).expect("a run can be recorded");
    let read: NewRun = serde_json::from_str(&recorded).expect("a record can be read");
    assert_eq!(read, plan.run);
    let again = RunPlan::of_record(&read).expect("what was recorded can be played");
    assert_eq!((again.digest, again.swarm.clone()), (plan.digest, plan.swarm.clone()));
    if !is_busy(&plan.environment) {
        let environment = (*plan.environment).clone().with_steps(2);
        let config = SwarmConfig { agents: plan.swarm.agents.min(3), ..plan.swarm };
        play(&environment, &mut Swarm::new(config, &environment).expect("the plan was checked"));
    }
});
