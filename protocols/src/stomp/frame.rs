//! A frame that was decoded.

use std::borrow::Cow;

use super::{Command, Version, escape};

/// A frame; it borrows from the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the frame is.
    pub command: Command,
    /// The body, empty if there is none.
    pub body: &'a [u8],
    /// The lines after the first, the empty one included. Each header was checked.
    pub(super) head: &'a str,
    /// The version whose escapes the headers have.
    pub(super) escapes: Version,
}

impl<'a> Frame<'a> {
    /// The value of a header. The first of repeated ones counts
    /// `[STOMP1.2 Repeated Header Entries]`.
    pub fn header(&self, name: &str) -> Option<Cow<'a, str>> {
        self.raw()
            .find(|(found, _)| self.plain(found) == name)
            .map(|(_, value)| self.plain(value))
    }

    /// All headers as they came: repeated ones too, in order.
    pub fn headers(&self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.raw()
            .map(|(name, value)| (self.plain(name), self.plain(value)))
    }

    fn raw(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.head
            .split('\n')
            .map(|line| line.strip_suffix('\r').unwrap_or(line))
            .map_while(|line| line.split_once(':'))
    }

    fn plain(&self, text: &'a str) -> Cow<'a, str> {
        escape::unescape(text, self.escapes)
    }
}
