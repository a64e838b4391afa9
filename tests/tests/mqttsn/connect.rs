//! Search, CONNECT, good-bye, and who may speak for a client.

use crate::{ZERO, barrier, fresh, publisher, shared, watcher};
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Hello};
use ringbus_tests::mqttsn::{SnClient, SnHello, SnSocket, SnTopic, connect, kind};

#[test]
fn mqttsn_6_1_who_searches_a_gateway_is_answered() {
    let broker = shared();
    let socket = SnSocket::new(&broker);
    for radius in [0, 1, 255] {
        socket.send(&[3, kind::SEARCHGW, radius]);
        assert_eq!(socket.receive(), [3, kind::GWINFO, 1]);
    }
}

#[test]
fn mqttsn_6_2_a_client_connects_is_answered_and_says_good_bye() {
    let broker = shared();
    for flags in [0, 4] {
        for duration in [1, 60, 65_535] {
            let id = fresh("hello");
            let mut client = SnClient::raw(&broker);
            client.send_bytes(&connect(flags, duration, &id));
            client.expect(kind::CONNACK, &[0]);
            client.ping();
            client.send(kind::DISCONNECT, &[]);
            client.expect(kind::DISCONNECT, &[]);
            client.forgotten();
        }
    }
}

#[test]
fn mqttsn_6_2_client_ids_of_many_lengths_and_letters() {
    let broker = shared();
    for id in ["x", "a client with spaces", "δοκιμή", &"x".repeat(300)] {
        SnClient::open(&broker, id).disconnect();
    }
}

#[test]
fn mqttsn_6_2_a_repeated_connect_is_answered_again_and_changes_nothing() {
    let broker = shared();
    let topic = fresh("repeated");
    let hello = SnHello::new(&fresh("repeats"));
    let mut client = SnClient::hello(&broker, &hello);
    client.drop_next(1);
    client.send_bytes(&hello.encode());
    client.send_bytes(&hello.encode());
    client.expect(kind::CONNACK, &[0]);
    client.subscribe(SnTopic::Name(&topic), 0);
    // A late copy.
    client.send_bytes(&hello.encode());
    client.expect(kind::CONNACK, &[0]);
    publisher(&broker).publish(&topic, "still there", QoS::AtLeastOnce, false);
    client.expect_publish(&topic, "still there", 0);
}

#[test]
fn mqttsn_6_3_a_session_that_is_not_clean_stays_and_a_clean_one_does_not() {
    let broker = shared();
    for clean_session in [false, true] {
        let (topic, id) = (fresh("session"), fresh("stays"));
        let mut client = SnClient::hello(&broker, &SnHello::persistent(&id));
        client.subscribe(SnTopic::Name(&topic), 1);
        client.disconnect();
        publisher(&broker).publish(&topic, "meanwhile", QoS::AtLeastOnce, false);
        let hello = SnHello {
            clean_session,
            ..SnHello::new(&id)
        };
        let mut client = SnClient::hello(&broker, &hello);
        if clean_session {
            client.expect_nothing();
        } else {
            // Ids of the connection before are not for this one: a REGISTER comes first.
            client.expect_publish(&topic, "meanwhile", 1);
        }
        client.disconnect();
    }
}

#[test]
fn a_client_goes_on_from_another_address_by_connect_alone() {
    let broker = shared();
    let (topic, id) = (fresh("moves"), fresh("mover"));
    let hello = SnHello::persistent(&id);
    let mut before = SnClient::hello(&broker, &hello);
    before.subscribe(SnTopic::Name(&topic), 1);
    let mut after = SnClient::raw(&broker);
    // It may know everything but a CONNECT.
    after.send(kind::PINGREQ, id.as_bytes());
    after.expect(kind::DISCONNECT, &[]);
    before.ping();
    after.connect(&hello);
    let mut publisher = publisher(&broker);
    publisher.publish(&topic, "here", QoS::AtLeastOnce, false);
    after.expect_publish(&topic, "here", 1);
    // What the old address was told when it lost the session, and nothing since.
    before.expect(kind::DISCONNECT, &[]);
    before.forgotten();
    publisher.publish(&topic, "again", QoS::AtLeastOnce, false);
    after.expect_publish(&topic, "again", 1);
    barrier(before.socket());
    after.disconnect();
}

#[test]
fn mqtt_and_mqttsn_take_one_client_id_over_from_each_other() {
    let broker = shared();
    let (topic, id) = (fresh("both"), fresh("either"));
    let mut sensor = SnClient::hello(&broker, &SnHello::persistent(&id));
    sensor.subscribe(SnTopic::Name(&topic), 1);
    let (mut mqtt, present) = Client::hello(&broker, &Hello::persistent(Version::V5, &id));
    assert!(present, "the sensor's session");
    sensor.expect(kind::DISCONNECT, &[]);
    publisher(&broker).publish(&topic, "to mqtt", QoS::AtLeastOnce, false);
    mqtt.expect(&topic, "to mqtt", QoS::AtLeastOnce, false);
    mqtt.ping();
    let mut sensor = SnClient::hello(&broker, &SnHello::persistent(&id));
    assert_eq!(mqtt.disconnected(), Some(0x8E), "session taken over");
    publisher(&broker).publish(&topic, "to the sensor", QoS::AtLeastOnce, false);
    sensor.expect_publish(&topic, "to the sensor", 1);
    sensor.disconnect();
}

#[test]
fn clients_whose_home_is_another_shard_do_all_the_same_things() {
    let broker = Broker::start_mqttsn(&["--shards", "4"]);
    let mut witness = watcher(&broker, "elsewhere/#");
    for mut client in crate::many(&broker, "elsewhere") {
        let topic = fresh("elsewhere/one");
        let id = client.register(&topic);
        for qos in 0..=2 {
            client.publish(SnTopic::Id(id), "up", qos);
            let wanted = QoS::try_from(qos.unsigned_abs()).expect("a QoS");
            witness.expect(&topic, "up", wanted, false);
        }
        let down = fresh("down");
        client.subscribe(SnTopic::Name(&down), 2);
        for qos in 0..=2 {
            let wanted = QoS::try_from(i8::unsigned_abs(qos)).expect("a QoS");
            publisher(&broker).publish(&down, "down", wanted, false);
            client.expect_publish(&down, "down", qos);
        }
        client.unsubscribe(SnTopic::Name(&down));
        client.sleep(60);
        assert_eq!(client.wake_up(), []);
        client.disconnect();
    }
    witness.expect_nothing();
    broker.stop().assert_mail_crossed();
}

#[test]
fn another_client_at_the_same_address_replaces_the_first() {
    let broker = shared();
    let topic = fresh("replaced");
    let mut client = SnClient::open(&broker, &fresh("first"));
    client.subscribe(SnTopic::Name(&topic), 0);
    client.connect(&SnHello::new(&fresh("second")));
    publisher(&broker).publish(&topic, "for the first", ZERO, false);
    client.expect_nothing();
    client.disconnect();
}

#[test]
fn a_broker_that_stops_says_good_bye_to_sensors() {
    let broker = Broker::start_mqttsn(&[]);
    let mut clients = crate::many(&broker, "drained");
    broker.terminate();
    for client in &mut clients {
        client.expect(kind::DISCONNECT, &[]);
    }
    broker.wait();
}
