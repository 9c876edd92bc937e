//! The architecture's rules, read from the packages themselves.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

const SERVICES: [&str; 4] = ["trainer", "psi-field", "remembrancer", "evaluator"];
const PURE: [&str; 9] = [
    "routing-env",
    "limit",
    "policy",
    "merkle-log",
    "evaluation",
    "meta-learning",
    "psi",
    "records",
    "federation",
];
const DOMAIN: [&str; 10] = [
    "routing-env",
    "limit",
    "policy",
    "merkle-log",
    "evaluation",
    "meta-learning",
    "psi",
    "records",
    "federation",
    "embedded-postgres",
];

/// What each package names directly, and what it needs to run (not to test) with all that that needs.
struct Packages {
    named: BTreeMap<String, BTreeSet<String>>,
    needed: BTreeMap<String, BTreeSet<String>>,
}

fn packages() -> Packages {
    // for this platform only: packages of others need not have been downloaded
    let rustc = std::process::Command::new("rustc").arg("-vV").output().unwrap();
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .other_options(["--offline", "--locked", "--filter-platform", host].map(str::to_owned))
        .exec()
        .unwrap();
    let members = metadata.workspace_packages();
    let named = members
        .iter()
        .map(|p| (p.name.to_string(), p.dependencies.iter().map(|d| d.name.clone()).collect()))
        .collect();
    let needed = members.iter().map(|p| (p.name.to_string(), closure(&metadata, &p.name))).collect();
    Packages { named, needed }
}

fn closure(metadata: &Metadata, root: &str) -> BTreeSet<String> {
    let nodes = &metadata.resolve.as_ref().unwrap().nodes;
    let mut found = BTreeSet::new();
    let mut open = vec![metadata.packages.iter().find(|p| p.name.as_str() == root).unwrap().id.clone()];
    while let Some(id) = open.pop() {
        let node = nodes.iter().find(|n| n.id == id).unwrap();
        for dependency in &node.deps {
            let runs = dependency.dep_kinds.iter().any(|k| k.kind == DependencyKind::Normal);
            if runs && found.insert(metadata[&dependency.pkg].name.to_string()) {
                open.push(dependency.pkg.clone());
            }
        }
    }
    found
}

#[test]
fn no_service_imports_another() {
    let packages = packages();
    for service in SERVICES {
        let others =
            packages.named[service].iter().filter(|d| SERVICES.contains(&d.as_str()) || *d == "mesh");
        assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new(), "{service} imports another service");
    }
}

#[test]
fn the_pure_crates_need_no_network_no_database_and_no_entropy() {
    let packages = packages();
    for pure in PURE {
        for banned in ["tokio", "axum", "sqlx", "reqwest", "hyper"] {
            assert!(!packages.needed[pure].contains(banned), "{pure} needs {banned}");
        }
    }
}

#[test]
fn the_pure_crates_ban_the_clock_and_ambient_randomness() {
    for pure in PURE {
        let path = format!("{}/../shared/{pure}/clippy.toml", env!("CARGO_MANIFEST_DIR"));
        let lints = std::fs::read_to_string(&path).unwrap();
        // chrono reads the times that somebody wrote, and has a clock too
        for banned in ["Instant::now", "SystemTime::now", "chrono::Utc::now", "rand::rng", "rand::random"] {
            assert!(lints.contains(banned), "{path} does not ban {banned}");
        }
    }
}

#[test]
fn charts_are_drawn_from_figures_alone() {
    let packages = packages();
    for banned in ["tokio", "axum", "sqlx", "reqwest", "hyper", "client", "rand"] {
        assert!(!packages.needed["plots"].contains(banned), "plots needs {banned}");
    }
    let lints = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/plots/clippy.toml");
    assert!(std::fs::read_to_string(lints).unwrap().contains("SystemTime::now"), "{lints}");
}

#[test]
fn the_wire_types_know_no_domain() {
    let packages = packages();
    for domain in DOMAIN.iter().chain(&SERVICES) {
        assert!(!packages.needed["api"].contains(*domain), "api needs {domain}");
    }
}

#[test]
fn records_know_the_wire_and_the_log_and_nothing_else_of_ours() {
    let packages = packages();
    let ours = packages.named.keys().filter(|package| packages.needed["records"].contains(*package));
    assert_eq!(ours.collect::<Vec<_>>(), ["api", "merkle-log"]);
}

#[test]
fn only_the_remembrancer_talks_to_postgres() {
    let packages = packages();
    let allowed = ["remembrancer", "embedded-postgres", "test-support"];
    for (package, named) in &packages.named {
        let names_sqlx = named.contains("sqlx");
        assert!(!names_sqlx || allowed.contains(&package.as_str()), "{package} depends on sqlx");
    }
    for service in ["trainer", "psi-field", "evaluator"] {
        assert!(!packages.needed[service].contains("sqlx"), "{service} needs sqlx");
    }
}

#[test]
fn the_remembrancer_calls_nobody() {
    assert!(!packages().needed["remembrancer"].contains("client"));
}

#[test]
fn there_is_one_http_stack_and_one_tls_stack() {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock")).unwrap();
    for package in ["hyper", "axum", "rustls", "tokio", "sqlx"] {
        let versions = lock.matches(&format!("name = \"{package}\"\n")).count();
        assert_eq!(versions, 1, "{package} is in Cargo.lock {versions} times");
    }
}
