//! The reward's weights and the market's physics stand in one place each: what plans or bounds calls what is played.

use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Where they stand.
const REWARD: &str = "shared/routing-env/src/preference.rs";
const PHYSICS: &str = "shared/routing-env/src/physics.rs";

/// What only the file may compute with, as it looks without blanks.
const KEPT_THERE: [(&str, &[&str]); 5] = [
    (REWARD, &["50.0-", "-3.0*", "0.02*", "*0.02", "request:50.0"]),
    (PHYSICS, &["congestion*", "congestion()*", ".congestion>", "surge*", "surge()*", ".surge>"]),
    (PHYSICS, &["clamp(0.1", "AFFORDABLE_USD_PER_HOUR"]),
    (PHYSICS, &["10.0+100.0*"]),
    (PHYSICS, &["utilisation*utilisation"]),
];

#[test]
fn nobody_computes_a_reward_or_the_markets_physics_by_a_formula_of_their_own() {
    let files = sources();
    for (home, formulas) in KEPT_THERE {
        let computes = |(_, code): &&(String, String)| formulas.iter().any(|formula| code.contains(formula));
        let found: Vec<&str> = files.iter().filter(computes).map(|(path, _)| path.as_str()).collect();
        assert_eq!(found, [home], "files that compute with one of {formulas:?}");
    }
}

/// What is no test, with its code: no comments and no blanks.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["shared", "services"] {
        add_rust_files(&Path::new(ROOT).join(folder), &mut files);
    }
    let read = |path: PathBuf| {
        let name = path.strip_prefix(ROOT).unwrap().to_str().unwrap().to_owned();
        // a test or a chart may make figures of its own up
        let is_plain =
            name.contains("/src/") && !name.contains("/tests") && !name.starts_with("shared/plots");
        let text = is_plain.then(|| std::fs::read_to_string(&path).unwrap())?;
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        Some((name, lines.flat_map(|line| line.split_whitespace()).collect()))
    };
    files.into_iter().filter_map(read).collect()
}

fn add_rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            add_rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}
