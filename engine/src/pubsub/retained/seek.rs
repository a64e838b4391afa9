//! Where in the order of topics the next match of a filter can be.

/// What a topic says about the topics behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// It matches; the next one may.
    Match,
    /// It does not match; the next one may.
    Next,
    /// Nothing between it and the target matches.
    Seek,
    /// Nothing behind it matches.
    Done,
}

/// A filter with a wildcard, as a plan for walking topics in byte order.
pub(super) struct Pattern<'a> {
    filter: &'a str,
    /// The literal text every match begins with.
    prefix: &'a str,
}

impl<'a> Pattern<'a> {
    pub(super) fn new(filter: &'a str) -> Pattern<'a> {
        let wildcard = filter.find(['+', '#']).unwrap_or(filter.len());
        // `a/#` matches `a` as well [MQTT5-4.7.1-2].
        let prefix = match filter[..wildcard].strip_suffix('/') {
            Some(parent) if &filter[wildcard..] == "#" => parent,
            _ => &filter[..wildcard],
        };
        Pattern { filter, prefix }
    }

    /// Where matches begin.
    pub(super) fn first(&self, target: &mut String) -> Step {
        target.clear();
        target.push_str(self.prefix);
        Step::Seek
    }

    /// Whether `topic` matches, and if not, where the next match can be.
    ///
    /// Compares level by level. At the first level that differs, all topics up to the next one that
    /// agrees so far are ruled out: they share this prefix or are past it.
    pub(super) fn step(&self, topic: &str, target: &mut String) -> Step {
        if topic.starts_with('$') && self.prefix.is_empty() && !self.filter.starts_with('/') {
            // Leading wildcards skip `$`-topics [MQTT5-4.7.2-1].
            return seek_past(target, topic, 1);
        }
        let mut at = 0;
        let mut levels = self.filter.split('/').peekable();
        while let Some(level) = levels.next() {
            if level == "#" {
                return Step::Match;
            }
            let end = topic[at..]
                .find('/')
                .map_or(topic.len(), |length| at + length);
            if level != "+" && level != &topic[at..end] {
                return self.differs(topic, at, level, target);
            }
            match (end == topic.len(), levels.peek()) {
                (true, None | Some(&"#")) => return Step::Match,
                // The filter goes on: the topic's own subtree is next, or close by.
                (true, Some(_)) => return Step::Next,
                // All below the level where the filter ends.
                (false, None) => return seek_past(target, topic, end + 1),
                (false, Some(_)) => at = end + 1,
            }
        }
        Step::Match
    }

    /// `topic[..at]` agrees with the filter, then the filter wants `level` and the topic has another.
    fn differs(&self, topic: &str, at: usize, level: &str, target: &mut String) -> Step {
        if !topic.starts_with(self.prefix) && topic > self.prefix {
            return Step::Done;
        }
        target.clear();
        target.push_str(&topic[..at]);
        target.push_str(level);
        if target.as_str() > topic {
            return Step::Seek;
        }
        // `a-b` sorts between `a` and `a/b`.
        target.push('/');
        if target.as_str() > topic {
            return Step::Seek;
        }
        if at == 0 {
            return Step::Done;
        }
        seek_past(target, topic, at)
    }
}

/// Targets the first text that is behind everything that begins with `topic[..end]`, whose last byte
/// is `/` or `$`.
fn seek_past(target: &mut String, topic: &str, end: usize) -> Step {
    target.clear();
    target.push_str(&topic[..end - 1]);
    target.push(if topic.as_bytes()[end - 1] == b'/' {
        '0'
    } else {
        '%'
    });
    Step::Seek
}
