use std::fmt::Write as _;

use serde::Serialize;
use service_kit::{Setting, settings};
use utoipa::ToSchema;

use super::{REGENERATE, assert_up_to_date};

#[test]
fn the_document_of_the_settings_is_what_the_services_say_of_themselves() {
    assert_up_to_date("docs/settings.md", &document());
}

fn document() -> String {
    let services = [
        of::<trainer::Config>("trainer"),
        of::<psi_field::Config>("psi-field"),
        of::<remembrancer::Config>("remembrancer"),
        of::<evaluator::Config>("evaluator"),
    ];
    let mut text = format!(
        "# Settings of the services\n\n<!-- Written by `{REGENERATE}`; change the comments in the services' `Config` \
         instead. -->\n\n\
         Each service is a program of its own (`cargo build --release --workspace`): `trainer`, `psi-field`, \
         `remembrancer`, `evaluator`. A setting is read from the file given with `--config FILE` (TOML) and, stronger than \
         that, from its environment variable. A variable or a key that does not exist is refused by name. `--help` of each \
         service lists the same as this page.\n\n\
         `mesh up` and the commands that start a stack of their own take the same variables, `mesh up --config FILE` a file with a \
         table for each service, and flags: see [cli.md](cli.md#mesh-up) and [operations.md](operations.md#start-and-stop).\n"
    );
    let _ = write!(text, "\n## Every service\n\nThe variables begin with `AI_MESH_<SERVICE>_`.\n\n");
    let shared: Vec<&Setting> = services[0].1.iter().filter(|setting| is_shared(setting)).collect();
    let bind = services
        .iter()
        .map(|(name, settings)| format!("{name} {}", port(settings)))
        .collect::<Vec<_>>()
        .join(", ");
    text.push_str("| variable | key | default | meaning |\n|---|---|---|---|\n");
    for setting in shared {
        let variable = setting.variable.replace("AI_MESH_TRAINER_", "…_");
        let default = if setting.key == "http.bind" {
            format!("127.0.0.1, port by service: {bind}")
        } else {
            default(setting)
        };
        let _ =
            writeln!(text, "| `{variable}` | `{}` | {default} | {} |", setting.key, cell(&setting.meaning));
    }
    for (name, settings) in &services {
        let _ = write!(text, "\n## {name}\n\n| variable | key | default | meaning |\n|---|---|---|---|\n");
        for setting in settings.iter().filter(|setting| !is_shared(setting)) {
            let Setting { key, variable, meaning, .. } = setting;
            let _ = writeln!(text, "| `{variable}` | `{key}` | {} | {} |", default(setting), cell(meaning));
        }
    }
    text
}

/// A service and its settings, all of which say what they do.
fn of<C: Serialize + Default + ToSchema>(service: &'static str) -> (&'static str, Vec<Setting>) {
    let settings = settings::<C>(service);
    for Setting { key, meaning, .. } in &settings {
        assert!(!meaning.is_empty(), "{service}: say in a comment of the field what `{key}` does");
    }
    (service, settings)
}

fn is_shared(setting: &Setting) -> bool {
    setting.key.starts_with("http.") || setting.key.starts_with("log.")
}

fn port(settings: &[Setting]) -> &str {
    let bind = settings.iter().find(|setting| setting.key == "http.bind").unwrap();
    bind.default.rsplit(':').next().unwrap()
}

fn default(setting: &Setting) -> String {
    if setting.default.is_empty() { "none".to_owned() } else { format!("`{}`", cell(&setting.default)) }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
