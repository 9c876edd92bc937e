//! Going back to a checkpoint, and on from there another way.

use api::trainer::{Fork, NewRewind, NewRun, Run, RunStatus};
use merkle_log::{Frontier, canonical_leaf_hash};

use crate::support::{Stack, small_run};

fn back_to(episodes_done: u32) -> NewRewind {
    NewRewind { episodes_done: Some(episodes_done), ..NewRewind::default() }
}

async fn rewound(stack: &Stack, run: &Run, rewind: NewRewind) -> Run {
    let begun = stack.client().rewind_run(run.id, &rewind, None).await.unwrap();
    assert_eq!(begun.rewound_from, Some(run.id));
    stack.completed(begun.id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewound_run_decides_the_same_up_to_the_checkpoint_and_what_it_likes_after_it() {
    let stack = Stack::start().await;
    let old = stack.play(&small_run()).await;
    let as_before = rewound(&stack, &old, back_to(2)).await;
    let slower = rewound(&stack, &old, NewRewind { learning_rate: Some(0.9), ..back_to(2) }).await;

    let (was, is) = (stack.ledger.decisions(old.digest), stack.ledger.decisions(as_before.digest));
    let cut = stack.ledger.first_sequence(as_before.digest);
    assert!(cut > 0 && is.iter().all(|decision| decision.episode >= 2));
    let chosen = |decisions: &[api::remembrancer::Decision]| -> Vec<_> {
        decisions.iter().map(|d| (d.sequence, d.provider.clone(), d.explored)).collect()
    };
    assert_eq!(chosen(&is), chosen(&was[cut as usize..]), "with the same settings it repeats itself");
    assert_ne!(chosen(&stack.ledger.decisions(slower.digest)), chosen(&is), "with others it does not");

    // one tree over what both decided, in order
    let both = was[..cut as usize].iter().chain(&is);
    let tree: Frontier = both.map(|decision| canonical_leaf_hash(decision).unwrap()).collect();
    assert_eq!(as_before.run_root.unwrap().0, tree.root());

    let digests = [old.digest, as_before.digest, slower.digest];
    assert!(digests[0] != digests[1] && digests[1] != digests[2], "{digests:?}");
    // when it ended is the ledger's word, once the trainer has read it
    let now = api::trainer::Run { ended_at: old.ended_at, ..stack.run(old.id).await };
    assert_eq!(now, old, "the old run stays as it was");
    assert_eq!(stack.client().episode_metrics(slower.id, &Default::default()).await.unwrap().items.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rewind_gives_the_same_root_and_another_branch_another_run() {
    let (stack, other) = (Stack::start().await, Stack::start().await);
    let old = stack.play(&small_run()).await;
    let epsilon = NewRewind { epsilon: Some(0.7), ..back_to(2) };
    let first = rewound(&stack, &old, epsilon.clone()).await;
    let again = rewound(&stack, &old, epsilon.clone()).await;
    assert_eq!((first.digest, first.run_root), (again.digest, again.run_root));
    let agents = stack.client().agents(first.id, &Default::default()).await.unwrap().items;
    assert!(agents.iter().all(|agent| agent.epsilon == 0.7), "{agents:?}");
    let branch = rewound(&stack, &old, NewRewind { branch: 1, ..epsilon }).await;
    assert_ne!(branch.digest, first.digest);

    // elsewhere too, where nobody knows the old run
    other.ledger.put_artifact(&stack.artifact(first.config.fork.map(|fork| fork.checkpoint)));
    let elsewhere = other.play(&first.config).await;
    assert_eq!((elsewhere.run_root, elsewhere.rewound_from), (first.run_root, None), "{:?}", elsewhere.error);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_run_goes_on_with_more_episodes_and_can_be_rewound_again() {
    let mut stack = Stack::start().await;
    let old = stack.play(&small_run()).await;
    let longer = NewRewind { episodes: Some(8), stop_after: Some(7), ..back_to(4) };
    let begun = stack.client().rewind_run(old.id, &longer, None).await.unwrap();
    let stopped = stack.ended(begun.id).await;
    assert_eq!((stopped.status, stopped.progress.episodes_done), (RunStatus::Stopped, 7));

    // it goes on from its own checkpoint as any run does
    let resume_from = stopped.checkpoint.as_ref().map(|checkpoint| checkpoint.sha256);
    let resumed = stack.play(&NewRun { resume_from, stop_after: None, ..stopped.config.clone() }).await;
    assert_eq!(resumed.status, RunStatus::Completed, "{:?}", resumed.error);
    assert_eq!(resumed.digest, stopped.digest);
    let whole = rewound(&stack, &old, NewRewind { stop_after: None, ..longer }).await;
    assert_eq!(whole.run_root, resumed.run_root);
    let twice = rewound(&stack, &whole, NewRewind { discount: Some(0.1), ..back_to(6) }).await;
    assert_eq!(twice.rewound_from, Some(whole.id));

    stack.kill_trainer().await;
    stack.start_trainer().await;
    stack.ready().await;
    let found = stack.run(twice.id).await;
    assert_eq!(
        (found.rewound_from, found.config, found.run_root),
        (Some(whole.id), twice.config, twice.run_root)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewind_that_leads_nowhere_is_refused() {
    let stack = Stack::start().await;
    let old = stack.play(&small_run()).await;
    let refused = async |rewind: NewRewind| {
        let error = stack.client().rewind_run(old.id, &rewind, None).await.unwrap_err();
        (error.status().unwrap(), error.code().unwrap().to_owned(), error.to_string())
    };
    let (status, code, text) = refused(back_to(3)).await;
    assert_eq!((status, code.as_str()), (404, "checkpoint_not_found"));
    assert!(text.contains("4, 2"), "{text}");
    let unknown = NewRewind { checkpoint: Some(api::Hash([1; 32])), ..NewRewind::default() };
    assert_eq!(refused(unknown.clone()).await.1, "checkpoint_not_found");
    assert_eq!(refused(NewRewind { episodes_done: Some(2), ..unknown }).await.0, 422);
    assert_eq!(refused(NewRewind::default()).await.0, 422);
    assert_eq!(refused(back_to(4)).await.1, "run_already_complete");
    assert_eq!(refused(NewRewind { epsilon: Some(1.5), ..back_to(2) }).await.0, 422);
    let rule = stack.play(&NewRun { algorithm: Some("cheapest".into()), ..small_run() }).await;
    let rewind = NewRewind { learning_rate: Some(0.5), ..back_to(2) };
    let error = stack.client().rewind_run(rule.id, &rewind, None).await.unwrap_err().to_string();
    assert!(
        error.contains("`/learning_rate`: expected no setting: the hand rule cheapest has none"),
        "{error}"
    );

    // by hand too, only how it learns may change
    let fork = old.checkpoint.as_ref().map(|c| Fork { checkpoint: c.sha256, branch: 0 });
    let run = NewRun { fork, seed: 9, episodes: 6, ..small_run() };
    let error = stack.client().create_run(&run, None).await.unwrap_err();
    assert_eq!(error.code(), Some("checkpoint_not_forkable"), "{error}");
    assert!(error.to_string().contains("seed"), "{error}");
}
