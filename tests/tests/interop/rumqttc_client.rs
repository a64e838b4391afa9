//! rumqttc, whose two protocol versions are two sets of types: the checks are written once and
//! expanded for both.

use ringbus_tests::broker::{Broker, DEADLINE};
use ringbus_tests::proxy::{Fate, Proxy};
use std::net::SocketAddr;

macro_rules! checks {
    () => {
        const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

        pub(super) struct Peer {
            client: Client,
            connection: Connection,
            /// Messages that came while something else was waited for.
            inbox: VecDeque<(String, String, QoS, bool)>,
            session_present: bool,
        }

        impl Peer {
            fn open(options: MqttOptions) -> Peer {
                let (client, connection) = Client::new(options, 1000);
                let inbox = VecDeque::new();
                let mut peer = Peer {
                    client,
                    connection,
                    inbox,
                    session_present: false,
                };
                peer.session_present = peer.until("CONNACK", |incoming| match incoming {
                    Incoming::ConnAck(connack) => Some(connack.session_present),
                    _ => None,
                });
                peer
            }

            /// Drives the connection until a packet is what is waited for.
            fn until<T>(&mut self, what: &str, wanted: impl Fn(&Incoming) -> Option<T>) -> T {
                loop {
                    let Ok(event) = self.connection.recv_timeout(DEADLINE) else {
                        panic!("no {what} in time");
                    };
                    let event = event.unwrap_or_else(|error| panic!("no {what}: {error}"));
                    let Event::Incoming(incoming) = event else {
                        continue;
                    };
                    if let Incoming::Publish(publish) = &incoming {
                        let payload = String::from_utf8(publish.payload.to_vec());
                        let payload = payload.expect("text");
                        let message = (topic_of(publish), payload, publish.qos, publish.retain);
                        self.inbox.push_back(message);
                    }
                    if let Some(found) = wanted(&incoming) {
                        return found;
                    }
                }
            }

            fn subscribe(&mut self, filter: &str, qos: QoS) {
                self.client
                    .subscribe(filter, qos)
                    .expect("room in the channel");
                self.until("SUBACK", |i| matches!(i, Incoming::SubAck(_)).then_some(()));
            }

            fn publish(&mut self, topic: &str, payload: &str, qos: QoS, retain: bool) {
                let sent = self.client.publish(topic, qos, retain, payload.to_owned());
                sent.expect("room in the channel");
                match qos {
                    // Nothing answers: a later acknowledgement shows that it left.
                    QoS::AtMostOnce => self.publish("fence", "", QoS::AtLeastOnce, false),
                    QoS::AtLeastOnce => {
                        self.until("PUBACK", |i| matches!(i, Incoming::PubAck(_)).then_some(()));
                    }
                    QoS::ExactlyOnce => {
                        self.until("PUBCOMP", |i| {
                            matches!(i, Incoming::PubComp(_)).then_some(())
                        });
                    }
                }
            }

            fn expect(&mut self, topic: &str, payload: &str, qos: QoS, retain: bool) {
                if self.inbox.is_empty() {
                    self.until("PUBLISH", |i| {
                        matches!(i, Incoming::Publish(_)).then_some(())
                    });
                }
                let got = self.inbox.pop_front().expect("just waited for");
                assert_eq!(got, (topic.to_owned(), payload.to_owned(), qos, retain));
            }

            fn close(mut self) {
                self.client.disconnect().expect("room in the channel");
                // The broker closes, which this client reports as an error.
                while let Ok(Ok(_)) = self.connection.recv_timeout(DEADLINE) {}
            }
        }

        pub(super) fn all(broker: SocketAddr) {
            qos_both_ways(broker);
            retained(broker);
            wills(broker);
            persistent_session(broker);
            takeover(broker);
            wildcards_and_dollar_topics(broker);
            order_of_many(broker);
        }

        fn qos_both_ways(broker: SocketAddr) {
            let mut publisher = Peer::open(options("publisher", broker));
            let mut subscriber = Peer::open(options("subscriber", broker));
            for granted in QOS {
                let topic = format!("qos/{granted:?}");
                subscriber.subscribe(&topic, granted);
                for sent in QOS {
                    publisher.publish(&topic, "hello", sent, false);
                    let lower = if (sent as u8) < granted as u8 {
                        sent
                    } else {
                        granted
                    };
                    subscriber.expect(&topic, "hello", lower, false);
                }
            }
        }

        fn retained(broker: SocketAddr) {
            let mut peer = Peer::open(options("retained", broker));
            peer.publish("kept/t", "old", QoS::AtLeastOnce, true);
            peer.publish("kept/t", "new", QoS::ExactlyOnce, true);
            peer.subscribe("kept/#", QoS::AtLeastOnce);
            peer.expect("kept/t", "new", QoS::AtLeastOnce, true);
            peer.publish("kept/t", "", QoS::AtLeastOnce, true);
            peer.expect("kept/t", "", QoS::AtLeastOnce, false);
        }

        fn wills(broker: SocketAddr) {
            let mut watcher = Peer::open(options("watcher", broker));
            watcher.subscribe("will", QoS::AtLeastOnce);
            let mut mortal = options("mortal", broker);
            mortal.set_last_will(will("will", "gone"));
            // Dropping the client closes the socket without a DISCONNECT.
            drop(Peer::open(mortal.clone()));
            watcher.expect("will", "gone", QoS::AtLeastOnce, false);
            Peer::open(mortal).close();
            watcher.publish("will", "fence", QoS::AtLeastOnce, false);
            watcher.expect("will", "fence", QoS::AtLeastOnce, false);
        }

        fn persistent_session(broker: SocketAddr) {
            let mut first = Peer::open(persistent("stays", broker));
            assert!(!first.session_present, "a session that never was");
            first.subscribe("stays/+", QoS::ExactlyOnce);
            first.close();
            let mut publisher = Peer::open(options("publisher", broker));
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                publisher.publish("stays/t", "kept", qos, false);
            }
            let mut second = Peer::open(persistent("stays", broker));
            assert!(second.session_present, "the session was lost");
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                second.expect("stays/t", "kept", qos, false);
            }
            second.close();
            assert!(!Peer::open(options("stays", broker)).session_present);
        }

        fn takeover(broker: SocketAddr) {
            let mut first = Peer::open(options("taken", broker));
            let mut second = Peer::open(options("taken", broker));
            while let Ok(Ok(event)) = first.connection.recv_timeout(DEADLINE) {
                check_disconnect(&event);
            }
            second.subscribe("taken/t", QoS::AtLeastOnce);
            second.publish("taken/t", "alive", QoS::AtLeastOnce, false);
            second.expect("taken/t", "alive", QoS::AtLeastOnce, false);
        }

        fn wildcards_and_dollar_topics(broker: SocketAddr) {
            let mut peer = Peer::open(options("wild", broker));
            for (filter, topic) in [("w/+/c", "w/b/c"), ("x/#", "x"), ("$own/#", "$own/t")] {
                peer.subscribe(filter, QoS::AtLeastOnce);
                peer.publish(topic, filter, QoS::AtLeastOnce, false);
                peer.expect(topic, filter, QoS::AtLeastOnce, false);
            }
            let mut wide = Peer::open(options("wide", broker));
            wide.subscribe("#", QoS::AtLeastOnce);
            wide.publish("$own/t", "hidden", QoS::AtLeastOnce, false);
            wide.publish("seen", "seen", QoS::AtLeastOnce, false);
            wide.expect("seen", "seen", QoS::AtLeastOnce, false);
        }

        fn order_of_many(broker: SocketAddr) {
            let mut subscriber = Peer::open(options("subscriber", broker));
            let mut publisher = Peer::open(options("publisher", broker));
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let topic = format!("order/{qos:?}");
                subscriber.subscribe(&topic, qos);
                for number in 0..100 {
                    publisher.publish(&topic, &number.to_string(), qos, false);
                }
                for number in 0..100 {
                    subscriber.expect(&topic, &number.to_string(), qos, false);
                }
            }
        }
    };
}

mod v4 {
    use super::{DEADLINE, SocketAddr};
    use rumqttc::{Client, Connection, Event, Incoming, LastWill, MqttOptions, Publish, QoS};
    use std::collections::VecDeque;

    checks!();

    fn options(client_id: &str, broker: SocketAddr) -> MqttOptions {
        MqttOptions::new(client_id, broker.ip().to_string(), broker.port())
    }

    fn persistent(client_id: &str, broker: SocketAddr) -> MqttOptions {
        let mut options = options(client_id, broker);
        options.set_clean_session(false);
        options
    }

    fn will(topic: &str, payload: &str) -> LastWill {
        LastWill::new(topic, payload.to_owned(), QoS::AtLeastOnce, false)
    }

    fn topic_of(publish: &Publish) -> String {
        publish.topic.clone()
    }

    fn check_disconnect(_: &Event) {}
}

mod v5 {
    use super::{DEADLINE, SocketAddr};
    use rumqttc::v5::mqttbytes::QoS;
    use rumqttc::v5::mqttbytes::v5::{DisconnectReasonCode, LastWill, Publish};
    use rumqttc::v5::{Client, Connection, Event, Incoming, MqttOptions};
    use std::collections::VecDeque;

    checks!();

    fn options(client_id: &str, broker: SocketAddr) -> MqttOptions {
        let mut options = MqttOptions::new(client_id, broker.ip().to_string(), broker.port());
        options.set_clean_start(true);
        options
    }

    fn persistent(client_id: &str, broker: SocketAddr) -> MqttOptions {
        let mut options = options(client_id, broker);
        options.set_clean_start(false);
        options.set_session_expiry_interval(Some(600));
        options
    }

    fn will(topic: &str, payload: &str) -> LastWill {
        LastWill::new(topic, payload.to_owned(), QoS::AtLeastOnce, false, None)
    }

    fn topic_of(publish: &Publish) -> String {
        String::from_utf8(publish.topic.to_vec()).expect("text")
    }

    fn check_disconnect(event: &Event) {
        if let Event::Incoming(Incoming::Disconnect(disconnect)) = event {
            assert_eq!(
                disconnect.reason_code,
                DisconnectReasonCode::SessionTakenOver
            );
        }
    }
}

fn ask(all: fn(SocketAddr)) {
    let broker = Broker::start();
    all(broker.address());
    broker.stop().assert_mail_crossed();
    let broker = Broker::start();
    let dribble = Proxy::start(broker.address(), 1, |_| Fate::Dribble);
    all(dribble.address());
    broker.stop().assert_mail_crossed();
}

/// A client that never heard of this broker needs no extension to be served.
/// `[MQTT311-7.0.0-2]`
#[test]
fn rumqttc_4() {
    ask(v4::all);
}

#[test]
fn rumqttc_5() {
    ask(v5::all);
}
