//! `--policy-command`: a program of somebody's own decides, and what is said when it does not.

use std::{fs, path::Path};

use routing_env::{
    Environment, Metrics, Preset,
    gym::{Play, Space},
};
use test_support::eventually_blocking;

use crate::support::{Ran, mesh};

/// A policy in the shell's own words: the first action that each mask allows.
const FIRST: &str = r#"
read -r hello
echo '{"protocol": "ai-mesh-policy/1", "name": "first-feasible"}'
while read -r turn; do
  rest=${turn##*\"action_masks\":\[\[} rest=${rest%%\]\]*} choices=
  while [ -n "$rest" ]; do
    action=0 IFS=,
    for allowed in ${rest%%\],\[*}; do [ "$allowed" = true ] && break; action=$((action + 1)); done
    choices="$choices,$action"
    case $rest in *\],\[*) rest=${rest#*\],\[} ;; *) rest= ;; esac
  done
  echo "{\"choices\": [${choices#,}]}"
done
"#;

fn written(folder: &Path, program: &str) -> String {
    fs::write(folder.join("policy.sh"), program).unwrap();
    "sh policy.sh".into()
}

fn simulated(folder: &Path, command: &str, more: &[&str]) -> Ran {
    let arguments = ["simulate", "--policy-command", command, "--preset", "contended", "--json"];
    mesh(folder, &[&arguments, more].concat())
}

/// A policy that greets as it should and then does this.
fn greeting(then: &str) -> String {
    format!("read -r hello; echo '{{\"protocol\": \"ai-mesh-policy/1\"}}'; read -r turn; {then}")
}

#[test]
fn a_policy_command_decides_as_it_would_in_process_and_its_decisions_are_told_as_any_others() {
    let folder = tempfile::tempdir().unwrap();
    let workloads = {
        let mut workloads = serde_json::to_value(routing_env::Workloads::built_in()).unwrap();
        workloads["simulation"]["steps"] = 2.into();
        workloads
    };
    fs::write(folder.path().join("w.json"), workloads.to_string()).unwrap();
    let command = written(folder.path(), FIRST);
    let files = ["--workloads", "w.json", "--seed", "5", "--decisions", "d.csv", "--steps-out", "s.csv"];
    let ran = simulated(folder.path(), &command, &files);
    assert_eq!(ran.code, 0, "{}", ran.stderr);

    let env = Environment::built_in(Preset::Contended).with_steps(2);
    let space = Space::new(&env);
    let mut metrics = Metrics::new(&env);
    let mut watch = |episode: &routing_env::Episode<'_>| metrics.merge(episode.outcome().metrics);
    let mut play = Play::new(&env, &space, 5, &mut watch);
    while let Some(asked) = play.asked() {
        let first = asked.mask.iter().position(|allowed| *allowed).unwrap();
        play.act(first, &mut watch).unwrap();
    }
    let (told, overall) = (ran.json(), metrics.overall);
    assert_eq!(told["policy"], "first-feasible");
    assert_eq!(told["metrics"]["requests"], overall.requests);
    assert_eq!(told["metrics"]["reward"].as_f64(), overall.avg_reward());
    let mut decisions = csv::Reader::from_path(folder.path().join("d.csv")).unwrap();
    assert_eq!(decisions.records().count() as u64, overall.requests);
    let mut steps = csv::Reader::from_path(folder.path().join("s.csv")).unwrap();
    assert_eq!(steps.records().count(), 2 * env.catalog().providers.len());
}

#[test]
fn whoever_does_not_answer_as_expected_is_told_what_and_where() {
    let folder = tempfile::tempdir().unwrap();
    for (program, expected) in [
        ("exit 7".to_owned(), "ended before it answered the first line (exit status: 7)"),
        (
            "read -r hello; echo '{\"protocol\": \"other/1\"}'; cat".to_owned(),
            "expected the protocol `ai-mesh-policy/1`",
        ),
        (
            "read -r hello; echo Welcome; cat".to_owned(),
            "expected a line such as {\"protocol\": \"ai-mesh-policy/1\"}, found `Welcome`",
        ),
        (greeting("exit 0"), "ended before it answered turn 0"),
        (
            greeting("echo thinking; cat"),
            "turn 0: expected a line such as {\"choices\": [0, 3]}, found `thinking`",
        ),
        (
            greeting("echo '{\"choices\": [0, 0]}'; cat"),
            "turn 0: expected 1 choices, one for each episode, found 2",
        ),
        (
            greeting("echo '{\"choices\": [99]}'; cat"),
            "choice 0 (of the episode with the seed 42) is 99, which its mask does not allow",
        ),
        (greeting("sleep 600"), "did not answer turn 0 within 0.5 s"),
    ] {
        let command = written(folder.path(), &program);
        let more: &[&str] = if program.contains("sleep") { &["--policy-timeout", "0.5"] } else { &[] };
        let ran = simulated(folder.path(), &command, more);
        assert_eq!(ran.code, 3, "{program}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{program}: {}", ran.stderr);
        assert!(ran.stderr.contains("`sh policy.sh`"), "{}", ran.stderr);
    }
}

#[test]
fn a_choice_that_is_not_allowed_is_told_by_its_name_with_those_that_are() {
    let folder = tempfile::tempdir().unwrap();
    let hold = written(folder.path(), &greeting("echo '{\"choices\": [7]}'; cat"));
    let ran = mesh(folder.path(), &["simulate", "--policy-command", &hold, "--preset", "default"]);
    assert_eq!(ran.code, 3);
    assert!(
        ran.stderr.contains("is 7 (`hold`), which its mask does not allow: expected one of"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("(`route:"), "{}", ran.stderr);
}

#[test]
fn what_a_policy_command_has_started_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let command = written(folder.path(), &greeting("sleep 600 & echo $! > pid; echo nothing; wait"));
    assert_eq!(simulated(folder.path(), &command, &[]).code, 3);
    let pid = fs::read_to_string(folder.path().join("pid")).unwrap();
    eventually_blocking("the sleeper has ended", || {
        // one that has ended may still be waited for by its new parent
        match fs::read_to_string(format!("/proc/{}/stat", pid.trim())) {
            Ok(stat) if !stat.contains(") Z ") => Err(stat),
            _ => Ok(()),
        }
    });
}

#[test]
fn one_policy_decides_a_simulation() {
    let folder = tempfile::tempdir().unwrap();
    let both = mesh(folder.path(), &["simulate", "--policy", "cheapest", "--policy-command", "true"]);
    assert_eq!(both.code, 2, "{}", both.stderr);
    let two = mesh(folder.path(), &["simulate", "--policy-command", "true", "--policy-command", "true"]);
    assert_eq!(two.code, 2, "{}", two.stderr);
    assert_eq!(mesh(folder.path(), &["simulate"]).code, 2);
}

#[test]
fn an_evaluation_judges_programs_on_the_seeds_that_all_meet_and_says_that_it_is_not_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let command = written(folder.path(), FIRST);
    let arguments = ["evaluate", "--policy-command", &command, "--policy-command", &command];
    let asked = ["--preset", "contended", "--steps", "1", "--seeds", "2", "--limit-steps", "1"];
    let ran = mesh(folder.path(), &[&arguments[..], &asked, &["--output", "out", "--json"]].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let told = ran.json();
    assert_eq!(told["record_id"], serde_json::Value::Null);
    let policies = told["policies"].as_array().unwrap();
    let mine: Vec<_> = policies.iter().filter(|policy| policy["name"] == "first-feasible").collect();
    assert_eq!(mine.len(), 1, "programs of one name are trainings of one policy");
    assert_eq!((mine[0]["programs"].as_u64(), mine[0]["learned"].as_bool()), (Some(2), Some(false)));
    assert!(policies.iter().any(|policy| policy["name"] == "bid-price"));
    assert!(mine[0]["gap_closed"].is_object(), "{}", mine[0]["gap_closed"]);

    let env = Environment::built_in(Preset::Contended).with_steps(1);
    let space = Space::new(&env);
    for (i, reward) in mine[0]["reward_by_seed"].as_array().unwrap().iter().enumerate() {
        let mut metrics = Metrics::new(&env);
        let mut watch = |episode: &routing_env::Episode<'_>| metrics.merge(episode.outcome().metrics);
        let mut play = Play::new(&env, &space, told["seeds"][i].as_u64().unwrap(), &mut watch);
        while let Some(asked) = play.asked() {
            let first = asked.mask.iter().position(|allowed| *allowed).unwrap();
            play.act(first, &mut watch).unwrap();
        }
        let (told, here) = (reward.as_f64().unwrap(), metrics.overall.avg_reward().unwrap());
        assert!((told - here).abs() < 1e-9, "{told} and {here}");
    }
    let read = |file: &str| fs::read_to_string(folder.path().join("out").join(file)).unwrap();
    assert!(read("evaluation.csv").contains("first-feasible"));
    assert!(read("report.html").contains("first-feasible"));
    let file: serde_json::Value = serde_json::from_str(&read("evaluation.json")).unwrap();
    assert_eq!(file["result"]["policies"], told["policies"]);
    assert!(!folder.path().join("out/evaluation_receipt.json").exists());
}

#[test]
fn programs_are_kept_apart_on_demand_and_do_not_open_the_final_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let command = written(folder.path(), FIRST);
    let arguments = ["evaluate", "--policy-command", &command, "--policy-command", &command];
    let asked = ["--preset", "default", "--steps", "1", "--seeds", "2", "--limit-steps", "0"];
    let apart = mesh(folder.path(), &[&arguments[..], &asked, &["--apart", "--json"]].concat());
    assert_eq!(apart.code, 0, "{}", apart.stderr);
    let policies = apart.json()["policies"].as_array().unwrap().clone();
    assert_eq!(policies.iter().filter(|policy| policy["programs"] == 1).count(), 2);
    let text = mesh(folder.path(), &[&arguments[..], &asked].concat());
    assert!(text.stdout.starts_with("first-feasible on default: 2 held-out episodes"), "{}", text.stdout);
    assert!(text.stdout.contains("What a program of yours played is your word."), "{}", text.stdout);
    let details = mesh(folder.path(), &[&arguments[..], &asked, &["--details"]].concat());
    assert!(details.stdout.contains("first-feasible (2 programs) ‡"), "{}", details.stdout);
    assert!(text.stdout.contains("Not recorded"), "{}", text.stdout);
    let last = mesh(folder.path(), &[&arguments[..], &["--final"]].concat());
    assert_eq!(last.code, 2);
    assert!(last.stderr.contains("--final"), "{}", last.stderr);
}

#[test]
fn flags_that_name_services_are_refused_where_none_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let program = ["evaluate", "--policy-command", "true"];
    for flag in [
        "--trainer",
        "--remembrancer",
        "--evaluator",
        "--api-key",
        "--data-dir",
        "--database-url",
        "--known-logs",
    ] {
        let refused = mesh(folder.path(), &[&program[..], &[flag, "http://127.0.0.1:1"]].concat());
        assert_eq!(refused.code, 2, "{flag}: {}", refused.stderr);
        assert!(
            refused.stderr.contains(&format!("{flag}: expected nothing of services")),
            "{}",
            refused.stderr
        );
    }
    let both = [&program[..], &["--trainer", "http://a", "--evaluator", "http://b"]].concat();
    let both = mesh(folder.path(), &both);
    assert!(both.stderr.contains("--trainer, --evaluator: expected nothing of services"), "{}", both.stderr);
    assert_eq!(both.stderr.lines().count(), 1, "{}", both.stderr);
}
