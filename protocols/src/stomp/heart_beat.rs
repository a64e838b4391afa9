//! How often each side shows that it is there `[STOMP1.2 Heart-beating]`.

use super::StompError;

/// What both sides agreed on. 0 means never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeartBeats {
    /// We send something at least this often, in milliseconds.
    pub send_ms: u32,
    /// The peer sends something at least this often, in milliseconds; give it some more.
    pub expect_ms: u32,
}

/// Agrees on heart-beats. `client` is the header of CONNECT: how often it can send, and how often
/// it wants to receive. `server` is ours likewise. All are in milliseconds, and 0 means not at all;
/// without a header the client does neither.
///
/// # Errors
/// The header is not two numbers with a comma between them.
pub fn negotiate(client: Option<&str>, server: (u32, u32)) -> Result<HeartBeats, StompError> {
    let (can_send, wants) = match client {
        None => (0, 0),
        Some(text) => parse(text).ok_or(StompError::malformed("heart-beat is not two numbers"))?,
    };
    Ok(HeartBeats {
        send_ms: agree(server.0, wants),
        expect_ms: agree(can_send, server.1),
    })
}

/// The slower of what one side can send and the other wants.
fn agree(can_send: u32, wants: u32) -> u32 {
    if can_send == 0 || wants == 0 {
        0
    } else {
        can_send.max(wants)
    }
}

fn parse(text: &str) -> Option<(u32, u32)> {
    let (first, second) = text.split_once(',')?;
    Some((milliseconds(first)?, milliseconds(second)?))
}

fn milliseconds(text: &str) -> Option<u32> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // 49 days or more are the same as 49 days.
    Some(text.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[STOMP1.2 Heart-beating]`
    #[test]
    fn the_slower_side_decides_and_zero_turns_it_off() {
        for (client, server, send_ms, expect_ms) in [
            (None, (10_000, 10_000), 0, 0),
            (Some("0,0"), (10_000, 10_000), 0, 0),
            (Some("10000,10000"), (10_000, 10_000), 10_000, 10_000),
            (Some("4000,0"), (10_000, 10_000), 0, 10_000),
            (Some("0,20000"), (10_000, 10_000), 20_000, 0),
            (Some("30000,5"), (10_000, 10_000), 10_000, 30_000),
            (Some("1,1"), (0, 0), 0, 0),
            (Some("99999999999,1"), (1, 1), 1, u32::MAX),
        ] {
            let beats = HeartBeats { send_ms, expect_ms };
            assert_eq!(negotiate(client, server), Ok(beats), "{client:?}");
        }
    }

    #[test]
    fn other_texts_are_errors() {
        for text in [
            "", ",", "1", "1,", ",1", "1,2,3", "-1,0", "+1,0", "1, 2", "a,b",
        ] {
            assert!(negotiate(Some(text), (1, 1)).is_err(), "{text:?}");
        }
    }
}
