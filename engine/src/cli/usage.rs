//! Mistakes on the command line, each as one line.

use super::{complain, exit};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error;
use std::process::ExitCode;

/// Prints help or version where that was asked for, or the mistake.
pub(super) fn report(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe (`ringbus --help | head -1`) is no failure.
            let _ = error.print();
            ExitCode::from(exit::OK)
        }
        // `ringbus bench` alone: the help says what may follow.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(exit::USAGE)
        }
        _ => {
            complain(describe(error));
            ExitCode::from(exit::USAGE)
        }
    }
}

fn describe(error: &clap::Error) -> String {
    let argument = text(error, ContextKind::InvalidArg).map(flag_name);
    match (error.kind(), argument) {
        (ErrorKind::UnknownArgument, Some(argument)) => {
            let what = if argument.starts_with('-') {
                "flag"
            } else {
                "argument"
            };
            unknown(
                error,
                what,
                &argument,
                text(error, ContextKind::SuggestedArg),
            )
        }
        (ErrorKind::InvalidSubcommand, _) => {
            let name = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            unknown(
                error,
                "command",
                &name,
                text(error, ContextKind::SuggestedSubcommand),
            )
        }
        (ErrorKind::InvalidValue | ErrorKind::ValueValidation, Some(argument)) => {
            bad_value(error, &argument)
        }
        (ErrorKind::ArgumentConflict, _) => {
            format!(
                "{} (flags go after the command: ringbus COMMAND --flag)",
                first_line(error)
            )
        }
        _ => first_line(error),
    }
}

fn unknown(error: &clap::Error, what: &str, name: &str, suggestion: Option<String>) -> String {
    match suggestion {
        Some(near) => format!("unknown {what} {name} (did you mean {near}?)"),
        None => format!("unknown {what} {name} ({} --help lists them)", asked(error)),
    }
}

/// The command whose flags were parsed: `ringbus`, `ringbus bench p2p`.
fn asked(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let usage = rendered
        .lines()
        .find_map(|line| line.strip_prefix("Usage: "));
    let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
    let words = usage.unwrap_or_default().split(' ').take_while(is_name);
    let command = words.collect::<Vec<_>>().join(" ");
    if command.is_empty() {
        "ringbus".to_owned()
    } else {
        command
    }
}

fn bad_value(error: &clap::Error, argument: &str) -> String {
    let value = text(error, ContextKind::InvalidValue).unwrap_or_default();
    if value.is_empty() {
        let command = asked(error);
        return format!("{argument} needs a value ({command} --help shows an example)");
    }
    match (error.source(), text(error, ContextKind::ValidValue)) {
        (_, Some(choices)) => format!("{argument} {value}: is not a choice (choose {choices})"),
        (Some(why), None) => format!("{argument} {value}: {why}"),
        (None, None) => first_line(error),
    }
}

/// What clap says in its first line, without its prefix.
fn first_line(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let line = rendered.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// `--shards <N>` → `--shards`.
fn flag_name(usage: String) -> String {
    match usage.find([' ', '=']) {
        Some(end) if usage.starts_with('-') => usage[..end].to_owned(),
        _ => usage,
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) if !texts.is_empty() => Some(texts.join(", ")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::command;
    use super::*;

    fn said(arguments: &[&str]) -> String {
        let line = std::iter::once("ringbus").chain(arguments.iter().copied());
        describe(&command().try_get_matches_from(line).expect_err("a mistake"))
    }

    #[test]
    fn a_near_miss_suggests_the_flag() {
        assert_eq!(
            said(&["--shrads", "2"]),
            "unknown flag --shrads (did you mean --shards?)"
        );
        assert_eq!(
            said(&["serve", "--max-packet", "2"]),
            "unknown flag --max-packet (did you mean --max-packet-size?)"
        );
    }

    #[test]
    fn a_near_miss_suggests_the_command() {
        assert_eq!(
            said(&["serv"]),
            "unknown command serv (did you mean serve?)"
        );
    }

    #[test]
    fn a_far_miss_points_to_the_help() {
        assert_eq!(
            said(&["--zzz"]),
            "unknown flag --zzz (ringbus --help lists them)"
        );
        assert_eq!(
            said(&["zzz"]),
            "unknown command zzz (ringbus --help lists them)"
        );
    }

    #[test]
    fn a_flag_without_its_value_says_so() {
        assert_eq!(
            said(&["--io"]),
            "--io needs a value (ringbus --help shows an example)"
        );
    }

    #[test]
    fn a_flag_before_the_command_is_told_where_to_go() {
        assert!(said(&["--shards", "1", "serve"]).contains("flags go after the command"));
    }

    #[test]
    fn every_mistake_is_one_line() {
        for arguments in [
            &["--shards", "1", "serve"][..],
            &["--check-config=yes"],
            &["serve", "extra"],
        ] {
            let line = said(arguments);
            assert!(
                !line.is_empty() && line.lines().count() == 1,
                "{arguments:?}: {line}"
            );
        }
    }
}
