//! Metrics of a run (CSV), as `mesh visualize` reads them: what is accepted can be drawn.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let episodes = match plots::episodes("metrics.csv", data) {
        Ok(episodes) => episodes,
        Err(error) => {
            assert!(error.to_string().starts_with("metrics.csv"), "{error}");
            return;
        }
    };
    let mut reader = csv::ReaderBuilder::new().from_reader(data);
    assert_eq!(episodes.len(), reader.records().count());
    if episodes.len() <= 40 {
        for figure in plots::training_figures(&episodes, None) {
            let svg = figure.svg().expect("a figure can be drawn");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{} has a place that is none", figure.name);
        }
    }
});
