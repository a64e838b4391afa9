//! What the MQTT specifications say, asked of the running program over TCP. Each test is named by
//! the clause it asks about; `RINGBUS_IO` and `RINGBUS_SHARDS` choose what it is asked of.
#![expect(
    clippy::disallowed_methods,
    reason = "a timeout is measured from outside, with a clock of our own"
)]

mod aliases;
mod bad_input;
mod bad_packets;
mod connect;
mod edges;
mod flags;
mod flow_control;
mod known_holes;
mod malformed;
mod publish;
mod qos;
mod reasons;
mod retained;
mod retained_limits;
mod server_packets;
mod sessions;
mod shared;
mod subscribe;
mod sys_topics;
mod takeover;
mod time;
mod topics;
mod turned_away;
mod wills;

use ringbus_protocols::mqtt::Version;

/// Rules that both versions share are asked in both.
const BOTH: [Version; 2] = [Version::V3_1_1, Version::V5];
