//! `mesh runs`, `mesh watch` and `mesh interventions` against a running stack.

use api::trainer::{MetricsQuery, NewRun, RunStatus};
use client::{Endpoint, Trainer};
use test_support::{database, eventually};

use crate::support::{Up, mesh};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_running_stack_is_listed_watched_to_its_end_and_its_interventions_shown() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let up = Up::start(folder.path(), &database);
    let ask = |arguments: &[&str]| mesh(folder.path(), &[arguments, &["--trainer", &up.trainer]].concat());

    let none = ask(&["runs"]);
    assert_eq!((none.code, none.stdout.trim()), (0, "no runs"), "{}", none.stderr);
    let none = ask(&["watch", "last"]);
    assert_eq!(none.code, 3);
    assert!(none.stderr.contains("has no run yet"), "{}", none.stderr);

    let wanted = NewRun { agents: 3, episodes: 3, steps_per_episode: 12, ..NewRun::default() };
    let trainer = Trainer::new(Endpoint::new(&up.trainer)).unwrap();
    let run = trainer.create_run(&wanted, None).await.unwrap();

    let watched = ask(&["watch", "last"]);
    assert_eq!(watched.code, 0, "{}", watched.stderr);
    let windows: Vec<&str> = watched.stdout.lines().filter(|line| line.starts_with("window=")).collect();
    assert_eq!(windows.len(), 36, "{}", watched.stdout);
    assert!(windows[0].starts_with("window=0 episode=0 step=0 reward="), "{}", windows[0]);
    assert!(windows[35].starts_with("window=35 episode=2 step=11 "), "{}", windows[35]);
    let last = watched.stdout.lines().last().unwrap();
    assert!(last.starts_with(&format!("run {} completed: 3 of 3 episodes", run.id)), "{last}");

    let listed = ask(&["runs"]);
    let short = &run.id.to_string()[..8];
    for part in [short, "3/3", "reward", "fill"] {
        assert!(listed.stdout.contains(part), "{part} is missing in {}", listed.stdout);
    }
    let reward = trainer.episode_metrics(run.id, &MetricsQuery::default()).await.unwrap().items[2].avg_reward;
    assert!(listed.stdout.contains(&format!("{:.2}", reward.unwrap())), "{}", listed.stdout);
    assert_eq!(ask(&["watch", short]).code, 0);
    let ambiguous = ask(&["watch", "ffffffff"]);
    assert_eq!(ambiguous.code, 3);
    assert!(ambiguous.stderr.contains("no run whose id begins with ffffffff"), "{}", ambiguous.stderr);
    let other = mesh(folder.path(), &["runs", "--trainer", &up.remembrancer]);
    assert_eq!(other.code, 3);
    assert!(other.stderr.contains("is the remembrancer; expected the trainer there"), "{}", other.stderr);
    let json = ask(&["runs", "--status", "completed", "--json"]).json();
    assert_eq!(json["items"][0]["id"], run.id.to_string());
    assert_eq!(ask(&["runs", "--status", "failed"]).stdout.trim(), "no runs");

    let shown = ask(&["interventions", &run.id.to_string(), "--psi-field", &up.psi_field, "--json"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    let applied = trainer.interventions(run.id, &client::PageQuery::default()).await.unwrap().items;
    assert_eq!(shown.json()["interventions"].as_array().unwrap().len(), applied.len());

    let unknown = ask(&["watch", "00000000-0000-0000-0000-000000000000"]);
    assert_eq!(unknown.code, 3);
    assert!(unknown.stderr.contains("run_not_found"), "{}", unknown.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_labelled_found_paused_resumed_rewound_and_compared() {
    let (folder, database) = (tempfile::tempdir().unwrap(), database().await);
    let up = Up::start(folder.path(), &database);
    let trainer = Trainer::new(Endpoint::new(&up.trainer)).unwrap();
    let run = NewRun {
        algorithm: Some("q-learning".into()),
        agents: 2,
        episodes: 4,
        steps_per_episode: 4,
        checkpoint_every: 1,
        ..NewRun::default()
    };
    let long = NewRun { episodes: 10_000, ..run.clone() };
    let (run, long) =
        (trainer.create_run(&run, None).await.unwrap(), trainer.create_run(&long, None).await.unwrap());
    let ask = |arguments: &[&str]| {
        let ran = mesh(folder.path(), &[&["runs"], arguments, &["--trainer", &up.trainer]].concat());
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.stderr);
        ran
    };
    let (id, long) = (run.id.to_string(), long.id.to_string());

    let labelled = ask(&["label", &id, "--name", "a first try", "--tag", "paper", "--tag", "small"]);
    assert!(labelled.stdout.contains("a first try"), "{}", labelled.stdout);
    let found = ask(&["--tag", "paper", "-q", "first"]).stdout;
    assert!(found.contains(&id[..8]) && found.contains("paper, small"), "{found}");
    assert!(found.contains("a first try") && found.matches("q-learning").count() == 1, "{found}");
    assert!(ask(&["label", &id, "--name", ""]).stdout.contains("name   none"));
    assert_eq!(ask(&["--name", "a first try"]).stdout.trim(), "no runs");

    ask(&["pause", &long]);
    eventually("the long run is paused", async || {
        let paused = ask(&["--status", "paused", "--json"]).json();
        if paused["items"][0]["id"] == long.as_str() { Ok(()) } else { Err(paused) }
    })
    .await;
    assert!(ask(&["resume", &long]).stdout.contains("resumes"));
    assert_eq!(ask(&["cancel", &long, "--json"]).json()["id"], long);

    let ended = async |id| {
        eventually("the run has ended", async || {
            let run = trainer.run(id).await.unwrap();
            if run.status.is_final() { Ok(run) } else { Err(run.status) }
        })
        .await
    };
    ended(run.id).await;
    // twice, to see that psi-field's state goes back too
    let mut ends = Vec::new();
    for _ in 0..2 {
        let begun = ask(&["rewind", &id, "--episodes-done", "2", "--epsilon", "0.5", "--json"]).json();
        assert_eq!(begun["rewound_from"], id);
        let begun = begun["id"].as_str().unwrap().parse().unwrap();
        ends.push(ended(begun).await);
    }
    assert!(ends.iter().all(|run| run.status == RunStatus::Completed && run.reproducible), "{ends:?}");
    assert_eq!((ends[0].digest, ends[0].run_root), (ends[1].digest, ends[1].run_root));
    let rewound = ends[0].id.to_string();
    let compared = ask(&["compare", &id, &rewound]).stdout;
    for part in [
        "/algorithm/epsilon: 0.1 | 0.5",
        "differ at the first checkpoint of both, after episode 3",
        "avg_reward",
    ] {
        assert!(compared.contains(part), "{part} is not in {compared}");
    }
    let wrong =
        mesh(folder.path(), &["runs", "rewind", &id, "--episodes-done", "9", "--trainer", &up.trainer]);
    assert_eq!(wrong.code, 3);
    assert!(wrong.stderr.contains("checkpoints at the episodes 4, 3, 2, 1"), "{}", wrong.stderr);
    assert_eq!(mesh(folder.path(), &["runs", "label", &id]).code, 2);
}
