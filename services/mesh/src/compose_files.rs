//! What the compose files set is something that a service or this program reads.

use std::{collections::BTreeSet, fs, path::Path};

use clap::CommandFactory as _;
use service_kit::settings;

use crate::Cli;

const FILES: [&str; 3] = ["compose.yaml", "compose.federation.yaml", "compose.keys.yaml"];

/// Read before there are commands, and by the build of the image.
const NO_FLAGS: [&str; 3] = ["MESH_LOG", "MESH_LOG_FORMAT", "MESH_COMMIT"];

fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names and values of what a file sets, wherever in it.
fn set(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter_map(|line| line.trim().split_once(": "));
    lines.filter(|(name, _)| name.starts_with("MESH_") || name.starts_with("AI_MESH_")).collect()
}

/// The variables of all flags of all commands.
fn variables(command: &clap::Command, found: &mut BTreeSet<String>) {
    let named =
        command.get_arguments().filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned));
    found.extend(named);
    command.get_subcommands().for_each(|command| variables(command, found));
}

#[test]
fn compose_files_set_what_somebody_reads() {
    let mut known: BTreeSet<String> = NO_FLAGS.map(str::to_owned).into();
    variables(&Cli::command(), &mut known);
    let services = [
        settings::<psi_field::Config>("psi-field"),
        settings::<trainer::Config>("trainer"),
        settings::<remembrancer::Config>("remembrancer"),
        settings::<evaluator::Config>("evaluator"),
    ];
    known.extend(services.into_iter().flatten().map(|setting| setting.variable));
    for file in FILES {
        let text = text(file);
        let set = set(&text);
        assert!(set.len() > 5, "{file}");
        for (name, _) in set {
            assert!(known.contains(name), "{file} sets {name}, which nobody reads");
        }
    }
}

#[test]
fn a_containers_mesh_calls_the_services_by_names_that_they_answer_to() {
    let text = text("compose.yaml");
    let set = set(&text);
    let of = |name: &str| set.iter().find(|(set, _)| *set == name).unwrap_or_else(|| panic!("no {name}")).1;
    for service in ["trainer", "psi-field", "remembrancer", "evaluator"] {
        let upper = service.to_uppercase().replace('-', "_");
        let port = of(&format!("AI_MESH_{upper}_HTTP_BIND")).rsplit(':').next().unwrap().to_owned();
        assert_eq!(of(&format!("MESH_{upper}_URL")), format!("http://{service}:{port}"));
        let hosts = of(&format!("AI_MESH_{upper}_HTTP_HOSTS"));
        assert!(hosts.split(',').any(|host| host == service), "{service} answers to {hosts}");
    }
    assert_eq!(of("MESH_API_KEY"), "${AI_MESH_API_KEY:-}");
    let trainer = text.split("\n  trainer:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    assert!(trainer.contains("<<: *cli") && trainer.contains("work:/var/lib/ai-mesh"), "{trainer}");
    assert!(of("MESH_KNOWN_LOGS").starts_with("/var/lib/ai-mesh/"));
}

#[test]
fn every_service_reads_its_keys_from_the_folder_that_is_mounted() {
    let text = text("compose.keys.yaml");
    let mounted = text.lines().find_map(|line| line.trim().strip_prefix("volumes: ")).unwrap();
    let folder =
        mounted.trim_matches(['[', ']', '"']).strip_suffix(":ro").unwrap().rsplit(':').next().unwrap();
    let set = set(&text);
    for service in ["TRAINER", "PSI_FIELD", "REMEMBRANCER", "EVALUATOR"] {
        let of =
            |name: &str| set.iter().find(|(set, _)| *set == format!("AI_MESH_{service}_{name}")).unwrap().1;
        assert!(of("HTTP_API_KEY_FILE").starts_with(&format!("{folder}/")), "{service}");
        assert_eq!(of("HTTP_API_KEYS"), "\"\"", "a key that may do everything is beside the file");
    }
    assert_eq!(text.matches("<<: *keys").count(), 4);
}
