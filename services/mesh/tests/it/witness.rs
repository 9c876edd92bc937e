//! Stacks that witness each other, and what is proved to those who trust both.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use test_support::{TestDatabase, database};

use crate::support::{Up, mesh};

/// The data folder, database and log name of a stack.
struct Node {
    folder: tempfile::TempDir,
    database: TestDatabase,
    name: &'static str,
}

impl Node {
    async fn new(name: &'static str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: database().await, name }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The name is chosen at the first start, and need not be said again.
    fn first_up(&self) -> Up {
        Up::with(self.path(), &self.database, &["--log-name", self.name])
    }

    fn up(&self, more: &[&str]) -> Up {
        Up::with(self.path(), &self.database, more)
    }

    fn key(&self, which: &str) -> String {
        let shown = mesh(self.path(), &["key", "show", "--data-dir", "data", "--json"]).json();
        shown[which].as_str().unwrap().to_owned()
    }

    fn note(&self, up: &Up, text: &str) -> String {
        let note = ["record", "note", "--subject", "thing:1", text, "--json", "--remembrancer"];
        let ran = mesh(self.path(), &[&note[..], &[&up.remembrancer]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.json()["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_peer_has_witnessed_is_proved_offline_to_whoever_trusts_both() {
    let (a, b) = (Node::new("a.example/log").await, Node::new("b.example/log").await);
    drop(a.first_up()); // makes the log's key
    drop(b.first_up());
    let other_name = mesh(
        a.path(),
        &[
            "up",
            "--data-dir",
            "data",
            "--port-base",
            "0",
            "--log-name",
            "other",
            "--database-url",
            a.database.url(),
        ],
    );
    assert!(
        other_name.code == 3 && other_name.stderr.contains("a log keeps its name"),
        "{}",
        other_name.stderr
    );
    let log_key = a.key("verifier_key");
    let peer = b.up(&["--witness-log", &log_key]);
    let witness_key = b.key("witness_key");
    assert!(witness_key.starts_with("b.example/log/witness+"), "{witness_key}");
    let asked = mesh(b.path(), &["key", "show", "--remembrancer", &peer.remembrancer, "--json"]).json();
    assert_eq!(asked["witness_key"], *witness_key);

    let policy = format!("log {log_key}\nwitness B {witness_key} {}/witness\nquorum B\n", peer.remembrancer);
    fs::write(a.path().join("witnesses.policy"), &policy).unwrap();
    let up = a.up(&["--policy", "witnesses.policy"]);
    let id = a.note(&up, "seen by the peer");
    let prove = |more: &[&str]| {
        let prove = ["prove", "--record", &id, "--remembrancer", &up.remembrancer];
        mesh(a.path(), &[&prove[..], more].concat())
    };
    let begun = Instant::now();
    while prove(&["--witnessed", "--out", "evidence.json"]).code != 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody cosigns");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(prove(&["--witnessed", "--tlog-proof", "--out", "record.tlog-proof"]).code, 0);
    let verify = |file: &str, more: &[&str]| {
        let verify = ["verify", file, "--known-logs", "elsewhere.json"];
        mesh(a.path(), &[&verify[..], more].concat())
    };
    for file in ["evidence.json", "record.tlog-proof"] {
        let judged = verify(file, &["--policy", "witnesses.policy", "--json"]);
        assert_eq!(judged.code, 0, "{file}: {}", judged.stdout);
        let judged = judged.json();
        assert_eq!((&judged["key_vouched_for"], &judged["log"]), (&"policy".into(), &"a.example/log".into()));
        assert_eq!(judged["cosigned_by"][0]["witness"], "B");
        let told = verify(file, &["--policy", "witnesses.policy"]).stdout;
        assert!(told.contains("VALID") && told.contains("cosigned by B at 20"), "{told}");
        assert_eq!(verify(file, &["--key", &log_key]).code, 0, "without a policy it is evidence as any");
        assert_eq!(verify(file, &[]).code, 4, "nobody vouches for its key");
    }
    // another record than the one that the proof brings along
    fs::write(a.path().join("other.json"), "{\"a\":1}").unwrap();
    let other = ["--policy", "witnesses.policy", "--record", "other.json"];
    assert_eq!(verify("record.tlog-proof", &other).code, 1);

    // A reader who trusts other witnesses is not convinced, nor by one more that did not cosign.
    let another = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    fs::write(
        a.path().join("both.policy"),
        format!("{}witness C {another}\ngroup both all B C\nquorum both\n", policy.replace("quorum B\n", "")),
    )
    .unwrap();
    let judged = verify("evidence.json", &["--policy", "both.policy"]);
    assert_eq!(judged.code, 1);
    assert!(judged.stdout.contains("the quorum both (2 of 2) did not cosign"), "{}", judged.stdout);
    fs::write(a.path().join("other.policy"), format!("log {}\nquorum none\n", b.key("verifier_key")))
        .unwrap();
    let judged = verify("evidence.json", &["--policy", "other.policy"]);
    assert!(judged.code == 1 && judged.stdout.contains("has no log \"a.example/log\""), "{}", judged.stdout);

    // Evidence of the head, which is not cosigned yet, is not enough either: it is asked for without --witnessed.
    drop(peer);
    a.note(&up, "while the peer is away");
    let last = ["prove", "--index", "1", "--remembrancer", &up.remembrancer, "--out", "head.json"];
    assert_eq!(mesh(a.path(), &last).code, 0);
    assert_eq!(verify("head.json", &["--policy", "witnesses.policy"]).code, 1);
    assert_eq!(verify("head.json", &["--key", &log_key]).code, 0);
    let last =
        ["prove", "--index", "1", "--remembrancer", &up.remembrancer, "--witnessed", "--out", "no.json"];
    assert_eq!(mesh(a.path(), &last).code, 3);
    assert!(!a.path().join("no.json").exists());

    // By hand, as for a ledger that runs without `mesh up`.
    let feed = ["witness", "feed", "--policy", "witnesses.policy", "--remembrancer", &up.remembrancer];
    let ran = mesh(a.path(), &feed);
    assert!(ran.code == 1 && ran.stdout.contains("B  did not: cannot reach"), "{}{}", ran.stdout, ran.stderr);
    let peer = b.up(&["--witness-log", &log_key]);
    let policy = format!("witness B {witness_key} {}/witness\nquorum B\n", peer.remembrancer);
    fs::write(a.path().join("now.policy"), policy).unwrap();
    let feed = ["witness", "feed", "--policy", "now.policy", "--json", "--remembrancer", &up.remembrancer];
    let fed = mesh(a.path(), &feed);
    assert_eq!((fed.code, fed.json()["quorum"].as_bool()), (0, Some(true)), "{}", fed.stderr);
    assert_eq!(fed.json()["witnesses"][0]["witness"], "B");
    assert_eq!(mesh(a.path(), &last).code, 0, "now it is");
    assert_eq!(verify("no.json", &["--policy", "now.policy", "--key", &log_key]).code, 0);
    assert_eq!(verify("no.json", &["--policy", "now.policy"]).code, 4, "the policy names no log");
}

#[test]
fn policies_and_keys_that_are_none_are_wrong_usage_told_by_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("bad.policy"), "quorum none\nwitness W nonsense\n").unwrap();
    fs::write(folder.join("plain.policy"), "quorum none\n").unwrap();
    for arguments in [
        &["verify", "x", "--policy", "bad.policy"][..],
        &["witness", "feed", "--policy", "bad.policy"],
        &["up", "--data-dir", "d", "--policy", "bad.policy"],
    ] {
        let ran = mesh(folder, arguments);
        assert!(ran.code == 2 && ran.stderr.contains("bad.policy: line 2 of the policy"), "{}", ran.stderr);
    }
    let ran = mesh(folder, &["witness", "feed", "--policy", "plain.policy"]);
    assert!(ran.code == 2 && ran.stderr.contains("no witness with a URL"), "{}", ran.stderr);
    assert_eq!(mesh(folder, &["up", "--data-dir", "d", "--witness-log", "nonsense"]).code, 2);
    assert_eq!(mesh(folder, &["prove", "--out", "x"]).code, 2);
    assert_eq!(mesh(folder, &["prove", "--run", &"0".repeat(64), "--out", "x"]).code, 2);
    assert_eq!(mesh(folder, &["verify", "x", "--policy", "none.policy"]).code, 3);
    assert!(!folder.join("d").exists());
}
