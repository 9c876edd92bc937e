//! What the charts hold, whatever they look like.

use api::evaluator::EvaluationResult;
use plots::{Block, Figure, swarm_consciousness, training_curves, training_figures};

use crate::support::{Size, empty_episodes, episodes, evaluation, figures, titles, under_many};

/// The texts of an SVG, without its markup.
fn texts(svg: &str) -> Vec<String> {
    let text = |part: &str| {
        part.split_once('>')
            .and_then(|(_, rest)| rest.split_once("</text>"))
            .map(|(t, _)| t.trim().to_owned())
    };
    svg.split("<text").skip(1).filter_map(text).collect()
}

fn figure(result: &EvaluationResult, name: &str) -> Figure {
    figures(result).into_iter().find(|figure| figure.name == name).unwrap()
}

fn assert_shows(figure: &Figure, expected: &[&str]) {
    let svg = figure.svg().unwrap();
    let texts = texts(&svg);
    for part in expected {
        assert!(texts.iter().any(|text| text == part), "{}: `{part}` is not in {texts:?}", figure.name);
    }
}

#[test]
fn training_curves_name_every_series_and_every_axis_with_its_unit() {
    assert_shows(
        &training_curves(&episodes(20), None),
        &[
            "episode",
            "Reward minus that of weighted-score in the same episode, per request",
            "swarm",
            "weighted-score: baseline",
            "Fill, share of what was asked for",
            "requests",
            "GPU-hours",
            "Cost, $",
            "per routed request",
            "per GPU-hour served",
            "Latency of a routed request, ms, waiting included",
            "latency",
            "Exploration ε, share of decisions",
            "ε",
        ],
    );
}

#[test]
fn an_exploration_rate_that_stands_still_has_no_panel() {
    let mut rows = episodes(20);
    rows.iter_mut().for_each(|row| row.epsilon = 0.1);
    let shown = texts(&training_curves(&rows, None).svg().unwrap());
    assert!(!shown.iter().any(|text| text.contains("Exploration")), "{shown:?}");
}

#[test]
fn the_reward_is_beside_the_baselines_of_the_same_episodes_and_below_the_limit_of_the_evaluation() {
    let rows = episodes(20);
    let result = evaluation(&Size::default());
    let figure = training_curves(&rows, Some(&result));
    assert_shows(&figure, &["physical limit: held-out mean", "weighted-score: baseline", "swarm"]);
    let Block::Curves(curves) = &figure.blocks[0] else { panic!("{:?}", figure.blocks) };
    let shown = &curves.panels[0];
    let expected = rows[7].avg_reward.unwrap() - rows[7].baseline_reward.unwrap();
    assert_eq!(shown.curves[0].points[7].y, Some(expected));
    let baseline = result.policies.iter().find(|p| p.name == "weighted-score").unwrap();
    let limit = result.limit.as_ref().unwrap().reward.unwrap().mean - baseline.metrics.reward.unwrap().mean;
    assert_eq!(shown.references.iter().map(|line| line.value).collect::<Vec<_>>(), [0.0, limit]);
    assert!(figure.caption.contains("of the 20 held-out episodes"), "{}", figure.caption);
    // of some of the steps it is as far from what the baseline achieved on these
    let of_some_steps =
        training_curves(&rows, Some(&evaluation(&Size { limit: Some(200), ..Size::default() })));
    let Block::Curves(curves) = &of_some_steps.blocks[0] else { panic!("{:?}", of_some_steps.blocks) };
    assert!((curves.panels[0].references[1].value - (limit - 0.1)).abs() < 1e-9);
    let unsolved = evaluation(&Size { limit: None, ..Size::default() });
    for unknown in [None, Some(&unsolved)] {
        assert!(!training_curves(&rows, unknown).svg().unwrap().contains("physical limit"));
    }
}

#[test]
fn rows_of_an_earlier_version_show_the_reward_alone_and_interventions_of_unknown_kind() {
    let mut rows = episodes(20);
    for row in &mut rows {
        (row.baseline_reward, row.nigredo, row.albedo) = (None, None, None);
    }
    let reward = training_curves(&rows, Some(&evaluation(&Size::default())));
    assert_shows(&reward, &["Reward, per request", "reward"]);
    assert!(!reward.svg().unwrap().contains("physical limit"));
    let count: u32 = rows.iter().map(|row| row.interventions).sum();
    assert_shows(&swarm_consciousness(&rows), &[&format!("of unknown kind: {count}")]);
}

#[test]
fn swarm_consciousness_shows_every_intervention_once_by_its_kind_and_a_line_at_the_threshold() {
    let mut rows = episodes(20);
    rows[3].nigredo = Some(3);
    let figure = swarm_consciousness(&rows);
    let sum = |of: fn(&api::trainer::EpisodeMetrics) -> Option<u32>| rows.iter().filter_map(of).sum::<u32>();
    let (nigredo, albedo) = (sum(|e| e.nigredo), sum(|e| e.albedo));
    assert!(nigredo > 3 && albedo > 0 && nigredo != albedo);
    assert_shows(
        &figure,
        &[
            "Ψ",
            "continuity C",
            "prediction error PE",
            "State, 0 to 1",
            "0.7: Ψ below, PE above",
            &format!("nigredo: {nigredo}"),
            &format!("albedo: {albedo}"),
        ],
    );
    let svg = figure.svg().unwrap();
    assert_eq!(svg.matches("<polygon").count() as u32, nigredo + albedo);
    assert_eq!(svg.matches("<polygon opacity=\"0.85\" fill=\"#D55E00\"").count() as u32, nigredo);
    let Block::Curves(curves) = &figure.blocks[0] else { panic!("{:?}", figure.blocks) };
    assert_eq!(curves.panels[0].references[0].value, 0.7);
}

#[test]
fn policies_are_compared_with_baseline_and_limit_in_words_and_lines() {
    let result = evaluation(&Size::default());
    let comparison = figure(&result, "policy_comparison");
    let names = titles(&result);
    assert_shows(&comparison, &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_shows(
        &comparison,
        &[
            "learned",
            "best hand rule",
            "told what is hidden",
            "baseline weighted-score",
            "physical limit",
            "Reward minus that of the best hand rule on the same seeds, per request: mean [95 % interval]",
            "Fill, share of requests",
            "Fill, share of GPU-hours",
            "Cost, $ per GPU-hour",
            "Latency, ms",
        ],
    );
}

#[test]
fn a_limit_of_some_steps_is_compared_with_what_was_achieved_on_these_steps_only() {
    let result = evaluation(&Size { limit: Some(200), ..Size::default() });
    let comparison = figure(&result, "policy_comparison");
    let limits: Vec<bool> = comparison
        .blocks
        .iter()
        .flat_map(|block| match block {
            Block::Rows(rows) => &rows.panels[..],
            other => panic!("{other:?}"),
        })
        .map(|panel| panel.references.iter().any(|r| r.label == "physical limit"))
        .collect();
    assert_eq!(limits, [true, false, false, false, false]);
    let Block::Rows(rows) = &comparison.blocks[0] else { panic!("{:?}", comparison.blocks) };
    let limit = rows.panels[0].references.iter().find(|line| line.label == "physical limit").unwrap().value;
    // the best hand rule achieves 41.535 on all steps, and 0.1 more on these
    assert!((limit - (41.633 - 41.635)).abs() < 1e-9, "{limit}");
    assert!(comparison.caption.contains("solved on 200 of 2400 steps"), "{}", comparison.caption);
    let without = figure(&evaluation(&Size { limit: None, ..Size::default() }), "policy_comparison");
    assert!(without.caption.contains("was not solved"), "{}", without.caption);
    assert!(!without.svg().unwrap().contains("physical limit<"));
}

#[test]
fn every_seed_of_every_policy_but_the_baseline_has_its_difference_as_a_dot() {
    let result = evaluation(&Size { seeds: 7, ..Size::default() });
    let by_seed = figure(&result, "reward_by_seed");
    let Block::Rows(rows) = &by_seed.blocks[0] else { panic!("{:?}", by_seed.blocks) };
    assert_eq!(rows.labels.len(), result.policies.len() - 1);
    let expected =
        result.policies[0].reward_by_seed[3].unwrap() - result.policies[1].reward_by_seed[3].unwrap();
    assert_eq!(rows.panels[0].rows[0].dots.len(), 7);
    assert!((rows.panels[0].rows[0].dots[3] - expected).abs() < 1e-12);
    assert_shows(
        &by_seed,
        &["Reward minus the baseline&apos;s on the same seed, per request: mean [95 % interval]"],
    );
}

#[test]
fn tenants_and_job_sizes_have_a_bar_of_each_compared_policy() {
    let result = evaluation(&Size::default());
    assert_shows(
        &figure(&result, "fill_by_tenant"),
        &[
            "tenant-0",
            "tenant-3",
            "learned afterstate (0a0a0a0a)",
            "baseline weighted-score",
            "best hand rule bid-price",
        ],
    );
    assert_shows(
        &figure(&result, "fill_by_job_size"),
        &["below 3 GPU-hours", "3 to below 6 GPU-hours", "6 GPU-hours or more", "0.700"],
    );
}

#[test]
fn of_very_many_tenants_those_who_fare_worst_are_shown_and_it_is_said() {
    let result = evaluation(&Size { tenants: 60, ..Size::default() });
    let tenants = figure(&result, "fill_by_tenant");
    let Block::Bars(bars) = &tenants.blocks[0] else { panic!("{:?}", tenants.blocks) };
    assert_eq!(bars.groups.len(), 40);
    let fill = |t: &api::evaluator::TenantEstimates| t.gpu_hours_fill.unwrap().mean;
    let all = &result.policies[0].fairness.by_tenant;
    let worst = all.iter().min_by(|a, b| fill(a).total_cmp(&fill(b))).unwrap();
    let best = all.iter().max_by(|a, b| fill(a).total_cmp(&fill(b))).unwrap();
    assert!(bars.groups.contains(&worst.tenant) && !bars.groups.contains(&best.tenant));
    assert!(tenants.caption.contains("Of 60 tenants"), "{}", tenants.caption);
}

#[test]
fn policies_of_longer_and_shorter_training_make_a_learning_curve_with_bands_and_lines_to_compare_with() {
    let mut result = evaluation(&Size { learned: 5, ..Size::default() });
    for (policy, episodes) in result.policies.iter_mut().zip([40, 0, 10, 20, 30]) {
        policy.trained_episodes = Some(episodes);
        if episodes == 20 {
            policy.versus_baseline.reward = None;
        }
    }
    let figure = figure(&result, "learning_curve");
    assert_shows(
        &figure,
        &[
            "episodes of training",
            "afterstate",
            "bid-price: best hand rule",
            "bid-price-informed",
            "physical limit",
        ],
    );
    let Block::Curves(curves) = &figure.blocks[0] else { panic!("curves") };
    let xs: Vec<f64> = curves.panels[0].curves[0].points.iter().map(|point| point.x).collect();
    assert_eq!(xs, [0.0, 10.0, 20.0, 30.0, 40.0]);
    // the gap parts the band too
    assert_eq!(figure.svg().unwrap().matches("<polygon").count(), 2);
}

#[test]
fn gain_over_time_shows_the_best_learned_policy_the_best_rule_and_the_informed_one_over_the_steps() {
    let figure = figure(&evaluation(&Size::default()), "gain_over_time");
    let shown = ["afterstate: learned", "bid-price: best hand rule", "bid-price-informed"];
    assert_shows(&figure, &shown);
    assert_shows(&figure, &["step of the episode", "weighted-score: baseline"]);
    let Block::Curves(curves) = &figure.blocks[0] else { panic!("curves") };
    let points = &curves.panels[0].curves[0].points;
    assert_eq!((points[0].x, points[23].x, points[11].y), (2.5, 117.5, None));
}

#[test]
fn fronts_show_what_a_cent_buys_of_each_trained_policy_beside_rules_and_limit() {
    let figures = figures(&under_many(2));
    assert_eq!(figures.iter().map(|figure| figure.name).collect::<Vec<_>>(), ["pareto"]);
    assert_shows(
        &figures[0],
        &[
            "What a cent buys on contended",
            "learned policy",
            "hand rules",
            "baseline weighted-score",
            "physical limit",
            "Cost, $ per GPU-hour served",
            "GPU-hours served, share of those requested",
            "Latency, ms",
        ],
    );
    let Block::Scatter(scatter) = &figures[0].blocks[0] else { panic!("{:?}", figures[0].blocks) };
    let shapes: Vec<(usize, bool)> =
        scatter.panels[0].series.iter().map(|series| (series.points.len(), series.is_front)).collect();
    assert_eq!(shapes, [(18, false), (9, false), (9, true), (9, true)]);
    // 2.05 − .08 + .005; .9 − .02 − .003; 330 + .4
    assert_eq!(
        scatter.panels[0].title,
        "Cheapest with adaptive (00): $1.975 a GPU-hour, 87.7 % of them served, 330 ms a request. 8.0 ¢ more: 89.7 %. \
         14.0 ¢ more: 300 ms."
    );
}

#[test]
fn without_a_trained_policy_a_cent_buys_what_the_hand_rules_serve_for_it() {
    let figures = figures(&under_many(0));
    let Block::Scatter(scatter) = &figures[0].blocks[0] else { panic!("{:?}", figures[0].blocks) };
    assert_eq!(scatter.panels.len(), 1);
    assert!(
        scatter.panels[0].title.starts_with("Cheapest with the hand rules: "),
        "{}",
        scatter.panels[0].title
    );
    assert_eq!(scatter.panels[0].series.len(), 3);
}

#[test]
fn policies_of_the_same_training_make_no_learning_curve() {
    let figures = figures(&evaluation(&Size { learned: 5, ..Size::default() }));
    assert!(figures.iter().all(|figure| figure.name != "learning_curve"));
}

#[test]
fn a_figure_without_data_is_a_gap_in_its_line_and_not_a_zero() {
    let mut rows = episodes(9);
    rows[4].avg_reward = None;
    let lines = |rows: &[_]| training_curves(rows, None).svg().unwrap().matches("<polyline").count();
    assert_eq!(lines(&rows), lines(&episodes(9)) + 1);
    let Block::Curves(curves) = &training_curves(&rows, None).blocks[0] else { panic!("curves") };
    assert_eq!(curves.panels[0].curves[0].points[4].y, None);
}

#[test]
fn columns_without_any_data_say_so_and_a_chart_without_any_is_left_out() {
    let empty = empty_episodes(5);
    let no_data =
        texts(&training_curves(&empty, None).svg().unwrap()).iter().filter(|t| *t == "no data").count();
    assert_eq!(no_data, 4, "reward, fill, cost and latency; ε stands still");
    assert!(training_figures(&empty, None).is_empty());
    assert!(texts(&swarm_consciousness(&empty).svg().unwrap()).contains(&"no data".to_owned()));
}

#[test]
fn a_narrow_chart_has_all_that_the_wide_one_has_one_panel_below_the_other_and_nothing_beside_its_paper() {
    let (result, rows) = (evaluation(&Size::default()), episodes(20));
    let mut all = figures(&result);
    all.extend(figures(&under_many(2)));
    all.extend([training_curves(&rows, Some(&result)), swarm_consciousness(&rows)]);
    assert!(all.len() >= 8);
    for figure in &all {
        let (wide, narrow) = (figure.svg().unwrap(), figure.narrow_svg().unwrap());
        assert!(
            narrow.contains("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"480\""),
            "{}",
            figure.name
        );
        // triangles and bands; dots of one seed each may stand upon each other
        let shapes = |svg: &str| svg.matches("<polygon").count();
        assert_eq!(shapes(&narrow), shapes(&wide), "{}", figure.name);
        let places = narrow.split("<text x=\"").skip(1).map(|text| text.split('"').next().unwrap());
        for x in places.map(|x| x.parse::<f64>().unwrap()) {
            assert!((0.0..=480.0 * 4.0).contains(&x), "{}: a text at {x}", figure.name);
        }
    }
}

#[test]
fn the_same_figures_give_the_same_bytes_and_a_png_of_twice_the_svgs_size() {
    let rows = episodes(20);
    let figures = || {
        [
            training_figures(&rows, Some(&evaluation(&Size::default()))),
            figures(&evaluation(&Size::default())),
            figures(&under_many(1)),
        ]
        .concat()
    };
    for (one, two) in figures().iter().zip(&figures()) {
        let (svg, png) = (one.svg().unwrap(), one.png().unwrap());
        assert_eq!(svg, two.svg().unwrap(), "{}", one.name);
        assert!(png == two.png().unwrap(), "{}", one.name);
        let mut image = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
        let mut pixels = vec![0; image.output_buffer_size().unwrap()];
        let info = image.next_frame(&mut pixels).unwrap();
        let height: u32 = svg.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        assert_eq!((info.width, info.height), (1800, 2 * height), "{}", one.name);
        let colours: std::collections::BTreeSet<&[u8]> = pixels.chunks_exact(3).collect();
        assert!(colours.contains(&[0xFF, 0xFF, 0xFF][..]) && colours.len() > 20, "{}", one.name);
    }
}

#[test]
fn names_cannot_break_the_document_and_no_chart_asks_for_anything_from_outside() {
    let mut result = evaluation(&Size::default());
    result.environment = "a\"><script>alert(1)</script>".into();
    for policy in &mut result.policies {
        policy.fairness.by_tenant[0].tenant = "<script>&\u{0}\n\"".into();
    }
    for figure in figures(&result) {
        let svg = figure.svg().unwrap();
        assert!(!svg.contains("<script") && !svg.contains('\0'), "{svg}");
        assert!(!svg.contains("href") && !svg.contains("url("), "{svg}");
        assert_eq!(svg.matches("http").count(), 1, "the namespace alone");
    }
}

#[test]
fn figures_that_cannot_be_drawn_to_scale_are_left_out_and_break_nothing() {
    let mut rows = episodes(3);
    for (row, extreme) in rows.iter_mut().zip([f64::MAX, f64::MIN, f64::INFINITY]) {
        row.avg_reward = Some(extreme);
        row.fill_rate = Some(1e-310);
    }
    let svg = training_curves(&rows, None).svg().unwrap();
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    training_curves(&rows, None).png().unwrap();
}

#[test]
fn thousands_of_episodes_are_drawn_as_means_with_bands_and_it_is_said() {
    let figure = training_curves(&episodes(2000), None);
    assert!(figure.caption.contains("mean of 7 episodes"), "{}", figure.caption);
    let svg = figure.svg().unwrap();
    assert!(svg.len() < 200_000, "{} bytes", svg.len());
    assert_eq!(svg.matches("<polygon").count(), 7);
}
