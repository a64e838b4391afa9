//! Which versions of MQTT are spoken.

use super::error::Problem;
use ringbus_protocols::mqtt::Version;

/// A set of MQTT versions, not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions(u8);

const NAMES: [(&str, Version); 4] = [
    ("3.1", Version::V3_1),
    ("3.1.1", Version::V3_1_1),
    ("5", Version::V5),
    ("5.0", Version::V5),
];

impl Versions {
    /// All there are.
    pub const ALL: Self = Self(0b111);

    /// Reads `3.1.1,5`.
    pub(crate) fn parse(list: &str) -> Result<Self, Problem> {
        let mut set = 0;
        for name in list.split(',') {
            let known = NAMES.iter().find(|(known, _)| *known == name.trim());
            let Some((_, version)) = known else {
                return Err(Problem::new(
                    "names a version that is not spoken",
                    "list some of 3.1, 3.1.1, 5",
                ));
            };
            set |= bit(*version);
        }
        Ok(Self(set))
    }

    /// Whether that version is spoken.
    #[must_use]
    pub fn contain(self, version: Version) -> bool {
        self.0 & bit(version) != 0
    }
}

fn bit(version: Version) -> u8 {
    match version {
        Version::V3_1 => 0b001,
        Version::V3_1_1 => 0b010,
        Version::V5 => 0b100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_the_versions_it_names() {
        let spoken = |list: &str| {
            let set = Versions::parse(list).expect("a list");
            Version::ALL.map(|version| set.contain(version))
        };
        assert_eq!(spoken("5"), [false, false, true]);
        assert_eq!(spoken("3.1.1, 5.0"), [false, true, true]);
        assert_eq!(spoken("5,3.1"), [true, false, true]);
        assert_eq!(Versions::parse("3.1,3.1.1,5"), Ok(Versions::ALL));
        for wrong in ["", "4", "3.1.1,", "5;3.1", "mqtt"] {
            let problem = Versions::parse(wrong).expect_err(wrong);
            assert_eq!(problem.why, "names a version that is not spoken");
        }
    }
}
