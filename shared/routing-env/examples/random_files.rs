//! A catalog and workloads that nobody has seen before, to try policies on: `providers.json` and `workloads.json`.
//!
//! `cargo run -p routing-env --example random_files -- SEED PROVIDERS TENANTS FOLDER`: see [`RandomFiles`].
#![allow(clippy::unwrap_used, reason = "an example may fail by panicking")]

use std::{fs, path::Path};

use rand_pcg::Pcg64;
use routing_env::RandomFiles;
use serde_json::Value;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [seed, providers, tenants, folder] = arguments.as_slice() else {
        panic!("expected SEED PROVIDERS TENANTS FOLDER");
    };
    let mut rng = Pcg64::new(seed.parse().unwrap(), 1);
    let files = RandomFiles::draw(&mut rng, providers.parse().unwrap(), tenants.parse().unwrap());
    fs::create_dir_all(folder).unwrap();
    fs::write(Path::new(folder).join("providers.json"), text(&files.providers)).unwrap();
    fs::write(Path::new(folder).join("workloads.json"), text(&files.workloads)).unwrap();
}

fn text(json: &Value) -> String {
    format!("{json:#}\n")
}
