//! Subjects and topics are one space: every topic name has exactly one subject, and back.
//!
//! | topic | subject |
//! |---|---|
//! | `/` between levels | `.` between tokens |
//! | an empty level | the token `%` |
//! | bytes up to 0x20, 0x7F, `.`, `*`, `>` and `%` | `%XX` |
//! | `%2B`, `%23` and `%2F` | `+`, `#` and `/`, which no level can contain |
//! | a filter's `+` | `*` |
//! | `+/#` at the end of a filter: one level or more | `>` |
//!
//! Other characters are the same in both. What no topic maps to is no subject here: other escapes,
//! raw control characters, and what is not UTF-8.

use crate::topic::TOPIC_LENGTH_MAX;
use crate::wire::utf8;
use std::error::Error;
use std::fmt;

/// The bytes are not the subject of any topic name, or of any topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidSubject;

impl fmt::Display for InvalidSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Invalid Subject")
    }
}

impl Error for InvalidSubject {}

/// Appends the topic name of a subject to publish to.
///
/// # Errors
/// [`InvalidSubject`] if it has an empty token, a wildcard, or is the subject of no topic name;
/// nothing is appended.
#[inline]
pub fn put_topic(subject: &[u8], out: &mut String) -> Result<(), InvalidSubject> {
    if is_plain(subject) {
        put_plain(subject, out);
        return Ok(());
    }
    put_tokens(subject, out, |_, _| None)
}

/// Appends the topic filter of a subject to subscribe to.
///
/// # Errors
/// [`InvalidSubject`] if it has an empty token, a wildcard that is not alone in its token, a `>`
/// that is not the last token, or is the subject of no topic filter; nothing is appended.
pub fn put_filter(subject: &[u8], out: &mut String) -> Result<(), InvalidSubject> {
    if is_plain(subject) {
        put_plain(subject, out);
        return Ok(());
    }
    put_tokens(subject, out, |token, is_last| match token {
        "*" => Some("+"),
        ">" if is_last => Some("+/#"),
        _ => None,
    })
}

/// Appends the subject of a topic name.
#[inline]
pub fn put_subject(topic: &str, out: &mut Vec<u8>) {
    if is_plain_topic(topic.as_bytes()) {
        let separators = |&byte: &u8| if byte == b'/' { b'.' } else { byte };
        out.extend(topic.as_bytes().iter().map(separators));
    } else {
        put_levels(topic, out);
    }
}

/// Appends the subject of a topic filter; false, and nothing is appended, if it has none: NATS
/// cannot say "this and all below", as `a/#` does.
pub fn put_subject_of_filter(filter: &str, out: &mut Vec<u8>) -> bool {
    let (levels, ends_open) = match filter.strip_suffix("+/#") {
        Some(levels) if levels.is_empty() || levels.ends_with('/') => (levels, true),
        _ => (filter, false),
    };
    if levels.split('/').any(|level| level == "#") {
        return false;
    }
    if !ends_open {
        put_levels(levels, out);
    } else if let Some(levels) = levels.strip_suffix('/') {
        put_levels(levels, out);
        out.extend_from_slice(b".>");
    } else {
        out.push(b'>');
    }
    true
}

/// Whether a subject is one that `pattern` subscribes to: `*` is any token, `>` at the end is one
/// or more. As with topics, a wildcard in the first token does not reach subjects that start with
/// `$` `[MQTT5-4.7.2-1]`.
pub fn matches(pattern: &[u8], subject: &[u8]) -> bool {
    if subject.starts_with(b"$") && matches!(pattern, b"*" | b">" | [b'*', b'.', ..]) {
        return false;
    }
    let mut tokens = subject.split(|&byte| byte == b'.');
    let mut patterns = pattern.split(|&byte| byte == b'.').peekable();
    while let Some(pattern) = patterns.next() {
        let Some(token) = tokens.next() else {
            return false;
        };
        if pattern == b">" && patterns.peek().is_none() {
            return true;
        }
        if pattern != b"*" && pattern != token {
            return false;
        }
    }
    tokens.next().is_none()
}

/// Whether the topic is the subject with other separators, as nearly every one is.
#[inline]
fn is_plain(subject: &[u8]) -> bool {
    // Operators that do not branch: with `matches!` the compiler uses no vectors.
    let is_plain = |byte: u8, next: u8| {
        (byte > b' ')
            & (byte < 0x7F)
            & (byte != b'*')
            & (byte != b'>')
            & (byte != b'%')
            & (byte != b'+')
            & (byte != b'#')
            & (byte != b'/')
            & ((byte != b'.') | (next != b'.'))
    };
    !subject.starts_with(b".")
        && subject.len() <= TOPIC_LENGTH_MAX
        && all_pairs(subject, b'.', is_plain)
}

/// Whether each byte and the one after it, `end` after the last, are what `holds` says. Without a
/// branch per byte, for the compiler to use vectors; false for no bytes.
#[inline]
fn all_pairs(bytes: &[u8], end: u8, holds: impl Fn(u8, u8) -> bool) -> bool {
    let Some((&last, firsts)) = bytes.split_last() else {
        return false;
    };
    let nexts = &bytes[1..];
    // The last block overlaps the one before it, so that no bytes are left over.
    let all_hold = if let (Some(first), Some(next)) = (firsts.last_chunk(), nexts.last_chunk()) {
        let blocks = firsts.as_chunks().0.iter().zip(nexts.as_chunks().0);
        all_in_block::<16>(first, next, &holds)
            && blocks.fold(true, |all, (first, next)| {
                all & all_in_block::<16>(first, next, &holds)
            })
    } else if let (Some(first), Some(next), Some(last), Some(after)) = (
        firsts.first_chunk(),
        nexts.first_chunk(),
        firsts.last_chunk(),
        nexts.last_chunk(),
    ) {
        all_in_block::<8>(first, next, &holds) & all_in_block::<8>(last, after, &holds)
    } else {
        let mut pairs = firsts.iter().zip(nexts);
        pairs.all(|(&byte, &next)| holds(byte, next))
    };
    all_hold && holds(last, end)
}

#[inline]
fn all_in_block<const N: usize>(
    block: &[u8; N],
    nexts: &[u8; N],
    holds: impl Fn(u8, u8) -> bool,
) -> bool {
    let mut all = true;
    for index in 0..N {
        all &= holds(block[index], nexts[index]);
    }
    all
}

#[inline]
fn put_plain(subject: &[u8], out: &mut String) {
    // Through bytes and back: one check of the whole costs less than pushing characters.
    let mut bytes = std::mem::take(out).into_bytes();
    bytes.extend(
        subject
            .iter()
            .map(|&byte| if byte == b'.' { b'/' } else { byte }),
    );
    *out = String::from_utf8(bytes).expect("text with ASCII appended is text");
}

#[cold]
fn put_tokens(
    subject: &[u8],
    out: &mut String,
    wildcard: impl Fn(&str, bool) -> Option<&'static str>,
) -> Result<(), InvalidSubject> {
    let start = out.len();
    let appended = append_tokens(subject, out, wildcard).and_then(|()| {
        let length = out.len() - start;
        let is_topic = (1..=TOPIC_LENGTH_MAX).contains(&length);
        is_topic.then_some(()).ok_or(InvalidSubject)
    });
    if appended.is_err() {
        out.truncate(start);
    }
    appended
}

fn append_tokens(
    subject: &[u8],
    out: &mut String,
    wildcard: impl Fn(&str, bool) -> Option<&'static str>,
) -> Result<(), InvalidSubject> {
    let mut rest = utf8(subject).map_err(|_| InvalidSubject)?;
    loop {
        let (token, next) = match rest.split_once('.') {
            Some((token, next)) => (token, Some(next)),
            None => (rest, None),
        };
        match wildcard(token, next.is_none()) {
            Some(level) => out.push_str(level),
            None => append_level(token, out)?,
        }
        let Some(next) = next else {
            return Ok(());
        };
        out.push('/');
        rest = next;
    }
}

/// Appends the level of a token that is no wildcard.
fn append_level(token: &str, out: &mut String) -> Result<(), InvalidSubject> {
    match token {
        "" => return Err(InvalidSubject),
        "%" => return Ok(()),
        _ => {}
    }
    let start = out.len();
    let mut rest = token;
    while let Some(character) = rest.chars().next() {
        rest = &rest[character.len_utf8()..];
        match character {
            '%' => {
                let (escape, after) = rest.split_at_checked(2).ok_or(InvalidSubject)?;
                out.push(char::from(unescape(escape.as_bytes())?));
                rest = after;
            }
            '+' => out.push_str("%2B"),
            '#' => out.push_str("%23"),
            '/' => out.push_str("%2F"),
            '*' | '>' | '\0'..=' ' | '\x7F' => return Err(InvalidSubject),
            other => out.push(other),
        }
    }
    // `%252B` would be a second subject for what `+` is the subject of.
    if token.contains("%252") && !is_canonical(token, &out[start..]) {
        return Err(InvalidSubject);
    }
    Ok(())
}

fn is_canonical(token: &str, level: &str) -> bool {
    let mut back = Vec::with_capacity(token.len());
    put_level(level, &mut back);
    back == token.as_bytes()
}

/// The byte of an escape's two digits, if it has to be escaped.
fn unescape(digits: &[u8]) -> Result<u8, InvalidSubject> {
    let &[high, low] = digits else {
        return Err(InvalidSubject);
    };
    let byte = nibble(high)? << 4 | nibble(low)?;
    // U+0000 is in no topic [MQTT5-4.7.3-2].
    if byte != 0 && needs_escape(byte) {
        Ok(byte)
    } else {
        Err(InvalidSubject)
    }
}

fn nibble(digit: u8) -> Result<u8, InvalidSubject> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(InvalidSubject),
    }
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    (byte <= b' ')
        | (byte == 0x7F)
        | (byte == b'.')
        | (byte == b'*')
        | (byte == b'>')
        | (byte == b'%')
}

/// Whether the subject of a topic is the topic with other separators.
#[inline]
fn is_plain_topic(topic: &[u8]) -> bool {
    let is_plain = |byte, next| !needs_escape(byte) & ((byte != b'/') | (next != b'/'));
    !topic.starts_with(b"/") && all_pairs(topic, b'/', is_plain)
}

#[cold]
fn put_levels(topic: &str, out: &mut Vec<u8>) {
    for (index, level) in topic.split('/').enumerate() {
        if index > 0 {
            out.push(b'.');
        }
        match level {
            "" => out.push(b'%'),
            "+" => out.push(b'*'),
            _ => put_level(level, out),
        }
    }
}

fn put_level(level: &str, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = level.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let unescaped = match after {
            [b'2', b'B', ..] => Some(b'+'),
            [b'2', b'3', ..] => Some(b'#'),
            [b'2', b'F', ..] => Some(b'/'),
            _ => None,
        };
        match unescaped {
            Some(other) if byte == b'%' => {
                out.push(other);
                rest = &after[2..];
            }
            _ if needs_escape(byte) => {
                let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                out.extend_from_slice(&[b'%', DIGITS[high], DIGITS[low]]);
            }
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(subject: &str) -> Result<String, InvalidSubject> {
        let mut out = String::new();
        put_topic(subject.as_bytes(), &mut out).map(|()| out)
    }

    fn filter(subject: &str) -> Result<String, InvalidSubject> {
        let mut out = String::new();
        put_filter(subject.as_bytes(), &mut out).map(|()| out)
    }

    fn subject(topic: &str) -> String {
        let mut out = Vec::new();
        put_subject(topic, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn topics_and_subjects_map_both_ways() {
        for (name, expected) in [
            ("a", "a"),
            ("a/b/c", "a.b.c"),
            ("/", "%.%"),
            ("a//b", "a.%.b"),
            ("/a", "%.a"),
            ("a/", "a.%"),
            ("%", "%25"),
            ("a b", "a%20b"),
            ("a.b/*/>", "a%2Eb.%2A.%3E"),
            ("\x7F\x01", "%7F%01"),
            ("é/😀", "é.😀"),
            ("$SYS/x", "$SYS.x"),
            ("100%/2", "100%25.2"),
            ("a%2Bb/%23/%2F", "a+b.#./"),
            ("%252B", "%25252B"),
            ("%2b%2", "%252b%252"),
            ("_INBOX/x", "_INBOX.x"),
        ] {
            assert_eq!(subject(name), expected);
            assert_eq!(topic(expected).as_deref(), Ok(name));
            assert_eq!(filter(expected).as_deref(), Ok(name));
        }
    }

    #[test]
    fn what_is_the_subject_of_no_topic_is_refused() {
        for bad in [
            "", ".", "a.", ".a", "a..b", "%", "%2", "%zz", "%2e", "%41", "%00", "a%", "%%", "a b",
            "a\x01", "\x7F", "a*", "*a", "a>", ">.a", "%252B", "%2523", "x%252Fy", "%é",
        ] {
            assert_eq!(topic(bad), Err(InvalidSubject), "{bad:?}");
            assert_eq!(filter(bad), Err(InvalidSubject), "{bad:?}");
        }
        assert_eq!(topic("a.*"), Err(InvalidSubject));
        assert_eq!(topic("a.>"), Err(InvalidSubject));
        let mut out = "kept".to_owned();
        assert_eq!(put_topic(b"a.b.\xFF", &mut out), Err(InvalidSubject));
        assert_eq!(out, "kept");
    }

    #[test]
    fn topics_are_at_most_65_535_bytes_long() {
        assert!(topic(&"a".repeat(65_535)).is_ok());
        assert!(topic(&"a".repeat(65_536)).is_err());
        assert!(topic(&"+".repeat(30_000)).is_err());
        assert!(topic(&"%25".repeat(65_535)).is_ok());
    }

    #[test]
    fn plain_subjects_and_topics_are_told_at_every_length_and_place() {
        assert!(!is_plain(b"") && !is_plain_topic(b""));
        for length in 1..50 {
            let mut bytes = vec![b'x'; length];
            for index in 0..length {
                for special in (0..=b' ').chain(*b"*>%\x7F") {
                    bytes[index] = special;
                    assert!(!is_plain(&bytes) && !is_plain_topic(&bytes));
                }
                for (special, ends_level) in [(b'/', b'.'), (b'.', b'/')] {
                    bytes[index] = special;
                    assert!(!is_plain(&bytes) || special == b'.');
                    assert!(!is_plain_topic(&bytes) || special == b'/');
                    bytes[index] = ends_level;
                    let is_inside = 0 < index && index + 1 < length;
                    assert_eq!(is_plain(&bytes), is_inside && ends_level == b'.');
                    assert_eq!(is_plain_topic(&bytes), is_inside && ends_level == b'/');
                    if index + 2 < length {
                        bytes[index + 1] = ends_level;
                        assert!(!is_plain(&bytes) && !is_plain_topic(&bytes));
                        bytes[index + 1] = b'x';
                    }
                }
                bytes[index] = b'x';
            }
        }
    }

    #[test]
    fn wildcards_map_both_ways() {
        for (expected, pattern) in [
            ("+", "*"),
            ("+/#", ">"),
            ("a/+/b", "a.*.b"),
            ("a/+/#", "a.>"),
            ("+/+/#", "*.>"),
            ("//+/#", "%.%.>"),
            ("%2B/+", "+.*"),
            ("a.b/+", "a%2Eb.*"),
        ] {
            assert_eq!(filter(pattern).as_deref(), Ok(expected));
            let mut out = Vec::new();
            assert!(put_subject_of_filter(expected, &mut out));
            assert_eq!(out, pattern.as_bytes());
        }
        for without in ["#", "a/#", "/#", "a/+/b/#"] {
            let mut out = Vec::new();
            assert!(!put_subject_of_filter(without, &mut out), "{without}");
            assert!(out.is_empty());
        }
    }

    #[test]
    fn patterns_match_as_nats_documents() {
        for (pattern, subject, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("a.>", "a", false),
            ("a.>", "a.b", true),
            ("a.>", "a.b.c", true),
            ("*.b", "a.b", true),
            (">", "a.b", true),
            (">", "$a", false),
            ("*", "$a", false),
            ("*.b", "$a.b", false),
            ("$a.>", "$a.b", true),
            ("_INBOX.1.*", "_INBOX.1.7", true),
        ] {
            let matched = matches(pattern.as_bytes(), subject.as_bytes());
            assert_eq!(matched, expected, "{pattern} on {subject}");
        }
    }
}
