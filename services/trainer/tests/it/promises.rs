//! Deployments that answer before the ledger has what they say: what they promise is there in the end, whatever happens in between.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use api::{
    Hash,
    deployments::{Deployment, DeploymentDecisions, Durability, NewDeployment},
    policies::Outcome,
    remembrancer::Decision,
};
use chrono::{TimeDelta, Utc};
use merkle_log::{canonical_leaf_hash, note::VerifierKey, promise::Promise};
use tempfile::TempDir;
use test_support::{Fault, eventually};

use crate::{
    deployments::{at, call, code, done, feed, import, inference, settings},
    support::Stack,
};

/// As long as a trainer that ends waits for the ledger, and a little more.
const KILLED: Duration = Duration::from_millis(1500);

/// A stack whose trainer promises, with its deployment `gateway`.
struct Promising {
    stack: Stack,
    run: Hash,
    folder: TempDir,
    answers: Vec<DeploymentDecisions>,
}

impl Promising {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(set: impl FnOnce(&mut Stack)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut stack = Stack::without_trainer().await;
        stack.data_dir = Some(folder.path().join("trainer"));
        set(&mut stack);
        stack.start_trainer().await;
        stack.ready().await;
        let policy = import(&stack.client(), "cheapest", "default").await;
        let deployment = NewDeployment { durability: Durability::Promise, ..settings("gateway", policy) };
        let run = stack.client().deploy(&deployment).await.unwrap().run;
        let mut promising = Self { stack, run, folder, answers: Vec::new() };
        promising.ask(1).await; // it is opened
        promising.all_is_there().await;
        promising
    }

    /// Killed while the ledger was away: its journal of two calls, and what that holds.
    async fn killed_with_a_journal() -> (Self, PathBuf, String) {
        let mut promising = Self::start().await;
        promising.stack.ledger.faults().set(Fault::Refuse);
        promising.ask(2).await;
        promising.ask(1).await;
        promising.kill().await;
        let journal = promising.journal();
        let text = fs::read_to_string(&journal).unwrap();
        (promising, journal, text)
    }

    async fn ask(&mut self, requests: usize) {
        let asked = call(at(0, 1), vec![inference(0.001); requests]);
        self.answers.push(self.stack.client().ask_deployment("gateway", &asked, None).await.unwrap());
    }

    async fn look(&self) -> Deployment {
        self.stack.client().deployment("gateway", None).await.unwrap()
    }

    /// Waits until the log has what was promised, once each, with the leaf hashes that were promised.
    async fn all_is_there(&self) -> Vec<Decision> {
        let promised: usize = self.answers.iter().map(|answer| answer.decisions.len()).sum();
        let decisions = eventually("what was promised is in the log", async || {
            let decisions = self.stack.ledger.decisions(self.run);
            if decisions.len() >= promised { Ok(decisions) } else { Err(decisions.len()) }
        })
        .await;
        assert_eq!(decisions.len(), promised, "nothing is there that was not promised");
        for answer in &self.answers {
            let promise = promise_of(answer);
            assert_eq!(promise.run, self.run.0);
            assert_eq!(promise.leaves.len(), answer.decisions.len());
            for ((sequence, leaf), served) in promise.leaves.iter().zip(&answer.decisions) {
                assert_eq!(*sequence, served.sequence);
                let recorded = &decisions[*sequence as usize];
                assert_eq!(canonical_leaf_hash(recorded).unwrap(), *leaf);
            }
        }
        decisions
    }

    /// Ends the trainer while the ledger does not take what was promised.
    async fn kill(&mut self) {
        self.stack.kill_trainer().await;
        tokio::time::sleep(KILLED).await;
        self.stack.ledger.faults().clear();
        self.stack.ledger.run_out_leases();
    }

    async fn start_again(&mut self) {
        self.stack.start_trainer().await;
        self.stack.ready().await;
    }

    fn journal(&self) -> PathBuf {
        let folder = fs::read_dir(self.folder.path().join("trainer/journals")).unwrap();
        let mut files = folder.map(|file| file.unwrap().path());
        files.find(|path| path.extension().is_some_and(|ending| ending == "journal")).unwrap()
    }
}

/// What an answer promises, by the key that it names.
fn promise_of(answer: &DeploymentDecisions) -> Promise {
    let promise = answer.promise.as_ref().unwrap();
    Promise::verify(&promise.note, &VerifierKey::parse(&promise.key).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn promised_decisions_are_in_the_log_with_the_leaf_hashes_that_were_promised() {
    let mut promising = Promising::start().await;
    for requests in [1, 3, 1, 40] {
        promising.ask(requests).await;
    }
    let asked = Utc::now();
    promising.ask(2).await;
    let last = promising.answers.last().unwrap();
    let promised = last.promise.clone().unwrap();
    let within = promised.in_log_by - asked;
    assert!(within > TimeDelta::zero() && within < TimeDelta::seconds(3), "{within}");
    let promise = promise_of(last);
    assert_eq!((promise.log.as_str(), promise.deployment.as_str()), ("ai-mesh/log", "gateway"));
    assert_eq!(promise.by_ms as i64, promised.in_log_by.timestamp_millis());
    assert!(last.decisions.iter().all(|served| served.log_index.is_none()), "it is not there yet");
    promising.all_is_there().await;
    let opened = &promising.stack.ledger.records_of("deployment.opened")[0].body;
    assert_eq!(opened["promises"], promised.key.as_str());
    let promises = promising.look().await.stream.unwrap().promises.unwrap();
    assert_eq!((promises.key, promises.is_behind, promises.most), (promised.key, false, 100_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_promises_decides_and_records_what_one_that_does_not_would() {
    let mut ends = Vec::new();
    for durability in [Durability::Ledger, Durability::Promise] {
        let folder = tempfile::tempdir().unwrap();
        let mut stack = Stack::without_trainer().await;
        stack.data_dir = Some(folder.path().to_owned());
        stack.start_trainer().await;
        stack.ready().await;
        let trainer = stack.client();
        let policy = import(&trainer, "defer-large", "contended").await;
        let run =
            trainer.deploy(&NewDeployment { durability, ..settings("gateway", policy) }).await.unwrap().run;
        feed(&trainer, 0..3).await;
        let stream = trainer.deployment("gateway", None).await.unwrap().stream.unwrap();
        trainer.stop_deployment("gateway", None).await.unwrap(); // after all that was promised
        let unnamed = |decision| Decision { run: Hash([0; 32]), ..decision };
        let decisions: Vec<_> = stack.ledger.decisions(run).into_iter().map(unnamed).collect();
        let records = stack.ledger.records();
        let kinds: Vec<_> = records.iter().map(|record| record.kind.to_string()).collect();
        let windows = stack.ledger.records_of("deployment.window").into_iter().map(|record| record.body);
        ends.push((decisions, kinds, windows.collect::<Vec<_>>(), stream.outcomes));
    }
    assert_eq!(ends[0].0.len(), ends[1].0.len());
    assert!(ends[0].0.len() > 40);
    assert_eq!(ends[0], ends[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_promised_is_in_the_log_after_a_trainer_died_before_it_was_there_and_once() {
    for fault in [Fault::Refuse, Fault::LoseAnswer] {
        let mut promising = Promising::start().await;
        promising.stack.ledger.faults().set(fault);
        for requests in [2, 1, 5] {
            promising.ask(requests).await;
        }
        promising.kill().await;
        promising.start_again().await;
        // nobody calls
        let before = promising.all_is_there().await;
        assert_eq!(before.len(), 9);
        promising.ask(1).await;
        promising.all_is_there().await;
        let promises = promising.look().await.stream.unwrap().promises.unwrap();
        assert!(!promises.is_behind);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_ledger_is_away_so_much_is_promised_then_refused_and_all_goes_on_when_it_is_back() {
    let mut promising = Promising::with(|stack| stack.promise_buffer = 2000).await;
    promising.stack.ledger.faults().set(Fault::Refuse);
    for _ in 0..3 {
        promising.ask(500).await;
    }
    let asked = call(at(0, 1), vec![inference(0.001); 500]);
    let url = format!("{}/v1/deployments/gateway/decisions", promising.stack.url());
    let refused = test_support::http_client().post(url).json(&asked).send().await.unwrap();
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(refused.json::<serde_json::Value>().await.unwrap()["code"], "promises_full");
    // a small one fits, and is told that it takes longer
    let promise = eventually("the ledger counts as away", async || {
        promising.ask(1).await;
        let promise = promising.answers.last().unwrap().promise.clone().unwrap();
        if promise.in_log_by > Utc::now() + TimeDelta::seconds(3000) { Ok(promise) } else { Err(promise) }
    })
    .await;
    assert!(promise.in_log_by < Utc::now() + TimeDelta::seconds(3601));
    // outcomes are in the ledger before they are answered
    let told =
        promising.stack.client().tell_outcome(promising.answers[0].decisions[0].id, &done(300.0)).await;
    assert_eq!(code(told), "remembrancer_unavailable");
    promising.stack.ledger.faults().clear();
    promising.all_is_there().await;
    promising.ask(500).await;
    promising.all_is_there().await;
    promising.stack.client().tell_outcome(promising.answers[0].decisions[0].id, &done(300.0)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_stands_after_its_decision_and_a_call_with_a_key_is_one_call() {
    let mut promising = Promising::start().await;
    let trainer = promising.stack.client();
    for n in 0..5 {
        let asked = call(at(0, 2), vec![inference(1.0)]);
        let key = format!("order-{n}");
        let answer = trainer.ask_deployment("gateway", &asked, Some(&key)).await.unwrap();
        let outcome = Outcome { succeeded: n % 2 == 0, ..done(250.0) };
        let told = trainer.tell_outcome(answer.decisions[0].id, &outcome).await.unwrap();
        let place = trainer.decision(answer.decisions[0].id).await.unwrap().log_index;
        assert!(told.receipt.log_index > place);
        assert_eq!(trainer.ask_deployment("gateway", &asked, Some(&key)).await.unwrap(), answer);
        promising.answers.push(answer);
    }
    promising.all_is_there().await;
    let again = promising.answers.last().unwrap().clone();
    promising.stack.ledger.faults().set(Fault::Refuse);
    promising.ask(1).await;
    promising.kill().await;
    promising.start_again().await;
    promising.all_is_there().await;
    let asked = call(at(0, 2), vec![inference(1.0)]);
    let answer = promising.stack.client().ask_deployment("gateway", &asked, Some("order-4")).await.unwrap();
    assert_eq!(answer.decisions[0].id, again.decisions[0].id);
    assert!(answer.decisions[0].log_index.is_some() && answer.promise.is_none(), "it is in the ledger");
    assert_eq!(promising.look().await.stream.unwrap().outcomes.succeeded, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_line_of_the_journal_that_is_not_whole_is_dropped_and_nobody_misses_it() {
    let (mut promising, journal, text) = Promising::killed_with_a_journal().await;
    let line = text.lines().last().unwrap();
    fs::write(&journal, format!("{text}{}", &line[..line.len() / 2])).unwrap();
    promising.start_again().await;
    promising.all_is_there().await;
    promising.ask(1).await;
    promising.all_is_there().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_changed_is_refused_with_the_place_and_nothing_is_appended() {
    let (mut promising, journal, text) = Promising::killed_with_a_journal().await;
    fs::write(&journal, text.replacen("\"propensity\":1.0", "\"propensity\":0.5", 1)).unwrap();
    promising.start_again().await;
    let asked = call(at(0, 1), vec![inference(1.0)]);
    let refused = eventually("the journal is refused", async || {
        let refused = promising.stack.client().ask_deployment("gateway", &asked, None).await.unwrap_err();
        if refused.code() == Some("deployment_journal_damaged") { Ok(refused) } else { Err(refused) }
    })
    .await;
    assert_eq!(refused.status(), Some(409));
    assert!(refused.to_string().contains("line 2"), "{refused}");
    assert_eq!(promising.stack.ledger.decisions(promising.run).len(), 1);
    // it is not taken for empty when it is gone
    fs::remove_file(&journal).unwrap();
    let refused = promising.stack.client().ask_deployment("gateway", &asked, None).await;
    assert_eq!(code(refused), "deployment_journal_damaged");
    // put back as it was
    fs::write(&journal, text).unwrap();
    promising.all_is_there().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_down_is_not_promised_and_all_goes_on_when_it_can() {
    let mut promising = Promising::start().await;
    promising.kill().await;
    let journals = promising.folder.path().join("trainer/journals");
    promising.start_again().await;
    fs::remove_dir_all(&journals).unwrap();
    fs::write(&journals, "no folder").unwrap();
    let asked = call(at(0, 1), vec![inference(1.0)]);
    let refused = promising.stack.client().ask_deployment("gateway", &asked, None).await.unwrap_err();
    assert_eq!((refused.status(), refused.code()), (Some(503), Some("journal_unavailable")));
    fs::remove_file(&journals).unwrap();
    fs::create_dir(&journals).unwrap();
    promising.ask(1).await;
    promising.all_is_there().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_trainer_that_has_the_journal_goes_on_until_it_says_that_it_is_empty() {
    let mut promising = Promising::start().await;
    promising.stack.ledger.faults().set(Fault::Refuse);
    promising.ask(2).await;
    promising.kill().await;
    let own = promising.stack.data_dir.clone();
    let asked = call(at(0, 1), vec![inference(1.0)]);
    for folder in [None, Some("other")] {
        promising.stack.data_dir = folder.map(|name| promising.folder.path().join(name));
        let other = promising.stack.another_trainer().await;
        let refused = other.client().ask_deployment("gateway", &asked, None).await;
        assert_eq!(code(refused), "deployment_journal_elsewhere");
        other.stop().await;
    }
    assert_eq!(promising.stack.ledger.decisions(promising.run).len(), 1, "nothing was decided elsewhere");
    promising.stack.data_dir = own;
    promising.start_again().await;
    promising.all_is_there().await;
    promising.look().await;
    promising.stack.kill_trainer().await; // which ends well, for the ledger is there
    eventually("the trainer says that its journal is empty", async || {
        match promising.stack.ledger.records_of("deployment.drained").len() {
            1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    eventually("the journal is deleted", async || {
        let left = journals(&promising.folder.path().join("trainer"));
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    promising.stack.data_dir = Some(promising.folder.path().join("other"));
    let other = promising.stack.another_trainer().await;
    let answer = eventually("the other trainer goes on", async || {
        other.client().ask_deployment("gateway", &asked, None).await
    })
    .await;
    assert_eq!(answer.decisions[0].sequence, 3);
    promising.answers.push(answer);
    promising.all_is_there().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trainer_without_a_folder_makes_no_deployment_that_promises() {
    let stack = Stack::start().await;
    let policy = import(&stack.client(), "cheapest", "default").await;
    let deployment = NewDeployment { durability: Durability::Promise, ..settings("gateway", policy) };
    assert_eq!(code(stack.client().deploy(&deployment).await), "invalid_request");
}

fn journals(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("journals")).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "journal")).collect()
}
