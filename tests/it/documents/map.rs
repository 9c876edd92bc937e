use std::{collections::BTreeSet, path::Path};

use crate::support::{file, path};

#[test]
fn the_map_has_every_package_and_only_files_that_there_are() {
    let architecture = file("ARCHITECTURE.md");
    let rows: Vec<Vec<&str>> =
        architecture.lines().filter(|line| line.starts_with("| `")).map(named).collect();
    let on_the_map: BTreeSet<&str> = rows.iter().map(|row| row[0]).collect();
    let missing: Vec<String> =
        packages().into_iter().filter(|package| !on_the_map.contains(package.as_str())).collect();
    assert!(missing.is_empty(), "the map of ARCHITECTURE.md lacks {missing:?}");
    for row in &rows {
        let folder = path(row[0]);
        assert!(folder.exists(), "ARCHITECTURE.md: there is no `{}`", row[0]);
        for part in row[1..].iter().filter(|part| part.ends_with(".rs") || part.ends_with('/')) {
            let found =
                [folder.join("src"), folder.clone(), path(".")].iter().any(|place| exists(place, part));
            assert!(found, "ARCHITECTURE.md: there is no `{part}` in `{}`", row[0]);
        }
    }
}

/// What stands between backticks in a row: the folder, then what to look at in it.
fn named(row: &str) -> Vec<&str> {
    row.split('`').skip(1).step_by(2).collect()
}

fn packages() -> Vec<String> {
    let packages_in = |folder: &'static str| {
        let entries = std::fs::read_dir(path(folder)).unwrap().map(|entry| entry.unwrap().path());
        let packages = entries.filter(|entry| entry.join("Cargo.toml").exists());
        packages.map(move |package| format!("{folder}/{}", package.file_name().unwrap().to_str().unwrap()))
    };
    packages_in("shared").chain(packages_in("services")).collect()
}

fn exists(place: &Path, part: &str) -> bool {
    place.join(part.trim_end_matches('/')).exists()
}
