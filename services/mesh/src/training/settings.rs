//! Flags for what an algorithm can be told, made from the list of learners: a new setting has its flag at once.

use std::{fmt::Write as _, sync::LazyLock};

use api::trainer::NewRun;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, builder::PossibleValuesParser};
use policy::{
    Range, Setting,
    registry::{LEARNERS, Learner},
};
use serde_json::{Map, Value, json};

/// Which settings a flag of its own name would be clumsy for, and the flag that they have instead.
const REPLAY: (&str, [&str; 2]) = ("replay", ["replay.enabled", "replay.kind"]);
const NO_MASK: (&str, &str) = ("no-mask", "feasibility_mask");

/// What `--replay` takes beside the ways of drawing.
const NO_REPLAY: &str = "none";

/// What the flags tell the algorithm.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingArgs {
    /// Settings (one of a group as `replay.capacity`), in the order of the list.
    told: Vec<(String, Value)>,
}

/// A setting that some learners have.
struct Known {
    path: String,
    flag: String,
    setting: &'static Setting,
    /// The learners that have it, and what it is by default.
    of: Vec<(&'static str, Value)>,
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let mut known = Vec::new();
    for learner in &LEARNERS {
        list(learner.name, "", learner.settings, &learner.defaults(), &mut known);
    }
    known
});

fn list(
    learner: &'static str,
    group: &str,
    settings: &'static [Setting],
    defaults: &Map<String, Value>,
    known: &mut Vec<Known>,
) {
    for setting in settings {
        let path = format!("{group}{}", setting.name);
        let default = defaults.get(setting.name).cloned().unwrap_or_default();
        match (setting.range, default) {
            (Range::Group(members), Value::Object(defaults)) => {
                list(learner, &format!("{path}."), members, &defaults, known);
            }
            (_, default) => match known.iter_mut().find(|known| known.path == path) {
                Some(known) => known.of.push((learner, default)),
                None => {
                    let flag = path.replace(['.', '_'], "-");
                    known.push(Known { path, flag, setting, of: vec![(learner, default)] });
                }
            },
        }
    }
}

impl SettingArgs {
    /// As they stand on the wire beside the algorithm's name.
    pub(crate) fn on_the_wire(&self) -> Value {
        let mut all = json!({});
        for (path, value) in &self.told {
            match path.split_once('.') {
                Some((group, name)) => all[group][name] = value.clone(),
                None => all[path.as_str()] = value.clone(),
            }
        }
        all
    }

    /// The first flag that says something else than the run has, what it says, and what the run has.
    pub(crate) fn contradiction(&self, run: &NewRun) -> Option<(String, String, String)> {
        let algorithm = run.algorithm.as_ref();
        // what is as by default need not be written
        let mut settings = algorithm
            .and_then(|algorithm| Learner::find(&algorithm.name))
            .map_or_else(Map::new, Learner::defaults);
        settings.extend(algorithm.map(|algorithm| algorithm.settings.clone()).unwrap_or_default());
        let settings = Value::Object(settings);
        let of_run = |path: &str| settings.pointer(&format!("/{}", path.replace('.', "/")));
        let other = self.told.iter().find(|(path, told)| of_run(path) != Some(told))?;
        let (path, told) = (&other.0, &other.1);
        if REPLAY.1.contains(&path.as_str()) {
            let given = shown_replay(|path| self.told.iter().find(|(told, _)| told == path).map(|(_, v)| v));
            return Some((flag(path), given, shown_replay(of_run)));
        }
        let nothing = || "an algorithm that has no such setting".to_owned();
        Some((flag(path), told.to_string(), of_run(path).map_or_else(nothing, Value::to_string)))
    }
}

/// The flag that tells a setting.
pub(crate) fn flag(path: &str) -> String {
    match path {
        path if path == REPLAY.0 || REPLAY.1.contains(&path) => format!("--{}", REPLAY.0),
        path if path == NO_MASK.1 => format!("--{}", NO_MASK.0),
        path => format!("--{}", path.replace(['.', '_'], "-")),
    }
}

/// The learners, each with the flags that it heeds and what holds without them.
pub(crate) fn by_algorithm() -> String {
    let mut text = "The settings of each algorithm, and what they are by default:\n".to_owned();
    for learner in &LEARNERS {
        let own = KNOWN.iter().filter_map(|known| {
            let (_, default) = known.of.iter().find(|(name, _)| *name == learner.name)?;
            match known.path.as_str() {
                path if path == REPLAY.1[0] => None, // told with how they are drawn
                path if path == NO_MASK.1 => Some(format!("--{}", NO_MASK.0)),
                path => Some(format!("{} {}", flag(path), plain(default))),
            }
        });
        let own: Vec<String> = own.collect();
        let _ = writeln!(text, "  {:<12}{}", learner.name, own.join(", ")); // a text takes everything
    }
    text + "  hand rules  none"
}

impl Args for SettingArgs {
    fn augment_args(command: Command) -> Command {
        KNOWN.iter().fold(command, |command, known| match argument(known) {
            Some(argument) => command.arg(argument.help_heading("The algorithm's settings")),
            None => command,
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut told = Vec::new();
        for known in KNOWN.iter() {
            match known.path.as_str() {
                path if path == REPLAY.1[0] => {
                    let kind = matches.get_one::<String>(REPLAY.0);
                    told.extend(kind.map(|kind| (known.path.clone(), json!(kind != NO_REPLAY))));
                }
                path if path == REPLAY.1[1] => {
                    let kind = matches.get_one::<String>(REPLAY.0).filter(|kind| *kind != NO_REPLAY);
                    told.extend(kind.map(|kind| (known.path.clone(), json!(kind))));
                }
                path if path == NO_MASK.1 => {
                    told.extend(matches.get_flag(NO_MASK.0).then(|| (known.path.clone(), json!(false))));
                }
                path => {
                    let value = matches.get_one::<Value>(&known.flag);
                    told.extend(value.map(|value| (path.to_owned(), value.clone())));
                }
            }
        }
        Ok(Self { told })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag of a setting; `None` where another one tells it too.
fn argument(known: &'static Known) -> Option<Arg> {
    let doc = known.setting.doc.trim_end_matches('.');
    let of: Vec<String> =
        known.of.iter().map(|(name, default)| format!("{name} {}", plain(default))).collect();
    let of = of.join(", ");
    if known.path == REPLAY.1[0] {
        return None;
    }
    if known.path == REPLAY.1[1] {
        let Range::Word(kinds) = known.setting.range else { return None };
        let kinds = kinds.iter().copied().chain([NO_REPLAY]);
        let help = format!("Experience replay, and how past turns are drawn [{of}]");
        let parser = PossibleValuesParser::new(kinds);
        return Some(Arg::new(REPLAY.0).long(REPLAY.0).value_name("KIND").value_parser(parser).help(help));
    }
    if known.path == NO_MASK.1 {
        let learners: Vec<&str> = known.of.iter().map(|(name, _)| *name).collect();
        let help = format!(
            "Let agents choose infeasible providers, which drops the request [of {}]",
            learners.join(", ")
        );
        return Some(Arg::new(NO_MASK.0).long(NO_MASK.0).action(ArgAction::SetTrue).help(help));
    }
    let range = known.setting.range;
    let parse = move |text: &str| read(range, text);
    let argument = Arg::new(known.flag.as_str()).long(known.flag.as_str()).value_name("VALUE");
    Some(argument.value_parser(parse).help(format!("{doc}; {} [{of}]", range.in_words())))
}

/// A value of the right kind. Whether it is in its range is told with all other mistakes.
fn read(range: Range, text: &str) -> Result<Value, String> {
    let value = match range {
        Range::Word(_) => Some(Value::from(text)),
        _ => json_input::from_str::<Value>(text).ok().filter(|value| value.is_number() || value.is_boolean()),
    };
    value.ok_or_else(|| format!("expected {}", range.in_words()))
}

/// What `--replay` would say.
fn shown_replay<'a>(value: impl Fn(&str) -> Option<&'a Value>) -> String {
    match value(REPLAY.1[0]).and_then(Value::as_bool) {
        Some(true) => value(REPLAY.1[1]).map_or_else(String::new, plain),
        Some(false) => NO_REPLAY.into(),
        None => "an algorithm that replays nothing".into(),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
