//! Topic ids that clients and gateway know beforehand `[MQTTSN-6.7]`.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;

use crate::topic::TopicName;

/// Predefined topic ids and the topic names they stand for, one to one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PredefinedTopics {
    names: HashMap<u16, Box<str>>,
    ids: HashMap<Box<str>, u16>,
}

/// What is wrong with a list of predefined topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicsError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it, in a few words.
    pub words: &'static str,
}

impl fmt::Display for TopicsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.words)
    }
}

impl Error for TopicsError {}

impl PredefinedTopics {
    /// Reads a list: lines of an id from 1 to 65,534, space and a topic name. The name ends with
    /// the line and may contain spaces. Empty lines and lines that begin with `#` are left out.
    ///
    /// # Errors
    /// The first line that is none of these, or repeats an id or a name.
    pub fn parse(text: &str) -> Result<Self, TopicsError> {
        let mut topics = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            topics.add(line).map_err(|words| TopicsError {
                line: index + 1,
                words,
            })?;
        }
        Ok(topics)
    }

    /// The topic name of `id`.
    #[inline]
    pub fn name(&self, id: u16) -> Option<&str> {
        self.names.get(&id).map(AsRef::as_ref)
    }

    /// The id of the topic `name`.
    #[inline]
    pub fn id(&self, name: &str) -> Option<u16> {
        self.ids.get(name).copied()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn add(&mut self, line: &str) -> Result<(), &'static str> {
        let (id, name) = line
            .split_once([' ', '\t'])
            .ok_or("an id and a topic name are expected")?;
        let id = match id.parse() {
            Ok(id @ 1..=0xFFFE) => id,
            _ => return Err("the id is not a number from 1 to 65534"),
        };
        let name = name.trim_start();
        TopicName::parse(name).map_err(|error| error.in_words())?;
        if self.names.insert(id, name.into()).is_some() {
            return Err("the id is there already");
        }
        if self.ids.insert(name.into(), id).is_some() {
            return Err("the topic name is there already");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_both_ways() {
        let topics = PredefinedTopics::parse("# ours\n\n 1 a/b\r\n65534\t  two words\n")
            .expect("a good list");
        assert_eq!(topics.len(), 2);
        assert_eq!((topics.name(1), topics.id("a/b")), (Some("a/b"), Some(1)));
        assert_eq!(topics.name(65_534), Some("two words"));
        assert_eq!((topics.name(2), topics.id("b")), (None, None));
    }

    #[test]
    fn the_first_bad_line_is_named() {
        for (text, line, words) in [
            ("1", 1, "an id and a topic name are expected"),
            ("#\n0 a", 2, "the id is not a number from 1 to 65534"),
            ("65535 a", 1, "the id is not a number from 1 to 65534"),
            ("x a", 1, "the id is not a number from 1 to 65534"),
            ("1 a\n1 b", 2, "the id is there already"),
            ("1 a\n2 a", 2, "the topic name is there already"),
        ] {
            let error = PredefinedTopics::parse(text).expect_err(text);
            assert_eq!((error.line, error.words), (line, words), "{text}");
        }
        assert!(PredefinedTopics::parse("1 a/+").is_err());
        assert!(PredefinedTopics::parse("1 a\0").is_err());
    }
}
