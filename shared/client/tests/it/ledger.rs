//! The ledger's client against a remembrancer that is away, refuses, and turns its pages.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use api::{
    Hash,
    remembrancer::{NewRecord, RecordQuery},
};
use client::{Deadline, Endpoint, Ledger, LedgerError, Remembrancer};
use records::{Body as _, limit::Solved, note::Note, spare_id};
use test_support::{FakeRemembrancer, Fault};
use tokio_util::sync::CancellationToken;

/// Longer than a call takes on a machine at rest, and short enough to be waited for.
const SHORT: Duration = Duration::from_millis(200);

fn ledger(remembrancer: &FakeRemembrancer, shutdown: &CancellationToken) -> Ledger {
    let remembrancer = Remembrancer::new(Endpoint::new(remembrancer.url())).unwrap();
    Ledger::new(remembrancer, Deadline::shutting_down(shutdown.clone()))
}

async fn fixture() -> (FakeRemembrancer, Ledger) {
    let remembrancer = FakeRemembrancer::start().await;
    let ledger = ledger(&remembrancer, &CancellationToken::new());
    (remembrancer, ledger)
}

fn note(text: &str) -> NewRecord {
    Note { about: "thing:1".into(), text: text.into() }.to_record().unwrap()
}

fn limit(key: u8) -> NewRecord {
    let solved = Solved {
        key: Hash([key; 32]),
        steps: 1,
        requests: 2,
        routed: 1.5,
        cost_usd: 0.5,
        latency_ms: 3.0,
        reward: 4.0,
    };
    solved.to_record().unwrap()
}

#[tokio::test]
async fn a_record_whose_answer_was_lost_is_recorded_once() {
    let (remembrancer, ledger) = fixture().await;
    remembrancer.faults().next([Some(Fault::LoseAnswer), Some(Fault::Refuse)]);
    let receipt = ledger.append(&note("a")).await.unwrap();
    assert_eq!(remembrancer.records().len(), 1);
    assert_eq!(ledger.append(&note("a")).await.unwrap(), receipt);
    let nameless = NewRecord { id: None, ..note("b") };
    assert!(matches!(ledger.append(&nameless).await, Err(LedgerError::NoId)));
}

#[tokio::test]
async fn a_refusal_is_told_with_its_code_and_is_not_repeated() {
    let (remembrancer, ledger) = fixture().await;
    ledger.append(&note("a")).await.unwrap();
    let calls = remembrancer.faults().calls();
    let other = NewRecord { subject: "thing:2".into(), ..note("a") };
    let error = ledger.append(&other).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (Some(409), Some("record_conflict")));
    assert!(error.is_conflict() && !error.is_away());
    assert_eq!(remembrancer.faults().calls(), calls + 1);
}

#[tokio::test]
async fn what_is_not_there_is_no_error() {
    let (_remembrancer, ledger) = fixture().await;
    assert_eq!(ledger.record("nothing").await.unwrap(), None);
    assert_eq!(ledger.artifact(&Hash([1; 32])).await.unwrap(), None);
    assert_eq!(ledger.run_head(&Hash([1; 32])).await.unwrap(), None);
    assert!(ledger.body::<Note>("nothing", "thing:1").await.unwrap().is_none());
    let name = ledger.put_artifact("text/plain", "content").await.unwrap();
    assert_eq!(ledger.artifact(&name).await.unwrap().as_deref(), Some(&b"content"[..]));
}

#[tokio::test]
async fn all_calls_of_a_request_share_one_deadline() {
    let (remembrancer, ledger) = fixture().await;
    remembrancer.faults().set(Fault::Refuse);
    let request = ledger.within(SHORT);
    let error = request.append(&note("a")).await.unwrap_err();
    assert!(error.is_away() && error.to_string().contains("503"), "{error}");
    // the time is over, although the remembrancer is back
    remembrancer.faults().set(Fault::Hang);
    assert!(request.record("a").await.unwrap_err().is_away());
    // another deadline does not outlive the first one
    assert!(request.within(Duration::from_secs(600)).record("a").await.unwrap_err().is_away());
    remembrancer.faults().clear();
    assert_eq!(ledger.record("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_shutdown_ends_the_waiting_and_an_observer_is_told_of_its_beginning_and_end() {
    let remembrancer = FakeRemembrancer::start().await;
    let shutdown = CancellationToken::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let (seen, stop) = (told.clone(), shutdown.clone());
    let ledger = ledger(&remembrancer, &shutdown).with_observer(move |error| {
        seen.lock().unwrap().push(error.is_some());
        if error.is_some() && seen.lock().unwrap().len() > 2 {
            stop.cancel();
        }
    });
    ledger.append(&note("a")).await.unwrap();
    assert!(told.lock().unwrap().is_empty(), "nobody waited");
    remembrancer.faults().next([Some(Fault::Refuse), Some(Fault::Refuse)]);
    ledger.append(&note("b")).await.unwrap();
    assert_eq!(*told.lock().unwrap(), [true, false]);
    remembrancer.faults().set(Fault::Refuse);
    assert!(matches!(ledger.append(&note("c")).await, Err(LedgerError::ShuttingDown)));
    assert_eq!(*told.lock().unwrap(), [true, false, true, false]);
}

#[tokio::test]
async fn records_are_read_page_by_page_and_an_error_loses_none() {
    let (remembrancer, ledger) = fixture().await;
    remembrancer.set_page_size(2);
    for text in ["a", "b", "c", "d", "e"] {
        ledger.append(&note(text)).await.unwrap();
    }
    let (mut records, mut texts, mut errors) = (ledger.records(RecordQuery::default()), Vec::new(), 0);
    // the second page is refused, until an operator sets the key right
    remembrancer.faults().next([None, Some(Fault::Unauthorized)]);
    loop {
        match records.next().await {
            Ok(Some(record)) => texts.push(record.body["text"].clone()),
            Ok(None) => break,
            Err(error) => {
                assert_eq!(error.status(), Some(401));
                errors += 1;
            }
        }
    }
    assert_eq!(texts, ["a", "b", "c", "d", "e"]);
    assert_eq!(errors, 1);
}

#[tokio::test]
async fn bodies_of_a_kind_are_found_under_its_former_name_too_and_others_passed_over() {
    let (remembrancer, ledger) = fixture().await;
    let former = |record: NewRecord| NewRecord { kind: "note".parse().unwrap(), ..record };
    for record in [former(limit(1)), note("a"), former(limit(2)), limit(3), limit(4)] {
        ledger.append(&record).await.unwrap();
    }
    remembrancer.tamper_records(|records| {
        records[3].body.insert("reward".into(), "much".into());
    });
    for newest_first in [false, true] {
        let query = RecordQuery { newest_first: Some(newest_first), ..RecordQuery::default() };
        let mut bodies = ledger.bodies::<Solved>(&query);
        let mut keys = Vec::new();
        while let Some((_, body)) = bodies.next().await.unwrap() {
            keys.push(body.key.0[0]);
        }
        assert_eq!(keys, if newest_first { [4, 2, 1] } else { [1, 2, 4] });
    }
    let known = async |key| {
        let id = Solved::id_of(&Hash([key; 32]));
        ledger.body::<Solved>(&id, &id).await.unwrap()
    };
    assert_eq!(known(1).await.unwrap().reward, 4.0);
    assert_eq!(known(3).await, None, "what is damaged is passed over");
}

#[tokio::test]
async fn a_body_whose_id_was_taken_goes_under_a_spare_one_is_found_there_and_is_recorded_once() {
    let (remembrancer, ledger) = fixture().await;
    let solved = Solved::read(&{
        ledger.append(&limit(7)).await.unwrap();
        remembrancer.records().pop().unwrap()
    })
    .unwrap();
    remembrancer.tamper_records(Vec::clear);
    // Somebody takes the id, and the first spare one too: with another kind, subject and body.
    for taken in [solved.id(), spare_id(&solved.id(), 1)] {
        ledger.append(&NewRecord { id: Some(taken), ..note("mine") }).await.unwrap();
    }
    let (first, again) =
        (ledger.append_body(&solved).await.unwrap(), ledger.append_body(&solved).await.unwrap());
    assert_eq!(first, again);
    assert_eq!(first.id, spare_id(&solved.id(), 2));
    assert_eq!(ledger.body::<Solved>(&solved.id(), &solved.subject()).await.unwrap(), Some(solved));
    assert_eq!(remembrancer.records().len(), 3);
    // What is recorded as the service records it is no stranger's: then the refusal stands.
    let other = Solved { reward: 5.0, ..solved };
    assert_eq!(ledger.append_body(&other).await.unwrap_err().code(), Some("record_conflict"));
}

#[tokio::test]
async fn bodies_about_one_thing_are_found_with_one_question() {
    let (remembrancer, ledger) = fixture().await;
    ledger.append(&note("a")).await.unwrap();
    let calls = remembrancer.faults().calls();
    let query = RecordQuery { subject: Some("thing:1".into()), ..RecordQuery::default() };
    let mut notes = ledger.bodies::<Note>(&query);
    let (record, body) = notes.next().await.unwrap().unwrap();
    assert_eq!((record.kind.as_str(), body.text.as_str()), ("note", "a"));
    assert!(notes.next().await.unwrap().is_none());
    assert_eq!(remembrancer.faults().calls(), calls + 1);
}
