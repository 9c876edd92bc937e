//! Whole numbers on the command line are taken however they are spelled: `2.0` and `2e0` wherever 2 is, as in JSON.

use std::ffi::OsString;

use clap::{Arg, Command, builder::ValueParser, value_parser};

/// The arguments with whole numbers spelled as clap reads them. What is no whole number stays, to be told by clap.
pub(crate) fn spelled(
    mut command: Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> impl Iterator<Item = OsString> {
    command.build(); // with what its subcommands inherit
    let mut walk = Walk { command, option: None };
    arguments.into_iter().map(move |argument| match argument.to_str().and_then(|text| walk.step(text)) {
        Some(spelled) => spelled.into(),
        None => argument,
    })
}

struct Walk {
    /// The subcommand that the arguments have come to.
    command: Command,
    /// The option whose value comes next.
    option: Option<Arg>,
}

impl Walk {
    /// Takes the next argument; how it is spelled, if that is otherwise.
    fn step(&mut self, text: &str) -> Option<String> {
        let option = self.option.take();
        if let Some(name) = text.strip_prefix("--") {
            let (name, value) =
                name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
            let option = self.command.get_arguments().find(|arg| arg.get_long() == Some(name))?;
            match value {
                Some(value) => return Some(format!("--{name}={}", whole(option, value)?)),
                None if option.get_action().takes_values() => self.option = Some(option.clone()),
                None => {}
            }
            return None;
        }
        if let Some(option) = option {
            return whole(&option, text);
        }
        if let Some(subcommand) = self.command.find_subcommand(text) {
            self.command = subcommand.clone();
        }
        None
    }
}

/// The values of an option that takes whole numbers, without fractions and exponents that say nothing.
fn whole(option: &Arg, text: &str) -> Option<String> {
    let numbers: [ValueParser; 3] =
        [value_parser!(u16).into(), value_parser!(u32).into(), value_parser!(u64).into()];
    let kind = option.get_value_parser().type_id();
    if !numbers.iter().any(|number| number.type_id() == kind) {
        return None;
    }
    let spelled = |text: &str| match text.parse::<u64>() {
        Ok(_) => Some(text.to_owned()),
        Err(_) => json_input::whole(text.parse().ok()?).map(|number| number.to_string()),
    };
    let delimiter = option.get_value_delimiter().unwrap_or(',');
    let parts: Option<Vec<_>> = text.split(delimiter).map(spelled).collect();
    parts.map(|parts| parts.join(&delimiter.to_string()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::Cli;

    fn of(line: &str) -> String {
        let words = spelled(Cli::command(), line.split(' ').map(OsString::from));
        words.map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_whole_number_may_be_spelled_as_a_float_wherever_one_is_taken() {
        for (line, expected) in [
            ("mesh train --agents 2.0 --seed=7e0", "mesh train --agents 2 --seed=7"),
            ("mesh up --port-base 9e3 --data-dir 1.0", "mesh up --port-base 9000 --data-dir 1.0"),
            ("mesh runs rewind r --episodes-done 3.0", "mesh runs rewind r --episodes-done 3"),
            ("mesh interventions s --agents 1.0,2", "mesh interventions s --agents 1,2"),
            // What is no whole number, or no number at all, is not touched.
            ("mesh train --agents 2.5 --seed x", "mesh train --agents 2.5 --seed x"),
            ("mesh train --json --agents 1e300", "mesh train --json --agents 1e300"),
            ("mesh record note --subject 2.0 2.0", "mesh record note --subject 2.0 2.0"),
            ("mesh train --seed 18446744073709551615", "mesh train --seed 18446744073709551615"),
        ] {
            assert_eq!(of(line), expected);
        }
    }
}
