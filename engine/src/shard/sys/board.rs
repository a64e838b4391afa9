//! What was said last on each topic.

use std::collections::BTreeMap;
use std::fmt::Display;

/// Topics and payloads to publish.
pub(super) type News = Vec<(String, String)>;

/// The topics below a prefix, with what was said last: what did not change is not said again.
#[derive(Debug)]
pub(super) struct Board {
    prefix: String,
    said: BTreeMap<&'static str, String>,
}

impl Board {
    /// Nothing said yet. The prefix ends in a slash.
    pub(super) fn new(prefix: String) -> Self {
        let said = BTreeMap::new();
        Self { prefix, said }
    }

    /// Says it, if it is new.
    pub(super) fn write(&mut self, topic: &'static str, value: impl Display, news: &mut News) {
        let payload = value.to_string();
        if self.said.get(topic) == Some(&payload) {
            return;
        }
        news.push((format!("{}{topic}", self.prefix), payload.clone()));
        self.said.insert(topic, payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_said() {
        let mut board = Board::new("$SYS/x/".to_owned());
        let mut news = News::new();
        for value in [0, 0, 1] {
            board.write("count", value, &mut news);
        }
        let said = |payload: &str| ("$SYS/x/count".to_owned(), payload.to_owned());
        assert_eq!(news, [said("0"), said("1")]);
    }
}
