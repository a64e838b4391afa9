//! The flags of `ringbus pub`, `ringbus sub` and `ringbus bench`, as clap sees them.
//!
//! These are the raw flags: each command turns them into a validated value before it acts.

mod bench;
mod tools;

pub use bench::{
    BacklogArgs, BenchArgs, BenchKind, ConnectArgs, LatencyArgs, LimitArgs, LoadArgs, Measure,
    Protocol, Start, SuiteArgs, UdpLimit,
};
pub use tools::{Format, PubArgs, Session, SubArgs, Target};

use ringbus_protocols::mqtt::Version;

/// The MQTT version a flag names: `3.1`, `3.1.1` or `5`, also by Mosquitto's names.
fn mqtt_version(text: &str) -> Result<Version, String> {
    match text {
        "3.1" | "31" | "mqttv31" => Ok(Version::V3_1),
        "3.1.1" | "311" | "mqttv311" => Ok(Version::V3_1_1),
        "5" | "5.0" | "mqttv5" => Ok(Version::V5),
        _ => Err("expected 3.1, 3.1.1 or 5".into()),
    }
}

/// The MQTT version of a benchmark: not 3.1, nobody chooses that for speed.
fn bench_version(text: &str) -> Result<Version, String> {
    match mqtt_version(text)? {
        Version::V3_1 => Err("expected 3.1.1 or 5".into()),
        version => Ok(version),
    }
}
