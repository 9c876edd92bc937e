//! Draws every chart from made-up figures, small and large, to be looked at after a change:
//! `cargo run -p plots --example gallery -- DIR`.
#![allow(clippy::unwrap_used, reason = "whoever runs it sees the panic")]

#[allow(dead_code, reason = "the tests need the rest of it")]
#[path = "../tests/it/support.rs"]
mod support;

use std::{fs, path::Path};

use plots::Figure;
use support::{Size, empty_episodes, episodes, estimate, evaluation, figures, only_reward, under_many};

fn main() {
    let folder = std::env::args().nth(1).expect("the folder to write to");
    for count in [1, 20, 2000] {
        write(
            &folder,
            &format!("{count}-episodes"),
            plots::training_figures(&episodes(count), Some(&evaluation(&Size::default()))),
        );
    }
    write(&folder, "without-data", vec![plots::training_curves(&empty_episodes(5), None)]);
    let usual = Size::default();
    let large = Size { learned: 20, tenants: 60, seeds: 300, long_names: true, limit: Some(200) };
    let ten = Size { tenants: 10, long_names: true, limit: None, ..Size::default() };
    for (name, size) in [("usual", usual), ("large", large), ("ten-tenants", ten)] {
        write(&folder, name, figures(&evaluation(&size)));
    }
    write(&folder, "learning", learning());
    for trained in [0, 1, 3] {
        write(&folder, &format!("{trained}-fronts"), figures(&under_many(trained)));
    }
}

/// Six policies on the way from nothing to the best.
fn learning() -> Vec<Figure> {
    let mut result = evaluation(&Size { learned: 6, ..Size::default() });
    for (policy, episodes) in result.policies.iter_mut().zip([80, 40, 20, 10, 5, 0]) {
        let gain = 1.55 * (1.0 - (-f64::from(episodes) / 15.0).exp());
        policy.trained_episodes = Some(episodes);
        policy.versus_baseline = only_reward(estimate(gain, 0.06));
    }
    figures(&result)
}

fn write(folder: &str, name: &str, figures: Vec<Figure>) {
    let folder = Path::new(folder).join(name);
    fs::create_dir_all(&folder).unwrap();
    for figure in figures {
        fs::write(folder.join(format!("{}.svg", figure.name)), figure.svg().unwrap()).unwrap();
        fs::write(folder.join(format!("{}.png", figure.name)), figure.png().unwrap()).unwrap();
    }
}
