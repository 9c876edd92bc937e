//! Group commit: whoever waits with others gets what he would have got alone.

use api::{
    Hash,
    remembrancer::{BatchReceipts, Decision, DecisionBatch, Fence, NewRecord, RecordKind},
};
use chrono::{DateTime, Utc};
use proptest::{collection::vec, option, prelude::*, strategy::ValueTree, test_runner::TestRunner};
use remembrancer::{
    Config,
    appends::{Appended, Entry, commit},
    database,
    decisions::Batch,
    fsck::fsck,
    leases,
    log::{Sequencer, head},
    records::{Draft, Recorded},
};
use reqwest::StatusCode;
use serde_json::json;
use sqlx::PgPool;

use crate::support::{decisions, fixture, json_of, run};

/// Something that a caller sends.
#[derive(Clone, Debug)]
enum Sent {
    /// Decisions of one of a few runs, some of which may be recorded already, or leave a gap; `other` makes them other ones
    /// than those that are usually sent.
    Decisions { run: u8, first: u64, count: u64, other: bool, frontier: bool, fence: Option<u64> },
    /// A record of one of a few ids.
    Record { id: u8, other: bool, fence: Option<u64> },
}

fn sent() -> impl Strategy<Value = Sent> {
    let fence = || option::weighted(0.2, 1..3_u64);
    prop_oneof![
        4 => (0..3_u8, 0..12_u64, 1..5_u64, prop::bool::weighted(0.1), prop::bool::weighted(0.1), fence())
            .prop_map(|(run, first, count, other, frontier, fence)| {
                // a run goes on mostly, so that much of what is sent is taken
                Sent::Decisions { run, first, count, other, frontier, fence }
            }),
        1 => (0..6_u8, prop::bool::weighted(0.2), fence())
            .prop_map(|(id, other, fence)| Sent::Record { id, other, fence }),
    ]
}

impl Sent {
    fn entry(&self, number: usize) -> Entry {
        let fence = |token: Option<u64>| token.map(|token| Fence { lease: "run:1".into(), token });
        match *self {
            Self::Decisions { run: number, first, count, other, frontier, fence: token } => {
                let mut decisions: Vec<Decision> = decisions(run(number), first..first + count);
                if other {
                    decisions.iter_mut().for_each(|decision| decision.reward -= 1.0);
                }
                // The true one of no leaf, and for all others one that does not fit.
                let frontier = frontier.then(|| vec![Hash([1; 32]); first.count_ones() as usize]);
                let batch = Batch::new(DecisionBatch { decisions, frontier }).unwrap();
                Entry::Decisions { batch, fence: fence(token) }
            }
            Self::Record { id, other, fence: token } => {
                let body = json!({"other": other, "id": id}).as_object().unwrap().clone();
                let kind = RecordKind::from_static("note");
                let record = NewRecord { id: None, kind, subject: "thing:1".into(), body };
                let draft = Draft::new(record, format!("record-{id}")).unwrap();
                Entry::Record { draft, fence: fence(token), now: at(number) }
            }
        }
    }
}

/// Each has a moment of its own: of two that are the same the first one counts.
fn at(number: usize) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + number as i64, 0).unwrap()
}

async fn log() -> (PgPool, Sequencer) {
    let url = test_support::database().await.url().to_owned();
    let db = database::pool(&Config { database_url: url, ..Config::default() }).unwrap();
    database::open(&db).await.unwrap();
    // the token 1 is over, 2 is good
    for _ in 0..2 {
        leases::claim(&db, "run:1", "somebody", std::time::Duration::from_secs(600)).await.unwrap();
    }
    (db.clone(), Sequencer::new(db))
}

/// What a caller can see of an answer.
#[derive(Debug, PartialEq)]
enum Seen {
    Decisions(BatchReceipts),
    Record(api::remembrancer::RecordReceipt, bool),
    Refused(String),
}

async fn answers(sequencer: &Sequencer, entries: Vec<Entry>) -> Vec<Seen> {
    let seen = |answer| match answer {
        Ok(Appended::Decisions(receipts)) => Seen::Decisions(receipts),
        Ok(Appended::Record(Recorded { receipt, new })) => Seen::Record(receipt, new),
        Err(refusal) => Seen::Refused(format!("{refusal:?}")),
    };
    commit(sequencer, entries).await.into_iter().map(seen).collect()
}

#[tokio::test]
async fn any_group_gets_the_answers_of_one_append_after_the_other() {
    let script = (vec(sent(), 1..40), vec(1..12_usize, 40));
    let mut runner = TestRunner::deterministic();
    let (mut taken, mut refused, mut repeated) = (0, 0, 0);
    for _ in 0..24 {
        let (script, groups) = script.new_tree(&mut runner).unwrap().current();
        // Each run's batches go on where the run stands more often than not.
        let mut next = [0_u64; 3];
        let script: Vec<Sent> = script
            .into_iter()
            .enumerate()
            .map(|(number, sent)| match sent {
                Sent::Decisions { run, count, other, frontier, fence, .. } if number % 3 > 0 => {
                    let first = next[usize::from(run)];
                    next[usize::from(run)] += count;
                    Sent::Decisions { run, first, count, other, frontier, fence }
                }
                other => other,
            })
            .collect();
        let ((alone_db, alone), (grouped_db, grouped)) = (log().await, log().await);
        let mut one_by_one = Vec::new();
        for (number, sent) in script.iter().enumerate() {
            one_by_one.extend(answers(&alone, vec![sent.entry(number)]).await);
        }
        let (mut in_groups, mut numbered) = (Vec::new(), script.iter().enumerate().peekable());
        for size in groups.iter().cycle() {
            let group: Vec<Entry> =
                numbered.by_ref().take(*size).map(|(number, sent)| sent.entry(number)).collect();
            in_groups.extend(answers(&grouped, group).await);
            if numbered.peek().is_none() {
                break;
            }
        }
        for (number, (alone, grouped)) in one_by_one.iter().zip(&in_groups).enumerate() {
            assert_eq!(grouped, alone, "{:?}, number {number} of {script:#?}", script[number]);
            match alone {
                Seen::Decisions(receipts) if receipts.recorded > 0 => taken += 1,
                Seen::Record(_, true) => taken += 1,
                Seen::Refused(_) => refused += 1,
                _ => repeated += 1,
            }
        }
        assert_eq!(one_by_one.len(), in_groups.len());
        assert_eq!(head(&alone_db).await.unwrap(), head(&grouped_db).await.unwrap());
        assert_eq!(fsck(&grouped_db).await.unwrap().leaves, head(&grouped_db).await.unwrap().size);
    }
    // the scripts try all that can happen
    assert!(
        taken > 100 && refused > 100 && repeated > 20,
        "{taken} taken, {refused} refused, {repeated} repeated"
    );
}

#[tokio::test]
async fn what_the_database_refuses_takes_nobody_else_with_it() {
    let (db, sequencer) = log().await;
    sqlx::raw_sql("ALTER TABLE records ADD CHECK (subject <> 'thing:refused')").execute(&db).await.unwrap();
    let record = |number: usize, subject: &str| {
        let kind = RecordKind::from_static("note");
        let record = NewRecord { id: None, kind, subject: subject.into(), body: serde_json::Map::new() };
        let draft = Draft::new(record, format!("record-{number}")).unwrap();
        Entry::Record { draft, fence: None, now: at(number) }
    };
    let decided = Sent::Decisions { run: 1, first: 0, count: 3, other: false, frontier: false, fence: None };
    let group =
        vec![record(0, "thing:1"), record(1, "thing:refused"), decided.entry(2), record(3, "thing:1")];
    let seen = answers(&sequencer, group).await;
    assert!(matches!(&seen[1], Seen::Refused(why) if why.contains("Database")), "{seen:?}");
    assert!(matches!(&seen[0], Seen::Record(receipt, true) if receipt.log_index == 0), "{seen:?}");
    assert!(
        matches!(&seen[2], Seen::Decisions(receipts) if receipts.receipts[0].first_log_index == 1),
        "{seen:?}"
    );
    assert!(matches!(&seen[3], Seen::Record(receipt, true) if receipt.log_index == 4), "{seen:?}");
    assert_eq!(fsck(&db).await.unwrap().leaves, 5);
}

#[tokio::test]
async fn callers_who_come_together_share_commits_and_each_gets_its_own_receipt() {
    let log = fixture().await;
    let sql = log.sql().await;
    let commits = async || {
        let row: (i64,) = sqlx::query_as("SELECT count(DISTINCT xmin::text) FROM run_batches")
            .fetch_one(&sql)
            .await
            .unwrap();
        row.0
    };
    let calls = (0..100_u8).map(|number| {
        let body = json!({"decisions": decisions(run(number), 0..1)});
        let log = &log;
        async move {
            let answer = log.post("/v1/decisions", &body).await;
            json_of::<BatchReceipts>(answer, StatusCode::CREATED).await.receipts
        }
    });
    let receipts = futures_util::future::join_all(calls).await;
    let mut indexes: Vec<u64> = receipts.iter().map(|receipts| receipts[0].first_log_index).collect();
    indexes.sort_unstable();
    assert_eq!(indexes, (0..100).collect::<Vec<u64>>());
    assert!(receipts.iter().all(|receipts| receipts[0].tree_size == receipts[0].first_log_index + 1));
    assert!(commits().await < 100, "{} commits", commits().await);
    assert_eq!(fsck(&sql).await.unwrap().leaves, 100);
}
