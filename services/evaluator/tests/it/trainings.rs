//! Several trainings of a policy, who says that there were any, and the seeds that are kept for the end.

use api::{
    Hash,
    evaluator::{FIRST_FINAL_SEED, Provenance, Versus},
};
use routing_env::{Environment, Preset};
use serde_json::{Value, json};
use test_support::FakeRemembrancer;
use uuid::Uuid;

use crate::support::{evaluator, policy_file};

fn contended() -> Environment {
    Environment::built_in(Preset::Contended).with_steps(2)
}

fn request(policies: Value) -> Value {
    json!({
        "policies": policies, "rules": ["bid-price"], "environment": {"preset": "contended"}, "seeds": 3, "steps": 2,
        "limit_steps": 0,
    })
}

fn put(ledger: &FakeRemembrancer, first_seed: u64) -> Hash {
    ledger.put_artifact(&serde_json::to_vec(&policy_file(&contended(), first_seed)).unwrap())
}

#[tokio::test]
async fn trainings_of_a_policy_are_one_contestant() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let [a, b] = [put(&ledger, 7), put(&ledger, 8)];
    let evaluation = service.completed(&request(json!([[a, b]]))).await;
    let result = evaluation.result.unwrap();
    let names: Vec<&str> = result.policies.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["q-learning", "q-learning", "weighted-score", "bid-price"]);
    assert_eq!((evaluation.episodes_done, evaluation.episodes_total), (15, 15));
    let trainings = &result.policies[0].trainings;
    assert_eq!(
        trainings.iter().map(|t| (t.policy_sha256, t.first_seed)).collect::<Vec<_>>(),
        [(a, 7), (b, 8)]
    );
    assert!(result.policies[0].metrics.reward.unwrap().training_std_dev.is_some());
    let told = &result.verdicts[0];
    assert!(told.contains("q-learning (2 trainings)") && told.contains("2 trainings on 3 seeds"), "{told}");
    let made: Vec<(u32, Versus)> = result.comparisons.iter().map(|c| (c.policy, c.versus)).collect();
    assert_eq!(made[..2], [(0, Versus::Untrained), (0, Versus::Baseline)]);
}

#[tokio::test]
async fn policies_that_were_not_trained_alike_are_no_trainings_of_one() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let first = put(&ledger, 7);
    let mut other = policy_file(&contended(), 8);
    other.training.preset = "steady".into();
    let other = ledger.put_artifact(&serde_json::to_vec(&other).unwrap());
    let (status, problem) = service.refused(&request(json!([[first, other]]))).await;
    assert_eq!((status, problem.code.as_str()), (422, "invalid_policy"));
    assert!(problem.detail.contains("no other training of the policy"), "{}", problem.detail);
    let mut same_seeds = policy_file(&contended(), 7);
    same_seeds.training.decisions = 2;
    let same_seeds = ledger.put_artifact(&serde_json::to_vec(&same_seeds).unwrap());
    assert_eq!(service.refused(&request(json!([[first, same_seeds]]))).await.0, 422);
}

#[tokio::test]
async fn only_a_file_that_a_recorded_run_wrote_is_called_trained() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let policy = put(&ledger, 7);
    let run = Uuid::now_v7();
    let ended = json!({
        "run_id": run, "digest": Hash([1; 32]), "status": "completed", "decisions": 1, "episodes_done": 1,
        "policy_sha256": policy, "reproducible": true,
    });
    ledger.plant_record(&format!("{run}:completed"), "run.ended", &format!("run:{run}"), ended);
    let recorded = service.completed(&request(json!([policy]))).await.result.unwrap();
    let training = &recorded.policies[0].trainings[0];
    assert_eq!((training.provenance, training.run), (Provenance::Recorded, Some(Hash([1; 32]))));
    assert!(
        !recorded.verdicts.iter().any(|verdict| verdict.contains("unverified")),
        "{:?}",
        recorded.verdicts
    );

    // the same file, but for the seeds that it claims to be trained on
    let mut edited = policy_file(&contended(), 7);
    edited.training.first_seed = 9;
    let edited = ledger.put_artifact(&serde_json::to_vec(&edited).unwrap());
    let evaluation = service.completed(&request(json!([edited]))).await;
    let result = evaluation.result.unwrap();
    assert_eq!(result.policies[0].trainings[0].provenance, Provenance::Unverified);
    assert!(result.verdicts.iter().any(|verdict| verdict.contains("is unverified")), "{:?}", result.verdicts);
    let html =
        service.get(&format!("/v1/evaluations/{}/report.html", evaluation.id)).await.text().await.unwrap();
    assert!(html.contains("unverified: the ledger knows no run that wrote it"));
}

#[tokio::test]
async fn opening_the_final_seeds_is_recorded_and_counted() {
    let ledger = FakeRemembrancer::start().await;
    let service = evaluator(ledger.url()).await;
    let policy = put(&ledger, 7);
    let mut last = request(json!([policy]));
    last["final"] = json!(true);
    let first = service.completed(&last).await;
    let result = first.result.unwrap();
    assert_eq!((result.seeds[0], result.final_opening), (FIRST_FINAL_SEED, Some(1)));
    let opened = ledger.records_of("evaluation.final");
    assert_eq!(opened[0].body["policies"], json!([[policy]]));
    assert_eq!(opened[0].body["evaluation_id"], json!(first.id));

    let result = service.completed(&last).await.result.unwrap();
    assert_eq!(result.final_opening, Some(2));
    assert!(result.verdicts.last().unwrap().contains("opened for the 2nd time"), "{:?}", result.verdicts);
    last["environment"]["preset"] = json!("steady");
    assert_eq!(service.completed(&last).await.result.unwrap().final_opening, Some(1));
    let other = service.completed(&request(json!([policy]))).await.result.unwrap();
    assert_eq!((other.final_opening, ledger.records_of("evaluation.final").len()), (None, 3));
}

#[tokio::test]
async fn of_an_evaluation_of_an_earlier_version_no_values_are_kept() {
    let ledger = FakeRemembrancer::start().await;
    let id = evaluator(ledger.url()).await.completed(&request(json!([]))).await.id;
    // records were written without these fields then, and policies were one file each
    ledger.tamper_records(|records| {
        for record in records.iter_mut().filter(|record| record.kind.as_str() == "evaluation.completed") {
            let result = record.body["result"].as_object_mut().unwrap();
            result.remove("values_sha256");
            result.remove("comparisons");
        }
    });
    let service = evaluator(ledger.url()).await;
    for file in ["values", "values.csv"] {
        let answer = service.get(&format!("/v1/evaluations/{id}/{file}")).await;
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.json::<api::Problem>().await.unwrap().code, "values_not_kept");
    }
    assert_eq!(service.get(&format!("/v1/evaluations/{id}/report.html")).await.status(), 200);
}
