//! The one line an operator reads when a value is wrong.

use std::fmt;

/// Where a value came from, so that the message names what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line, or the default of a flag.
    Flag,
    /// A `RINGBUS_*` environment variable.
    Environment,
}

/// A value that cannot be used: which, why, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    flag: &'static str,
    origin: Origin,
    value: String,
    problem: Problem,
}

/// Why a value cannot be used, and what to write instead. What the parsers of
/// single values return: they do not know which flag they serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) why: String,
    pub(crate) fix: String,
}

impl Problem {
    pub(crate) fn new(why: impl Into<String>, fix: impl Into<String>) -> Problem {
        Problem {
            why: why.into(),
            fix: fix.into(),
        }
    }
}

impl ConfigError {
    pub(crate) fn new(flag: &'static str, origin: Origin, value: &str, problem: Problem) -> Self {
        ConfigError {
            flag,
            origin,
            value: value.to_owned(),
            problem,
        }
    }

    /// The flag's long name without dashes.
    pub fn flag(&self) -> &'static str {
        self.flag
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::Flag => write!(f, "--{} {}", self.flag, quoted(&self.value))?,
            Origin::Environment => {
                write!(f, "{}={}", variable(self.flag), quoted(&self.value))?;
            }
        }
        write!(f, ": {} ({})", self.problem.why, self.problem.fix)
    }
}

impl std::error::Error for ConfigError {}

/// The environment variable that stands for a flag.
pub(crate) fn variable(flag: &str) -> String {
    format!("RINGBUS_{}", flag.replace('-', "_").to_uppercase())
}

/// The value as typed; quoted where a shell would need it, so that an empty
/// value or a stray space is visible and control characters stay harmless.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '\'';
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("{value:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_flag_value_reason_and_remedy() {
        let problem = Problem::new("must be 1 or more", "try --shards 2");
        let error = ConfigError::new("shards", Origin::Flag, "0", problem);
        assert_eq!(
            error.to_string(),
            "--shards 0: must be 1 or more (try --shards 2)"
        );
    }

    #[test]
    fn a_value_from_the_environment_is_named_by_its_variable() {
        let problem = Problem::new("is not a size", "write 1MiB");
        let error = ConfigError::new("max-packet-size", Origin::Environment, "", problem);
        assert_eq!(
            error.to_string(),
            "RINGBUS_MAX_PACKET_SIZE=\"\": is not a size (write 1MiB)"
        );
    }

    #[test]
    fn a_value_with_control_characters_stays_on_one_line() {
        let error = ConfigError::new("io", Origin::Flag, "a\nb", Problem::new("w", "f"));
        assert_eq!(error.to_string().lines().count(), 1);
    }
}
