//! What the MQTT specifications say, asked of the running program over TCP. Each test is named by
//! the clause it asks about; `RINGBUS_IO` and `RINGBUS_SHARDS` choose what it is asked of.
#![expect(
    clippy::disallowed_methods,
    reason = "a timeout is measured from outside, with a clock of our own"
)]

mod bad_input;
mod connect;
mod edges;
mod flags;
mod flow_control;
mod keep_alive;
mod malformed;
mod publish;
mod qos;
mod reasons;
mod retained;
mod retained_limits;
mod sessions;
mod subscribe;
mod takeover;
mod topics;
mod wills;

use ringbus_protocols::mqtt::Version;
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};

/// Rules that both versions share are asked in both.
const BOTH: [Version; 2] = [Version::V3_1_1, Version::V5];

/// Three seconds pass: two clients that are closed for their silence are the clock.
fn three_seconds_pass(broker: &Broker) {
    for name in ["clock1", "clock2"] {
        let hello = Hello::new(Version::V5, name).with_keep_alive(1);
        let (mut clock, _) = Client::hello(broker, &hello);
        assert_eq!(clock.disconnected(), Some(0x8D));
    }
}
