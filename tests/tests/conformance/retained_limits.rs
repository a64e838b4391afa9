//! Flags that bound what is retained.

use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::Client;

const ONE: QoS = QoS::AtLeastOnce;
const SUCCESS: u8 = 0x00;
const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;
const QUOTA_EXCEEDED: u8 = 0x97;

#[test]
fn max_retained_messages_bounds_all_topics_together_and_says_so() {
    let broker = Broker::start_with(&["--max-retained-messages", "3"]);
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    for topic in ["keep/1/t", "keep/2/t", "keep/3/t"] {
        let code = publisher.publish(topic, "first", ONE, true);
        assert_eq!(code, NO_MATCHING_SUBSCRIBERS);
    }
    let mut watcher = Client::open(&broker, Version::V5, "watcher");
    watcher.subscribe("more/t", ONE);
    let code = publisher.publish("more/t", "live", ONE, true);
    assert_eq!(code, QUOTA_EXCEEDED);
    watcher.expect("more/t", "live", ONE, false);
    let mut old = Client::open(&broker, Version::V3_1_1, "old");
    assert_eq!(old.publish("more/t", "again", ONE, true), SUCCESS);
    watcher.expect("more/t", "again", ONE, false);
    assert_eq!(
        publisher.publish("more/t", "twice", QoS::ExactlyOnce, true),
        SUCCESS
    );
    watcher.expect("more/t", "twice", ONE, false);
    assert_eq!(
        publisher.publish("keep/2/t", "", ONE, true),
        NO_MATCHING_SUBSCRIBERS
    );
    assert_eq!(publisher.publish("more/t", "kept", ONE, true), SUCCESS);
    let mut late = Client::open(&broker, Version::V5, "late");
    late.subscribe("more/t", ONE);
    late.expect("more/t", "kept", ONE, true);
    let stopped = broker.stop();
    assert_eq!(stopped.total("not_retained"), 3);
}

#[test]
fn max_retained_bytes_lets_the_old_value_go_with_the_new_one() {
    let broker = Broker::start_with(&["--max-retained-bytes", "1KiB"]);
    let mut publisher = Client::open(&broker, Version::V5, "publisher");
    publisher.publish("large/t", "small", ONE, true);
    let large = "x".repeat(1024);
    assert_eq!(
        publisher.publish("large/t", &large, ONE, true),
        QUOTA_EXCEEDED
    );
    let mut late = Client::open(&broker, Version::V5, "late");
    late.subscribe("large/t", ONE);
    publisher.publish("large/t", "mark", ONE, false);
    late.expect("large/t", "mark", ONE, false);
    assert_eq!(publisher.publish("large/t", "fits", ONE, true), SUCCESS);
    broker.stop();
}
