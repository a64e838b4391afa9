//! Topic names and topic filters `[MQTT5-4.7]`.
//!
//! A [`TopicName`] or [`TopicFilter`] exists only if it is valid, so nothing that holds one has to
//! check again.

use std::error::Error;
use std::fmt;

/// The longest topic name or filter, in bytes of UTF-8 `[MQTT5-4.7.3-3]`.
pub const TOPIC_LENGTH_MAX: usize = 65_535;

pub(crate) const SHARE_PREFIX: &str = "$share/";

/// Why a string is not a topic name, topic filter or shared subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicError {
    /// No character at all `[MQTT5-4.7.3-1]`.
    Empty,
    /// Longer than [`TOPIC_LENGTH_MAX`] bytes `[MQTT5-4.7.3-3]`.
    TooLong,
    /// Contains U+0000 `[MQTT5-4.7.3-2]`.
    NulCharacter,
    /// A topic name contains `+` or `#` `[MQTT5-3.3.2-2]`.
    WildcardInName,
    /// `#` is not alone in the last level `[MQTT5-4.7.1-1]`, or `+` is not alone in its level
    /// `[MQTT5-4.7.1-2]`.
    MisplacedWildcard,
    /// The name of a share is empty `[MQTT5-4.8.2-1]` or contains `/`, `+` or `#`, or nothing
    /// follows it `[MQTT5-4.8.2-2]`.
    BadShareName,
}

impl TopicError {
    /// What is wrong, in a few words.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Empty => "a topic has at least one character",
            Self::TooLong => "a topic has at most 65,535 bytes",
            Self::NulCharacter => "a topic cannot contain U+0000",
            Self::WildcardInName => "a topic name cannot contain + or #",
            Self::MisplacedWildcard => "+ fills a level of a topic filter, # fills the last level",
            Self::BadShareName => {
                "a shared subscription is $share/NAME/FILTER, NAME without + or #"
            }
        }
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.in_words())
    }
}

impl Error for TopicError {}

/// What a message is published to: no wildcards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Checks that `text` can be published to.
    ///
    /// # Errors
    /// [`TopicError`] names the rule that `text` breaks.
    #[inline]
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        check_length(text)?;
        // One pass for the common case; which rule is broken matters only when one is.
        if text
            .bytes()
            .fold(false, |bad, byte| bad | matches!(byte, 0 | b'+' | b'#'))
        {
            return Err(name_error(text));
        }
        Ok(Self(text))
    }

    /// The name as text.
    #[inline]
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// The levels between the separators; an empty level is a level `[MQTT5-4.7.1]`.
    pub fn levels(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.split('/')
    }
}

/// Whether all bytes are ASCII other than U+0000, `+` and `#`: what nearly every topic name is
/// made of, found out at 16 bytes a step.
#[inline]
pub(crate) fn is_plain(bytes: &[u8]) -> bool {
    // The last block overlaps the one before it, so that no bytes are left over.
    if let Some(last) = bytes.last_chunk::<16>() {
        bytes.as_chunks::<16>().0.iter().all(is_plain_block) && is_plain_block(last)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk()) {
        is_plain_block(first) & is_plain_block::<8>(last)
    } else {
        bytes.iter().all(|&byte| is_plain_block(&[byte]))
    }
}

/// Without a branch, for the compiler to use vectors.
#[inline]
fn is_plain_block<const N: usize>(block: &[u8; N]) -> bool {
    block.iter().fold(true, |plain, &byte| {
        plain & byte.is_ascii() & (byte != 0) & (byte != b'+') & (byte != b'#')
    })
}

#[cold]
fn name_error(text: &str) -> TopicError {
    if text.contains('\0') {
        TopicError::NulCharacter
    } else {
        TopicError::WildcardInName
    }
}

fn check_length(text: &str) -> Result<(), TopicError> {
    match text.len() {
        0 => Err(TopicError::Empty),
        1..=TOPIC_LENGTH_MAX => Ok(()),
        _ => Err(TopicError::TooLong),
    }
}

/// What a client subscribes to: a topic name that may have wildcards. `$share/…` is plain text
/// here; see [`SharedFilter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter<'a>(&'a str);

impl<'a> TopicFilter<'a> {
    /// Checks that `text` is a topic filter.
    ///
    /// # Errors
    /// [`TopicError`] names the rule that `text` breaks.
    pub fn parse(text: &'a str) -> Result<Self, TopicError> {
        check_length(text)?;
        let bytes = text.as_bytes();
        for (index, &byte) in bytes.iter().enumerate() {
            match byte {
                0 => return Err(TopicError::NulCharacter),
                b'+' | b'#' => {
                    let starts_level = index == 0 || bytes[index - 1] == b'/';
                    let ends_level = match bytes.get(index + 1) {
                        None => true,
                        Some(&next) => next == b'/' && byte == b'+',
                    };
                    if !(starts_level && ends_level) {
                        return Err(TopicError::MisplacedWildcard);
                    }
                }
                _ => {}
            }
        }
        Ok(Self(text))
    }

    /// The filter as text.
    #[inline]
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// The levels between the separators, wildcards as `+` and `#`.
    pub fn levels(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.split('/')
    }

    /// Whether the filter has no wildcard and so matches one topic name only.
    pub fn is_exact(&self) -> bool {
        !self.0.bytes().any(|byte| matches!(byte, b'+' | b'#'))
    }

    /// Whether a message published to `name` is for this filter. A wildcard in the first level
    /// does not reach names that start with `$` `[MQTT5-4.7.2-1]`.
    pub fn matches(&self, name: &TopicName<'_>) -> bool {
        if name.0.starts_with('$') && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut names = name.levels();
        for level in self.levels() {
            if level == "#" {
                // Also when the name ended: `a/#` matches its parent `a`.
                return true;
            }
            match names.next() {
                Some(name_level) if level == "+" || level == name_level => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }
}

impl<'a> From<TopicName<'a>> for TopicFilter<'a> {
    /// Every topic name is an exact filter.
    fn from(name: TopicName<'a>) -> Self {
        Self(name.0)
    }
}

/// A shared subscription: `$share/` share name `/` topic filter `[MQTT5-4.8.2]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SharedFilter<'a> {
    /// Names the group that shares the messages.
    pub share_name: &'a str,
    /// What the group subscribes to.
    pub filter: TopicFilter<'a>,
}

impl<'a> SharedFilter<'a> {
    /// Splits a shared subscription; `None` if `text` does not start with `$share/`.
    ///
    /// # Errors
    /// [`TopicError::BadShareName`] for a bad share name, or what is wrong with the filter.
    pub fn parse(text: &'a str) -> Result<Option<Self>, TopicError> {
        let Some(rest) = text.strip_prefix(SHARE_PREFIX) else {
            return Ok(None);
        };
        if text.len() > TOPIC_LENGTH_MAX {
            return Err(TopicError::TooLong);
        }
        let (share_name, filter) = rest.split_once('/').ok_or(TopicError::BadShareName)?;
        if share_name.is_empty() || share_name.contains(['+', '#', '\0']) {
            return Err(TopicError::BadShareName);
        }
        let filter = TopicFilter::parse(filter)?;
        Ok(Some(Self { share_name, filter }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(filter: &str, name: &str) -> bool {
        let name = TopicName::parse(name).expect("test name");
        TopicFilter::parse(filter)
            .expect("test filter")
            .matches(&name)
    }

    /// `[MQTT5-4.7.0-1]` `[MQTT5-4.7.3-1]` `[MQTT5-4.7.3-2]` `[MQTT5-4.7.3-3]` `[MQTT311-4.7.1-1]`
    /// `[MQTT311-4.7.3-1]` `[MQTT311-4.7.3-2]` `[MQTT311-4.7.3-3]`
    #[test]
    fn names_keep_the_rules_of_4_7() {
        for good in ["a", "/", "//", "a//b", "$SYS/x", " ", "é/x", "$share/g/a"] {
            assert_eq!(TopicName::parse(good).map(|name| name.as_str()), Ok(good));
        }
        assert_eq!(TopicName::parse(""), Err(TopicError::Empty));
        assert_eq!(TopicName::parse("a\0b"), Err(TopicError::NulCharacter));
        assert_eq!(TopicName::parse("a/+"), Err(TopicError::WildcardInName));
        assert_eq!(TopicName::parse("a#"), Err(TopicError::WildcardInName));
        assert!(TopicName::parse(&"x".repeat(65_535)).is_ok());
        assert_eq!(
            TopicName::parse(&"x".repeat(65_536)),
            Err(TopicError::TooLong)
        );
    }

    #[test]
    fn plain_names_are_told_at_every_length_and_place() {
        for length in 0..70 {
            let mut bytes = vec![b'/'; length];
            assert!(is_plain(&bytes));
            for index in 0..length {
                for special in [0, b'+', b'#', 0x80, 0xFF] {
                    bytes[index] = special;
                    assert!(!is_plain(&bytes), "{special} at {index} of {length}");
                }
                bytes[index] = 0x7F;
                assert!(is_plain(&bytes));
            }
        }
    }

    /// `[MQTT5-4.7.1-1]` `[MQTT5-4.7.1-2]` `[MQTT5-4.7.3-1]` `[MQTT5-4.7.3-2]` `[MQTT311-4.7.1-2]`
    /// `[MQTT311-4.7.1-3]` `[MQTT311-4.7.3-1]` `[MQTT311-4.7.3-2]`
    #[test]
    fn mqtt5_4_7_1_wildcards_fill_a_level() {
        for good in ["#", "+", "/#", "+/+", "a/+/b", "a/#", "+/a/#", "//", "é/+"] {
            assert!(TopicFilter::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "a#", "#/a", "a/#/b", "a+", "+a", "a/b+/c", "##", "++", "a/#b", "/+#",
        ] {
            assert_eq!(
                TopicFilter::parse(bad),
                Err(TopicError::MisplacedWildcard),
                "{bad}"
            );
        }
        assert_eq!(TopicFilter::parse(""), Err(TopicError::Empty));
        assert_eq!(TopicFilter::parse("a\0"), Err(TopicError::NulCharacter));
        assert!(TopicFilter::parse("a/b").is_ok_and(|filter| filter.is_exact()));
        assert!(TopicFilter::parse("a/+").is_ok_and(|filter| !filter.is_exact()));
    }

    /// `[MQTT5-4.7.2-1]` `[MQTT5-4.7.3-4]` `[MQTT311-4.7.2-1]` `[MQTT311-4.7.3-4]`
    #[test]
    fn filters_match_as_the_examples_of_4_7_say() {
        for (filter, name, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/score/wimbledon",
                true,
            ),
            ("sport/#", "sport", true),
            ("sport/#", "sports", false),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("a/#", "a/$x", true),
            ("é/#", "é/x", true),
            ("ACCOUNTS", "Accounts", false),
            ("a/b", "a/b", true),
            ("a/b", "a/b/", false),
        ] {
            assert_eq!(matches(filter, name), expected, "{filter} on {name}");
        }
    }

    /// `[MQTT5-4.8.2-1]` `[MQTT5-4.8.2-2]`
    #[test]
    fn mqtt5_4_8_2_shared_filters_split() {
        let shared = SharedFilter::parse("$share/group/a/+")
            .expect("valid")
            .expect("shared");
        assert_eq!(
            (shared.share_name, shared.filter.as_str()),
            ("group", "a/+")
        );
        let slash = SharedFilter::parse("$share/g//")
            .expect("valid")
            .expect("shared");
        assert_eq!(slash.filter.as_str(), "/");
        assert_eq!(SharedFilter::parse("a/b"), Ok(None));
        assert_eq!(SharedFilter::parse("$share"), Ok(None));
        for bad in [
            "$share/",
            "$share/g",
            "$share//a",
            "$share/g+/a",
            "$share/#/a",
        ] {
            assert_eq!(
                SharedFilter::parse(bad),
                Err(TopicError::BadShareName),
                "{bad}"
            );
        }
        assert_eq!(SharedFilter::parse("$share/g/"), Err(TopicError::Empty));
        assert_eq!(
            SharedFilter::parse("$share/g/a#"),
            Err(TopicError::MisplacedWildcard)
        );
    }
}
