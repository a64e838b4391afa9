//! MQTT-SN as a sensor sees it: the broker as a process, UDP sockets, and a client that was written
//! from the specification alone. Tests are named by its clauses.

mod advertise;
mod bad_input;
mod connect;
mod doors;
mod flood;
mod forwarder;
mod open_topics;
mod publish;
mod retry;
mod sleep;
mod sleepers;
mod strangers;
mod topics;
mod wills;

use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;
use ringbus_tests::mqttsn::{SnClient, SnSocket};
use ringbus_tests::shared_broker::{Share, SharedBroker};
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

const ZERO: QoS = QoS::AtMostOnce;
const TWO: QoS = QoS::ExactlyOnce;

/// A share in a broker with the defaults.
fn shared() -> Share {
    static SHARED: SharedBroker = SharedBroker::new();
    SHARED.share(|| Broker::start_mqttsn(&[]))
}

/// A name that no other test uses, for a topic or a client.
fn fresh(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Clients of one broker, at home on every shard, and each with another port: with several shards
/// many of them are received by another shard than their own.
fn many(broker: &Broker, name: &str) -> Vec<SnClient> {
    let open = |_| SnClient::open(broker, &fresh(name));
    (0..4 * broker.shards()).map(open).collect()
}

/// A client of MQTT that is subscribed to that filter at QoS 2.
fn watcher(broker: &Broker, filter: &str) -> Client {
    let mut watcher = Client::open(broker, Version::V5, &fresh("watcher"));
    watcher.subscribe(filter, TWO);
    watcher
}

/// A publisher that speaks MQTT.
fn publisher(broker: &Broker) -> Client {
    Client::open(broker, Version::V5, &fresh("publisher"))
}

/// Asks the broker something else over the same socket, so that what came before is done.
#[track_caller]
fn barrier(socket: &SnSocket) {
    socket.send(&[3, 1, 0]);
    assert_eq!(socket.receive(), [3, 2, 1], "GWINFO and nothing before it");
}

/// One of the 16 million addresses of this machine, by number.
fn loopback(number: usize) -> Ipv4Addr {
    let number = u32::try_from(number).expect("not so many");
    assert!(number < 1 << 24, "not so many");
    // 127.0.0.1 is everybody's.
    Ipv4Addr::from_bits((127 << 24) + (2 + number) % (1 << 24))
}

/// A file for `--mqttsn-topics`, deleted at the end.
struct TopicsFile(PathBuf);

impl TopicsFile {
    fn new(text: &str) -> TopicsFile {
        let name = format!("ringbus-topics-{}-{}", std::process::id(), fresh("file"));
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).expect("a file for the moment");
        TopicsFile(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path in UTF-8")
    }
}

impl Drop for TopicsFile {
    fn drop(&mut self) {
        // Whoever cleans up may have been there before.
        let _ = fs::remove_file(&self.0);
    }
}
