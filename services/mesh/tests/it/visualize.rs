//! `mesh visualize`, which needs no service. `train.rs` draws what a run left.

use std::fs;

use crate::support::mesh;

const HEADER: &str = "episode,avg_reward,fill_rate,gpu_hours_fill,avg_cost_usd,avg_latency_ms,epsilon,q_table_size,psi,\
                      continuity,prediction_error,interventions";

fn metrics(rows: &[&str]) -> String {
    format!("{HEADER}\n{}\n", rows.join("\n"))
}

#[test]
fn charts_and_a_page_appear_beside_the_metrics_and_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        "0,39.5,.94,.88,3.1,320,.1,800,.99,.9,.5,1",
        "1,,,,,,.1,900,,,,0",
        "2,40,.95,.89,3,318,.1,950,.98,.9,.4,0",
    ];
    fs::write(folder.path().join("m.csv"), metrics(&rows)).unwrap();
    let ran = mesh(folder.path(), &["visualize", "m.csv"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let told: Vec<&str> = ran.stdout.lines().collect();
    let expected = [
        "training_curves.svg",
        "training_curves.png",
        "swarm_consciousness.svg",
        "swarm_consciousness.png",
        "training_report.html",
    ];
    assert_eq!(told, expected);
    for file in expected {
        assert!(fs::metadata(folder.path().join(file)).unwrap().len() > 1000, "{file}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 6, "and nothing else");
    let page = fs::read_to_string(folder.path().join("training_report.html")).unwrap();
    for part in ["Training report: 3 episodes", "<svg", "prediction error PE", "Not judged yet"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn another_folder_can_be_asked_for_and_json_lists_the_files() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    fs::write(folder.path().join("in/m.csv"), metrics(&["0,39.5,.94,.88,3.1,320,.1,800,,,,0"])).unwrap();
    let ran = mesh(folder.path(), &["visualize", "in/m.csv", "--output", "new/pictures", "--json"]);
    let told = ran.json();
    assert_eq!(told["report"], "new/pictures/training_report.html");
    let files: Vec<&str> = told["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    // without psi-field there is no swarm consciousness to be drawn
    assert_eq!(
        files,
        [
            "new/pictures/training_curves.svg",
            "new/pictures/training_curves.png",
            "new/pictures/training_report.html"
        ]
    );
    let page = fs::read_to_string(folder.path().join("new/pictures/training_report.html")).unwrap();
    assert!(page.contains("Nobody watched this run"));
    assert_eq!(fs::read_dir(folder.path().join("in")).unwrap().count(), 1);
}

#[test]
fn an_evaluation_beside_it_that_cannot_be_read_is_left_out_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("m.csv"), metrics(&["0,39.5,.94,.88,3.1,320,.1,800,,,,0"])).unwrap();
    fs::write(folder.path().join("evaluation.json"), "{\"id\": 3}").unwrap();
    let ran = mesh(folder.path(), &["visualize", "m.csv"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("evaluation.json is left out"), "{}", ran.stderr);
    assert!(ran.stdout.ends_with("training_report.html\n"), "{}", ran.stdout);
}

#[test]
fn a_file_of_another_kind_is_refused_with_what_makes_the_right_one_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    for (content, expected) in [
        (&b""[..], "x is empty: such a file is what `mesh train` leaves"),
        (b"a,b\n1,2\n", "x has no column `episode`"),
        (metrics(&[]).trim_end().as_bytes(), "x has a header and no row"),
        (metrics(&["0,39.5,lots,.88,3.1,320,.1,800,,,,0"]).as_bytes(), "x, line 2, column `fill_rate`"),
        (metrics(&["0,39.5"]).as_bytes(), "x is no CSV of metrics"),
        (b"\x89PNG\r\n\x1a\n\0\0", "x"),
        (b"{}", "x: this is no evaluation of this version"),
        (b"{\"a\": ", "x: this is no evaluation of this version"),
    ] {
        fs::write(folder.path().join("x"), content).unwrap();
        let ran = mesh(folder.path(), &["visualize", "x"]);
        assert_eq!(ran.code, 2, "{expected}: {}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{}", ran.stderr);
        assert_eq!(ran.stderr.trim_end().lines().count(), 1, "{}", ran.stderr);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
