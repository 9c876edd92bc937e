//! Draws every chart from made-up figures, small and large, to be looked at after a change:
//! `cargo run -p plots --example gallery -- DIR`.
#![allow(clippy::unwrap_used, reason = "whoever runs it sees the panic")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{fs, path::Path};

use plots::{Colour, Figure, Interval, LearningPoint, Reference, evaluation_figures, learning_curve};
use support::{Size, empty_episodes, episodes, evaluation};

fn main() {
    let folder = std::env::args().nth(1).expect("the folder to write to");
    for count in [1, 20, 2000] {
        write(&folder, &format!("{count}-episodes"), plots::training_figures(&episodes(count)));
    }
    write(&folder, "without-data", vec![plots::training_curves(&empty_episodes(5))]);
    let usual = Size::default();
    let large = Size { learned: 20, tenants: 60, seeds: 300, long_names: true, limit: Some(200) };
    let ten = Size { tenants: 10, long_names: true, limit: None, ..Size::default() };
    for (name, size) in [("usual", usual), ("large", large), ("ten-tenants", ten)] {
        write(&folder, name, evaluation_figures(&evaluation(&size)));
    }
    write(&folder, "learning", vec![learning()]);
}

fn learning() -> Figure {
    let point = |episodes: u32, top: f64| {
        let mean = top * (1.0 - (-f64::from(episodes) / 15.0).exp());
        LearningPoint { episodes, value: Some(Interval { mean, low: mean - 0.06, high: mean + 0.05 }) }
    };
    let curve = |top| [0, 5, 10, 20, 40, 80].into_iter().map(|e| point(e, top)).collect();
    let reference = |label: &str, colour, value| Reference { label: label.into(), colour, value };
    learning_curve(
        "Share of the gap to the informed rule closed, on `drifting`",
        "Gap closed, share",
        &[("afterstate".into(), curve(0.85)), ("cem".into(), curve(0.8))],
        vec![reference("bid-price", Colour::Grey, 0.0), reference("bid-price-informed", Colour::Green, 1.0)],
    )
}

fn write(folder: &str, name: &str, figures: Vec<Figure>) {
    let folder = Path::new(folder).join(name);
    fs::create_dir_all(&folder).unwrap();
    for figure in figures {
        fs::write(folder.join(format!("{}.svg", figure.name)), figure.svg().unwrap()).unwrap();
        fs::write(folder.join(format!("{}.png", figure.name)), figure.png().unwrap()).unwrap();
    }
}
