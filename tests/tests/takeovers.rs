//! Takeovers in flight, asked of the program: no packet identifier is ever acknowledged for a
//! message it does not belong to.

use ringbus::base::Nanos;
use ringbus::io::sim::Chance;
use ringbus_protocols::mqtt::{QoS, Version};
use ringbus_tests::broker::Broker;
use ringbus_tests::client::{Client, Received};
use ringbus_tests::takeover::{Life, TOPICS, is_heard, topic};

/// Of each of the four brokers: 10,000 on each driver.
const TAKEOVERS: usize = 5_000;
/// No owner is known to stand still.
const AWAKE: [Nanos; TOPICS] = [Nanos::ZERO; TOPICS];

/// Clean Starts of one client identifier, each while QoS 1 and 2 messages of the connection before
/// are under way to other shards.
///
/// `[MQTT5-3.1.2-4]` `[MQTT5-3.1.4-3]` `[MQTT311-3.1.2-6]` `[MQTT311-3.1.4-2]`
#[test]
fn takeovers_in_flight_never_acknowledge_another_message() {
    for io in ["ring", "epoll"] {
        for shards in ["2", "4"] {
            let broker = Broker::start_with(&["--io", io, "--shards", shards]);
            let mut listener = Client::open(&broker, Version::V5, "listener");
            for number in (0..TOPICS).filter(|&number| is_heard(number)) {
                listener.subscribe(&topic(number), QoS::AtMostOnce);
            }
            let outstanding = take_over(&broker, listener);
            assert!(
                outstanding * 4 > TAKEOVERS,
                "{io}, {shards} shards: {outstanding} in flight only"
            );
            broker.stop().assert_mail_crossed();
        }
    }
}

/// How many connections were taken over with something unacknowledged.
fn take_over(broker: &Broker, mut listener: Client) -> usize {
    let mut chance = Chance::new(u64::from(broker.pid()));
    let mut outstanding = 0;
    let mut old = Connection::new(broker, 0, &mut chance);
    old.hello(&mut chance);
    for number in 1..=TAKEOVERS {
        // Open already, so that its CONNECT is right behind the last messages of the one before.
        let mut new = Connection::new(broker, number, &mut chance);
        old.publish(&mut chance);
        new.hello(&mut chance);
        outstanding += usize::from(old.read_to_end());
        old = new;
        if number % 100 == 0 {
            listener.ping();
        }
    }
    old.read_acknowledgements();
    outstanding
}

struct Connection {
    client: Client,
    life: Life,
}

impl Connection {
    fn new(broker: &Broker, number: usize, chance: &mut Chance) -> Connection {
        let version = *chance.pick(&[Version::V3_1_1, Version::V5, Version::V5]);
        Connection {
            client: Client::raw(broker.address(), version),
            life: Life::new(number, version),
        }
    }

    /// CONNECT, sometimes with messages right behind it, and its answer.
    fn hello(&mut self, chance: &mut Chance) {
        self.client.hold();
        self.client.send_bytes(&self.life.hello());
        if chance.percent(50) {
            self.put_messages(chance);
        }
        self.client.release();
        while !self.life.is_connected() {
            let received = self.client.receive();
            self.judge(&received);
        }
    }

    fn publish(&mut self, chance: &mut Chance) {
        self.client.hold();
        self.put_messages(chance);
        self.client.release();
    }

    fn put_messages(&mut self, chance: &mut Chance) {
        for _ in 0..chance.range(1, 12) {
            let bytes = self.life.publish(chance, b"in flight", &AWAKE);
            self.client.send_bytes(&bytes);
        }
    }

    fn judge(&mut self, received: &Received) {
        let judged = self.life.take(&received.packet(), Nanos::ZERO, &AWAKE);
        match judged {
            Ok(Some(answer)) => self.client.send_bytes(&answer),
            Ok(None) => {}
            Err(wrong) => panic!("{wrong}"),
        }
    }

    /// It is taken over; whether it has messages without their last acknowledgement.
    fn read_to_end(mut self) -> bool {
        while let Some(received) = self.client.receive_or_end() {
            self.judge(&received);
        }
        self.life.outstanding().next().is_some()
    }

    /// It stays, and gets everything that it waits for.
    fn read_acknowledgements(mut self) {
        while self.life.outstanding().next().is_some() {
            let received = self.client.receive();
            self.judge(&received);
        }
        assert_eq!(self.client.answers_ping(), Some(()));
    }
}
