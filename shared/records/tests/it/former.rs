//! `former_ledger.ndjson` has one record of every sort as a ledger kept them when there were six kinds, with the
//! characters that it gave back then.

use std::collections::BTreeMap;

use api::remembrancer::{NewRecord, Record};
use records::{
    Body, decision,
    deployment::Deployment,
    evaluation,
    intervention::Intervention,
    limit::Solved,
    note::Note,
    policy::Imported,
    psi::Snapshot,
    run::RunRecord,
    same_kind,
    serving::{Answer, Session},
};
use serde_json::Value;

fn ledger() -> Vec<Record> {
    include_str!("former_ledger.ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What this version makes of a record: the same one to be appended again.
fn read(record: &Record) -> Option<NewRecord> {
    fn again<B: Body>(record: &Record) -> Option<NewRecord> {
        B::read(record).ok().map(|body| body.to_record().unwrap())
    }
    let run = RunRecord::read(record).map(|body| body.to_record().unwrap());
    run.or_else(|| again::<Imported>(record))
        .or_else(|| again::<Session>(record))
        .or_else(|| again::<Answer>(record))
        .or_else(|| again::<decision::Outcome>(record))
        .or_else(|| again::<Intervention>(record))
        .or_else(|| again::<Snapshot>(record))
        .or_else(|| again::<evaluation::Completed>(record))
        .or_else(|| again::<Solved>(record))
        .or_else(|| again::<Deployment>(record))
        .or_else(|| again::<Note>(record))
}

#[test]
fn every_record_of_a_former_ledger_is_read() {
    let mut read_as = BTreeMap::<String, usize>::new();
    for record in ledger() {
        let again = read(&record).unwrap_or_else(|| panic!("{} is not read", record.id));
        *read_as.entry(again.kind.to_string()).or_default() += 1;
    }
    let kinds: Vec<_> = read_as.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(
        kinds,
        [
            ("decision.outcome", 1),
            ("deployment", 1),
            ("evaluation.completed", 1),
            ("intervention", 3),
            ("limit.solved", 1),
            ("note", 1),
            ("policy.imported", 1),
            ("psi.snapshot", 1),
            ("run.checkpointed", 1),
            ("run.created", 1),
            ("run.ended", 1),
            ("run.labelled", 1),
            ("run.paused", 1),
            ("run.resumed", 1),
            ("serving.answer", 1),
            ("serving.session", 1),
        ]
    );
}

/// Else the ledger would refuse an event that is told again after an upgrade: as another record under its id.
#[test]
fn an_event_makes_the_same_record_today_but_for_its_kinds_name() {
    for record in ledger() {
        let again = read(&record).unwrap();
        assert_eq!(again.id.as_ref(), Some(&record.id));
        assert_eq!(again.subject, record.subject);
        assert!(same_kind(&again.kind, &record.kind), "{} and {}", again.kind, record.kind);
        // told once, under an id that nobody else makes: what they are written with may change
        if ["run.created", "serving.session"].contains(&again.kind.as_str()) {
            continue;
        }
        let canonical = |body: &serde_json::Map<String, Value>| {
            String::from_utf8(merkle_log::canonical_json(body).unwrap()).unwrap()
        };
        assert_eq!(canonical(&again.body), canonical(&record.body), "{}", record.id);
    }
}

#[test]
fn a_run_is_read_back_exactly_with_the_order_of_its_workload_mix() {
    let text = r#"{"preset":null,"workloads":{"mix":{"zeta":0.5,"alpha":0.5}}}"#;
    let environment: api::trainer::EnvironmentSpec = serde_json::from_str(text).unwrap();
    let RunRecord::Created(mut created) = RunRecord::read(&ledger()[0]).unwrap() else {
        panic!("{:?}", ledger()[0])
    };
    created.environment_json = records::run::Created::environment_json(&environment);
    created.config.environment = environment;
    let new = created.to_record().unwrap();
    // as the ledger gives it back: canonical JSON, whose objects are sorted by key
    let body = merkle_log::canonical_json(&new.body).unwrap();
    let back = Record { body: serde_json::from_slice(&body).unwrap(), kind: new.kind, ..ledger()[0].clone() };
    let RunRecord::Created(back) = RunRecord::read(&back).unwrap() else { panic!("{back:?}") };
    assert_eq!(serde_json::to_string(&back.exact_config().unwrap().environment).unwrap(), text);
}

#[test]
fn what_only_looks_like_a_record_of_ours_is_told_apart() {
    let imported = ledger().into_iter().find(|record| record.id.starts_with("policy:")).unwrap();
    assert!(Imported::read(&imported).is_ok());
    let note = "note".parse().unwrap();
    for other in [
        Record { id: "policy:1".into(), ..imported.clone() },
        Record { subject: "policy:1".into(), ..imported.clone() },
        Record { kind: note, ..imported.clone() },
        Record { body: serde_json::Map::new(), ..imported.clone() },
    ] {
        assert!(Imported::read(&other).is_err(), "{other:?}");
    }
    let created = &ledger()[0];
    for other in [
        Record { id: "note".into(), ..created.clone() },
        Record { id: created.id.replace("created", "completed"), ..created.clone() },
    ] {
        assert_eq!(RunRecord::read(&other), None, "{other:?}");
    }
}
