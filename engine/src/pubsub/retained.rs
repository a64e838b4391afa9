//! The retained messages of one partition: an ordered map from topic to value, read by cursors that
//! name the topic they have reached, so that writers never wait for readers.

mod seek;
#[cfg(test)]
mod tests;

use ringbus_protocols::topic::TopicFilter;
use seek::{Pattern, Step};
use std::collections::BTreeMap;
use std::ops::Bound;

/// Values by topic. The caller accounts for their bytes.
#[derive(Debug)]
pub struct Retained<V> {
    values: BTreeMap<Box<str>, V>,
}

impl<V> Default for Retained<V> {
    fn default() -> Retained<V> {
        Retained {
            values: BTreeMap::new(),
        }
    }
}

impl<V> Retained<V> {
    /// No value.
    pub fn new() -> Retained<V> {
        Retained::default()
    }

    /// Sets a topic's value, and returns the one before.
    pub fn insert(&mut self, topic: &str, value: V) -> Option<V> {
        if let Some(old) = self.values.get_mut(topic) {
            return Some(std::mem::replace(old, value));
        }
        self.values.insert(topic.into(), value)
    }

    /// Takes a topic's value out.
    pub fn remove(&mut self, topic: &str) -> Option<V> {
        self.values.remove(topic)
    }

    /// A topic's value.
    pub fn get(&self, topic: &str) -> Option<&V> {
        self.values.get(topic)
    }

    /// The number of topics with a value.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no topic has a value.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Visits the current values of topics that match `filter`, in the order of their bytes, from
    /// the first one or from behind `last`, looking at no more than `limit` topics (at least 1),
    /// matching or not.
    ///
    /// Returns where to go on: the last topic looked at, or `None` when there are no more. It need
    /// not exist when the walk goes on. A topic that has a value throughout is visited exactly
    /// once; one set or removed meanwhile is visited if the cursor has yet to reach it.
    ///
    /// Topics the filter rules out are not walked through but skipped by a search, subtree by
    /// subtree.
    pub fn after(
        &self,
        filter: &TopicFilter<'_>,
        last: Option<&str>,
        limit: usize,
        mut visit: impl FnMut(&str, &V),
    ) -> Option<String> {
        if filter.is_exact() {
            return self.exact(filter.as_str(), last, visit);
        }
        let pattern = Pattern::new(filter.as_str());
        let mut target = String::new();
        let mut step = match last {
            None => pattern.first(&mut target),
            Some(last) => pattern.step(last, &mut target),
        };
        let mut reached = last;
        let mut left = limit.max(1);
        loop {
            let from = match step {
                Step::Done => return None,
                Step::Match | Step::Next => reached.map_or(Bound::Unbounded, Bound::Excluded),
                Step::Seek => Bound::Included(target.as_str()),
            };
            let mut topics = self.values.range::<str, _>((from, Bound::Unbounded));
            // Neighbours are walked; only a skip pays for another search.
            loop {
                let (topic, value) = topics.next()?;
                if left == 0 {
                    return reached.map(str::to_owned);
                }
                left -= 1;
                reached = Some(topic);
                step = pattern.step(topic, &mut target);
                match step {
                    Step::Match => visit(topic, value),
                    Step::Next => {}
                    Step::Seek | Step::Done => break,
                }
            }
        }
    }

    fn exact(
        &self,
        topic: &str,
        last: Option<&str>,
        mut visit: impl FnMut(&str, &V),
    ) -> Option<String> {
        if last.is_none_or(|last| last < topic)
            && let Some(value) = self.values.get(topic)
        {
            visit(topic, value);
        }
        None
    }
}
