//! Versions of the protocol and how one is chosen.

use std::fmt;

/// A version of STOMP. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Headers have no escapes.
    V1_0,
    /// Escapes `\n`, `\c` and `\\`; heart-beats; NACK.
    V1_1,
    /// And `\r`; lines may end in CRLF.
    V1_2,
}

impl Version {
    /// All versions, the best first.
    pub const ALL: [Self; 3] = [Self::V1_2, Self::V1_1, Self::V1_0];

    /// The best version that both sides speak, for the `accept-version` of CONNECT, a list with
    /// commas. Without that header it is 1.0 `[STOMP1.2 Protocol Negotiation]`. `None` if the
    /// client speaks none of ours.
    pub fn negotiate(accept_version: Option<&str>) -> Option<Self> {
        let Some(list) = accept_version else {
            return Some(Self::V1_0);
        };
        Self::ALL
            .into_iter()
            .find(|version| list.split(',').any(|text| text.trim() == version.number()))
    }

    /// The number, as in the header `version`.
    pub const fn number(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The name as a subprotocol of a WebSocket.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::V1_0 => "v10.stomp",
            Self::V1_1 => "v11.stomp",
            Self::V1_2 => "v12.stomp",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_common_version_is_chosen() {
        for (offered, chosen) in [
            (None, Some(Version::V1_0)),
            (Some("1.2"), Some(Version::V1_2)),
            (Some("1.0,1.1,1.2"), Some(Version::V1_2)),
            (Some("1.1,1.0"), Some(Version::V1_1)),
            (Some("1.0, 1.1"), Some(Version::V1_1)),
            (Some("2.0,1.0"), Some(Version::V1_0)),
            (Some("2.0"), None),
            (Some("1.20"), None),
            (Some(""), None),
        ] {
            assert_eq!(Version::negotiate(offered), chosen, "{offered:?}");
        }
    }
}
