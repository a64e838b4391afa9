//! How many topic levels decide which shard owns a topic.

use super::error::Problem;

/// The most levels that can name a partition. Filters shorter than this
/// are broad, so a larger number only makes more of them broad.
pub const PARTITION_LEVELS_MAX: u8 = 16;

/// `--partition-levels`: the number for every topic, and exceptions per root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLevels {
    /// Levels hashed where no root matches; 1 to [`PARTITION_LEVELS_MAX`].
    pub default: u8,
    /// First topic level → levels hashed below it; each root once.
    pub roots: Vec<(Box<str>, u8)>,
}

impl Default for PartitionLevels {
    fn default() -> PartitionLevels {
        PartitionLevels {
            default: 2,
            roots: Vec::new(),
        }
    }
}

impl PartitionLevels {
    /// Takes one `N` or `root=N`; a later one for the same root replaces the earlier.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), Problem> {
        // A root may hold '=': only the last one separates.
        let Some((root, levels)) = text.rsplit_once('=') else {
            self.default = parse_levels(text)?;
            return Ok(());
        };
        let levels = parse_levels(levels)?;
        check_root(root)?;
        self.roots.retain(|(known, _)| **known != *root);
        self.roots.push((root.into(), levels));
        Ok(())
    }
}

fn parse_levels(text: &str) -> Result<u8, Problem> {
    let levels = text
        .parse()
        .ok()
        .filter(|n| (1..=PARTITION_LEVELS_MAX).contains(n));
    levels.ok_or_else(|| {
        Problem::new(
            format!("needs a number of levels from 1 to {PARTITION_LEVELS_MAX}"),
            "write 2, or spBv1.0=4 for the topics under one root",
        )
    })
}

fn check_root(root: &str) -> Result<(), Problem> {
    let fix = "a root is the first level of topics, as in spBv1.0=4";
    if root.is_empty() {
        return Err(Problem::new("names no root before the '='", fix));
    }
    if root.contains(['/', '+', '#', '\0']) {
        return Err(Problem::new(
            "the root must be one literal topic level",
            fix,
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(texts: &[&str]) -> Result<PartitionLevels, Problem> {
        let mut levels = PartitionLevels::default();
        texts.iter().try_for_each(|text| levels.add(text))?;
        Ok(levels)
    }

    #[test]
    fn a_number_and_roots_in_any_order() {
        let levels = parsed(&["spBv1.0=4", "3", "a=b=1"]).expect("valid");
        assert_eq!(levels.default, 3);
        assert_eq!(levels.roots, [("spBv1.0".into(), 4), ("a=b".into(), 1)]);
    }

    #[test]
    fn the_last_word_on_a_root_counts() {
        assert_eq!(
            parsed(&["x=4", "x=5"]).expect("valid").roots,
            [("x".into(), 5)]
        );
    }

    #[test]
    fn bad_levels_and_roots_are_refused() {
        for text in ["", "0", "17", "-1", "two", "x=", "x=0", "x=17"] {
            assert!(
                parsed(&[text])
                    .expect_err(text)
                    .why
                    .contains("from 1 to 16"),
                "{text}"
            );
        }
        assert!(
            parsed(&["=2"])
                .expect_err("no root")
                .why
                .contains("names no root")
        );
        for text in ["a/b=2", "+=2", "#=2"] {
            assert!(
                parsed(&[text]).expect_err(text).why.contains("one literal"),
                "{text}"
            );
        }
    }
}
