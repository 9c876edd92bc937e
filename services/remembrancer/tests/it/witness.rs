use std::sync::Arc;

use api::remembrancer::{Checkpoint as Head, Evidence, LogKey, Witness as WitnessAnswer};
use merkle_log::{
    Hash, canonical_leaf_hash,
    checkpoint::Checkpoint,
    cosignature::{Cosigner, WitnessKey},
    leaf_hash,
    note::{NoteSigner, SignedNote, VerifierKey},
    proof::consistency_ranges,
    trust_policy::{TrustPolicy, Untrusted},
    witness::{AddCheckpoint, Refusal},
};
use remembrancer::{
    Config, database,
    witness::{NotCosigned, Witness, seen},
};
use reqwest::{Response, StatusCode};
use tempfile::TempDir;
use test_support::TestDatabase;

use crate::support::{Fixture, Service, config, decisions, run, start};

/// The log of litewitness's tests, and what they send.
const SIGSUM_KEY: &str = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562+5202289b+Af/cLU2Y5BJNP+r3iMDC+av9eWCD0fBJVDfzAux5zxAP";
const SIGSUM_ORIGIN: &str =
    "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562";

fn sigsum(old: u64, proof: &[&str], size: u64, root: &str, signature: &str) -> String {
    let proof: String = proof.iter().map(|hash| format!("{hash}\n")).collect();
    format!("old {old}\n{proof}\n{SIGSUM_ORIGIN}\n{size}\n{root}\n\n\u{2014} {SIGSUM_ORIGIN} {signature}\n")
}

fn sigsum_one() -> String {
    let signature =
        "UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=";
    sigsum(0, &[], 1, "KgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", signature)
}

fn sigsum_three() -> String {
    let proof =
        ["KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "KgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="];
    let signature =
        "UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6go=";
    sigsum(1, &proof, 3, "RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=", signature)
}

fn sigsum_five() -> String {
    let proof = [
        "KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "+fUDV+k970B4I3uKrqJM4aP1lloPZP8mvr2Z4wRw2LI=",
        "KgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ];
    let signature =
        "UgIomw/EOJmWi0i1FQsOj+etB7F8IccFam/jgd6wzRns4QPVmyEZtdvl1U2KEmLOZ/ASRcWJi0tW90dJWAShei7sDww=";
    sigsum(1, &proof, 5, "QrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=", signature)
}

/// A remembrancer that witnesses these logs.
pub(crate) async fn witness_of(keys: &[&str]) -> Fixture {
    witness_with(keys, |_| {}).await
}

async fn witness_with(keys: &[&str], change: impl FnOnce(&mut Config)) -> Fixture {
    let (database, data) = (test_support::database().await, tempfile::tempdir().unwrap());
    let mut config = witness_config(&database, &data, keys);
    change(&mut config);
    let service = start(config).await;
    Fixture { service, database, data }
}

fn witness_config(database: &TestDatabase, data: &TempDir, keys: &[&str]) -> Config {
    Config {
        log_name: "example.org/node".into(),
        witness_logs: keys.iter().map(|key| (*key).to_owned()).collect(),
        ..config(database.url(), data)
    }
}

impl Service {
    pub(crate) async fn add_checkpoint(&self, body: impl Into<String>) -> Response {
        let request = self.request(reqwest::Method::POST, "/witness/add-checkpoint").body(body.into());
        request.send().await.unwrap()
    }

    pub(crate) async fn witness_key(&self) -> WitnessKey {
        let witness: WitnessAnswer = self.get_json("/v1/witness").await;
        WitnessKey::parse(&witness.verifier_key.unwrap()).unwrap()
    }

    /// What the witness cosigned last of a log.
    async fn cosigned(&self, origin: &str) -> Option<Checkpoint> {
        let origin = origin.replace('/', "%2F");
        let answer = self.get(&format!("/witness/{origin}/checkpoint")).await;
        match answer.status() {
            StatusCode::OK => Some(Checkpoint::claimed(&answer.text().await.unwrap()).unwrap()),
            StatusCode::NOT_FOUND => None,
            other => panic!("{other}"),
        }
    }
}

async fn conflict(answer: Response) -> u64 {
    assert_eq!(answer.status(), 409);
    assert_eq!(answer.headers()["content-type"], "text/x.tlog.size");
    let text = answer.text().await.unwrap();
    text.strip_suffix('\n').unwrap().parse().unwrap()
}

async fn refused(answer: Response) -> (u16, String) {
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    assert!(!text.contains('\u{2014}'), "no cosignature comes with a refusal: {text}");
    let problem: api::Problem = serde_json::from_str(&text).unwrap();
    (status, problem.code)
}

#[tokio::test]
async fn what_a_public_log_sends_is_answered_with_the_statuses_of_the_specification() {
    let witness = witness_of(&[SIGSUM_KEY]).await;
    assert_eq!(witness.cosigned(SIGSUM_ORIGIN).await, None);
    assert_eq!(conflict(witness.add_checkpoint(sigsum_three()).await).await, 0, "nothing was cosigned yet");

    let answer = witness.add_checkpoint(sigsum_one()).await;
    assert_eq!(answer.status(), 200);
    let line = answer.text().await.unwrap();
    let request = AddCheckpoint::parse(&sigsum_one()).unwrap();
    let note = SignedNote::parse(&format!("{}{line}", request.checkpoint)).unwrap();
    let cosignature = witness.witness_key().await.cosignature(&note).unwrap().unwrap();
    assert_eq!(cosignature.line, line, "one line, and nothing else");
    let now = chrono_seconds();
    assert!((now - 60..=now + 1).contains(&cosignature.time), "{} at {now}", cosignature.time);

    for (body, expected) in [
        ("nonsense".to_owned(), (400, "malformed_checkpoint")),
        (sigsum_three().replacen("old 1", "old 01", 1), (400, "malformed_checkpoint")),
        (sigsum_three().replacen("old 1", "old 4", 1), (400, "malformed_checkpoint")),
        (sigsum_three().replacen("\n3\n", "\nthree\n", 1), (400, "malformed_checkpoint")),
        (sigsum_three().replacen("\n3\n", "\n4\n", 1), (403, "checkpoint_not_signed")),
        (sigsum_three().replacen("UgIom2", "UgIox2", 1), (403, "checkpoint_not_signed")),
        (sigsum_three().replace("sigsum.org/v1", "sigsum.org/v2"), (404, "log_not_witnessed")),
        (sigsum_three().replacen("KgEA", "KgMA", 1), (422, "not_consistent")),
        (
            sigsum_three().replacen("KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "", 1),
            (422, "not_consistent"),
        ),
    ] {
        let (status, code) = refused(witness.add_checkpoint(body.clone()).await).await;
        assert_eq!((status, &*code), expected, "{body}");
    }
    assert_eq!(witness.cosigned(SIGSUM_ORIGIN).await.unwrap().size, 1, "nothing of that changed anything");

    assert_eq!(witness.add_checkpoint(sigsum_five()).await.status(), 200);
    assert_eq!(conflict(witness.add_checkpoint(sigsum_three()).await).await, 5);
    assert_eq!(conflict(witness.add_checkpoint(sigsum_one()).await).await, 5);
    let metrics = witness.get("/metrics").await.text().await.unwrap();
    for line in [
        "remembrancer_checkpoints_cosigned_total 2",
        "remembrancer_checkpoints_refused_total{reason=\"conflict\"} 3",
        "remembrancer_checkpoints_refused_total{reason=\"malformed\"} 4",
        "remembrancer_checkpoints_refused_total{reason=\"not_signed\"} 2",
        "remembrancer_checkpoints_refused_total{reason=\"unknown_log\"} 1",
        "remembrancer_checkpoints_refused_total{reason=\"not_consistent\"} 2",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

fn chrono_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn the_same_size_again_is_cosigned_anew_and_with_another_root_it_is_a_conflict() {
    let log = NoteSigner::new("example.com/log", &[1; 32]).unwrap();
    let witness = witness_of(&[&log.verifier_key().to_string()]).await;
    let request = |old, root| {
        let checkpoint = Checkpoint { origin: "example.com/log".into(), size: 7, root };
        AddCheckpoint { old, proof: vec![], checkpoint: checkpoint.sign(&log).unwrap() }.to_text()
    };
    assert_eq!(witness.add_checkpoint(request(0, [1; 32])).await.status(), 200);
    assert_eq!(witness.add_checkpoint(request(7, [1; 32])).await.status(), 200);
    assert_eq!(conflict(witness.add_checkpoint(request(7, [2; 32])).await).await, 7);
    assert_eq!(conflict(witness.add_checkpoint(request(0, [2; 32])).await).await, 7);
    assert_eq!(witness.cosigned("example.com/log").await.unwrap().root, [1; 32]);
}

#[tokio::test]
async fn a_witness_keeps_its_key_and_what_it_has_cosigned_when_it_is_started_again() {
    let witness = witness_of(&[SIGSUM_KEY]).await;
    let key = witness.witness_key().await;
    assert_eq!(key.name(), "example.org/node/witness");
    assert_eq!(witness.add_checkpoint(sigsum_one()).await.status(), 200);
    assert_eq!(witness.add_checkpoint(sigsum_five()).await.status(), 200);
    let before = witness.get("/v1/witness").await.text().await.unwrap();

    let Fixture { service, database, data } = witness;
    drop(service);
    let service = start(witness_config(&database, &data, &[SIGSUM_KEY])).await;
    assert_eq!(service.witness_key().await, key);
    assert_eq!(service.get("/v1/witness").await.text().await.unwrap(), before);
    assert_eq!(conflict(service.add_checkpoint(sigsum_three()).await).await, 5);

    // Who takes the log out of the settings and puts it back later has not forgotten it either.
    drop(service);
    let other = NoteSigner::new("example.com/log", &[1; 32]).unwrap().verifier_key().to_string();
    let service = start(witness_config(&database, &data, &[&other])).await;
    assert_eq!(refused(service.add_checkpoint(sigsum_three()).await).await.0, 404);
    assert_eq!(service.cosigned(SIGSUM_ORIGIN).await.unwrap().size, 5);
    drop(service);
    let service = start(witness_config(&database, &data, &[SIGSUM_KEY])).await;
    assert_eq!(conflict(service.add_checkpoint(sigsum_one()).await).await, 5);
}

#[tokio::test]
async fn logs_and_monitors_need_no_api_key_and_others_do() {
    let witness = witness_with(&[SIGSUM_KEY], |config| config.http.api_keys = vec!["secret".into()]).await;
    assert_eq!(witness.add_checkpoint(sigsum_one()).await.status(), 200);
    assert_eq!(witness.cosigned(SIGSUM_ORIGIN).await.unwrap().size, 1);
    for path in ["/v1/witness", "/v1/log/checkpoint", "/checkpoint"] {
        assert_eq!(witness.get(path).await.status(), 401, "{path}");
    }
    let long = witness.add_checkpoint("x".repeat(600 << 10)).await;
    assert_eq!(refused(long).await, (413, "body_too_large".into()));
}

#[tokio::test]
async fn who_is_no_witness_knows_no_log_and_has_no_key() {
    let node = crate::support::fixture().await;
    assert_eq!(refused(node.add_checkpoint(sigsum_one()).await).await, (404, "log_not_witnessed".into()));
    assert_eq!(refused(node.add_checkpoint("nonsense").await).await, (400, "malformed_checkpoint".into()));
    let witness: WitnessAnswer = node.get_json("/v1/witness").await;
    assert_eq!((witness.verifier_key, witness.logs.len()), (None, 0));
    assert!(!node.data.path().join("remembrancer/witness-key").exists());
}

/// What somebody posts who has a log's head and its proof.
async fn request_of(log: &Service, old: u64) -> AddCheckpoint {
    let head: Head = log.get_json("/v1/log/checkpoint").await;
    let proof = if old == 0 || old == head.tree_size {
        Vec::new()
    } else {
        let path = format!("/v1/log/proofs/consistency?from={old}&to={}", head.tree_size);
        let proof: api::remembrancer::ConsistencyProof = log.get_json(&path).await;
        proof.path.into_iter().map(|hash| hash.0).collect()
    };
    AddCheckpoint { old, proof, checkpoint: head.note }
}

#[tokio::test]
async fn a_log_that_was_restored_from_a_backup_and_goes_on_otherwise_is_refused_by_every_witness() {
    let log = crate::support::fixture().await;
    let key: LogKey = log.get_json("/v1/log/key").await;
    let witnesses = [witness_of(&[&key.verifier_key]).await, witness_of(&[&key.verifier_key]).await];
    log.record(&decisions(run(1), 0..300)).await;
    let Fixture { service, database, data } = log;
    drop(service);
    // the backup: database and folder
    let backup = tempfile::tempdir().unwrap();
    copy_folder(&data.path().join("remembrancer"), &backup.path().join("remembrancer"));
    let restored = database.copied().await;

    let log = start(config(database.url(), &data)).await;
    log.record(&decisions(run(1), 300..700)).await;
    for witness in &witnesses {
        assert_eq!(witness.add_checkpoint(request_of(&log, 0).await.to_text()).await.status(), 200);
    }
    log.record(&decisions(run(1), 700..701)).await;
    let cosigned = request_of(&log, 700).await;
    let mut lines = String::new();
    for witness in &witnesses {
        let answer = witness.add_checkpoint(cosigned.to_text()).await;
        assert_eq!(answer.status(), 200);
        lines.push_str(&answer.text().await.unwrap());
    }
    let policy = policy_of(&key.verifier_key, &witnesses).await;
    policy.verify(&format!("{}{lines}", cosigned.checkpoint), None).unwrap();
    drop(log);

    // It opens: folder and database belong together. Nobody inside can tell.
    let fork = start(config(restored.url(), &backup)).await;
    assert_eq!(fork.get_json::<Head>("/v1/log/checkpoint").await.tree_size, 300);
    for witness in &witnesses {
        let behind = request_of(&fork, 0).await;
        assert_eq!(conflict(witness.add_checkpoint(behind.to_text()).await).await, 701);
    }
    fork.record(&decisions(run(2), 0..401)).await; // as many as were cosigned
    for witness in &witnesses {
        let same_size = request_of(&fork, 701).await;
        assert_eq!(conflict(witness.add_checkpoint(same_size.to_text()).await).await, 701);
    }
    fork.record(&decisions(run(2), 401..500)).await; // and more
    for witness in &witnesses {
        for old in [0, 300, 700] {
            let told = request_of(&fork, old).await;
            assert_eq!(conflict(witness.add_checkpoint(told.to_text()).await).await, 701);
        }
        let answer = witness.add_checkpoint(request_of(&fork, 701).await.to_text()).await;
        assert_eq!(refused(answer).await, (422, "not_consistent".into()));
        assert_eq!(witness.cosigned("ai-mesh/log").await.unwrap().size, 701);
    }
    // Whoever verifies under the policy is not shown the fork, with its own signature nor with the cosignatures of before.
    let bundle: Evidence = fork.get_json("/v1/log/evidence?log_index=750").await;
    assert!(Checkpoint::verify(&bundle.checkpoint, &VerifierKey::parse(&key.verifier_key).unwrap()).is_ok());
    assert!(matches!(policy.verify(&bundle.checkpoint, None), Err(Untrusted::Quorum { .. })));
    let grafted = format!("{}{lines}", bundle.checkpoint);
    assert!(matches!(policy.verify(&grafted, None), Err(Untrusted::Cosignature(_))));
}

/// A policy that trusts the log when all of these have cosigned.
pub(crate) async fn policy_of(log: &str, witnesses: &[Fixture]) -> TrustPolicy {
    let mut text = format!("log {log}\n");
    for (at, witness) in witnesses.iter().enumerate() {
        text.push_str(&format!("witness W{at} {} {}/witness\n", witness.witness_key().await, witness.url));
    }
    let names: Vec<String> = (0..witnesses.len()).map(|at| format!("W{at}")).collect();
    text.push_str(&format!("group all-of-them all {}\nquorum all-of-them\n", names.join(" ")));
    TrustPolicy::parse(text.as_bytes()).unwrap()
}

pub(crate) fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap(); // with its permissions
    }
}

/// The root of some leaves, and a proof between two sizes of them.
fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = merkle_log::Frontier::new();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}

fn proof(leaves: &[Hash], from: u64, to: u64) -> Vec<Hash> {
    let ranges = consistency_ranges(from, to).unwrap_or_default();
    ranges.into_iter().map(|range| root(&leaves[range.start as usize..range.end as usize])).collect()
}

/// 1,000 times, requests for one log are decided at once by two processes: for its next sizes, for a fork, and for the same
/// size again. Whatever comes first, all that is cosigned is one history that only grows.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_races_never_roll_a_log_back_nor_cosign_two_histories() {
    let database = test_support::database().await;
    let open = || database::pool(&config(database.url(), &tempfile::tempdir().unwrap())).unwrap();
    let pools = [open(), open()];
    database::open(&pools[0]).await.unwrap();
    let signer = |round: u32| NoteSigner::new(&format!("race/{round}"), &[1; 32]).unwrap();
    let cosigner = Cosigner::new("example.org/witness", &[2; 32]).unwrap();
    let keys: Vec<VerifierKey> = (0..1000).map(|round| signer(round).verifier_key()).collect();
    let witness = Arc::new(Witness::new(cosigner, keys));

    let honest: Vec<Hash> = (0..6_u8).map(|n| leaf_hash(&[n])).collect();
    let mut forked = honest.clone();
    forked[2] = leaf_hash(b"another");
    let (mut wins, mut forks) = ([0; 7], 0);
    for round in 0..1000 {
        let origin = format!("race/{round}");
        let request = |leaves: &[Hash], from: u64, to: u64| {
            let root = root(&leaves[..to as usize]);
            let checkpoint = Checkpoint { origin: origin.clone(), size: to, root };
            let checkpoint = checkpoint.sign(&signer(round)).unwrap();
            let proof = if from == 0 { vec![] } else { proof(leaves, from, to) };
            AddCheckpoint { old: from, proof, checkpoint }.to_text()
        };
        let decide = |pool: usize, body: String| {
            let (witness, pool) = (Arc::clone(&witness), pools[pool].clone());
            tokio::spawn(async move { witness.add_checkpoint(&pool, &body, 1).await })
        };
        decide(0, request(&honest, 0, 1)).await.unwrap().unwrap();

        // In another order every time, so that another one begins.
        let mut asked = [(&honest, 3_u64), (&honest, 5), (&forked, 4), (&honest, 1), (&honest, 6)];
        asked.rotate_left(round as usize % 5);
        let racing: Vec<_> = asked
            .iter()
            .enumerate()
            .map(|(at, (leaves, to))| (*leaves, *to, decide(at % 2, request(leaves, 1, *to))))
            .collect();
        let watch = {
            let (pool, origin) = (pools[1].clone(), origin.clone());
            tokio::spawn(async move {
                let mut sizes = Vec::new();
                for _ in 0..3 {
                    sizes.push(seen(&pool, &origin).await.unwrap().unwrap().size);
                }
                sizes
            })
        };
        let mut cosigned = vec![(&honest, 1)];
        for (leaves, to, decided) in racing {
            match decided.await.unwrap() {
                Ok(_) => cosigned.push((leaves, to)),
                Err(NotCosigned::Refused(Refusal::Conflict(size))) => {
                    assert!(size > 1, "round {round}: whoever loses is told of what won");
                    // the loser does as it was told, and asks from there
                    if size <= to {
                        match decide(0, request(leaves, size, to)).await.unwrap() {
                            Ok(_) => cosigned.push((leaves, to)),
                            Err(NotCosigned::Refused(Refusal::Conflict(_) | Refusal::NotConsistent(_))) => {}
                            Err(other) => panic!("round {round}: {other}"),
                        }
                    }
                }
                Err(other) => panic!("round {round}: {other}"),
            }
        }
        let sizes = watch.await.unwrap();
        assert!(sizes.is_sorted(), "round {round}: a rollback was seen: {sizes:?}");
        let last = seen(&pools[0], &origin).await.unwrap().unwrap();
        let largest = cosigned.iter().map(|(_, size)| *size).max().unwrap();
        assert_eq!(last.size, largest, "round {round}");
        // one history: of any two cosigned trees the smaller is the larger's beginning
        for (leaves, size) in &cosigned {
            let (all, _) = cosigned.iter().find(|(_, size)| *size == largest).unwrap();
            assert_eq!(root(&leaves[..*size as usize]), root(&all[..*size as usize]), "round {round}");
        }
        wins[largest as usize] += 1;
        forks += u32::from(cosigned.iter().any(|(leaves, size)| *leaves == &forked && *size == 4));
    }
    // Each had its turn, or nothing was shown.
    assert!(forks > 0 && forks < 1000, "the fork won {forks} times");
    assert!(wins[6] > 0 && wins[4] > 0, "{wins:?}");
}

#[tokio::test]
async fn what_cannot_be_a_witness_is_told_at_the_start() {
    let (database, data) = (test_support::database().await, tempfile::tempdir().unwrap());
    let error = |config: Config| async {
        let stop = tokio_util::sync::CancellationToken::new();
        remembrancer::build(config, stop).await.err().unwrap().to_string()
    };
    let told = error(witness_config(&database, &data, &["nonsense"])).await;
    assert!(told.starts_with("witness_logs: expected <name>+<id>+"), "{told}");
    let named =
        Config { witness_name: Some("two words".into()), ..witness_config(&database, &data, &[SIGSUM_KEY]) };
    assert!(error(named).await.starts_with("witness_name: expected a key name"));
    let policy = data.path().join("policy");
    std::fs::write(&policy, "quorum none\nquorum none\n").unwrap();
    let with_policy = |path| Config { trust_policy: Some(path), ..config(database.url(), &data) };
    let told = error(with_policy(policy)).await;
    assert!(told.contains("trust_policy: ") && told.contains("line 2 of the policy"), "{told}");
    assert!(error(with_policy(data.path().join("none"))).await.contains("No such file"));
    let leaf = canonical_leaf_hash(&serde_json::json!({"n": 1})).unwrap();
    assert_eq!(root(&[leaf]), leaf, "the tests' own arithmetic");
}
