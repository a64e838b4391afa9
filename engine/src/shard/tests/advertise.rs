//! ADVERTISE, in virtual time.

use ringbus_protocols::mqttsn::{Packet, decode};

use super::super::Advertise;
use super::net::Net;
use crate::base::{Nanos, SocketAddr};

const INTERVAL_SECONDS: u16 = 900;
const INTERVAL: Nanos = Nanos::from_secs(INTERVAL_SECONDS as u64);

fn group(number: u8) -> SocketAddr {
    SocketAddr::from(([239, 1, 2, number], 1884))
}

fn advertising(shards: u16, to: &[(u16, SocketAddr)]) -> Net {
    let mut net = Net::with(shards, |config| {
        config.sn.advertise = Advertise {
            to: to.to_vec(),
            interval_seconds: INTERVAL_SECONDS,
        };
    });
    net.settle();
    net
}

impl Net {
    /// Where ADVERTISE went since the last call; nothing else was sent.
    fn advertised(&mut self) -> Vec<SocketAddr> {
        let sent = self.datagrams.drain(..).map(|(to, bytes)| {
            let packet = decode(&bytes).expect("a message");
            let Packet::Advertise {
                gateway_id,
                duration_seconds,
            } = packet
            else {
                panic!("{packet:?}");
            };
            assert_eq!((gateway_id, duration_seconds), (1, INTERVAL_SECONDS));
            to
        });
        sent.collect()
    }
}

#[test]
fn mqttsn_6_1_it_is_sent_at_the_start_and_at_every_interval() {
    for shards in [1, 2, 4] {
        let to = [group(1), group(2)];
        let mut net = advertising(shards, &to.map(|to| (0, to)));
        for _ in 0..3 {
            // Once: by one of the shards.
            assert_eq!(net.advertised(), to);
            net.pass(Nanos(INTERVAL.0 - 1));
            assert_eq!(net.advertised(), []);
            let deadlines = net.shards.iter().map(|shard| shard.next_deadline());
            let next: Vec<Nanos> = deadlines.flatten().collect();
            assert_eq!(next, [net.now + Nanos(1)]);
            net.pass(Nanos(1));
        }
    }
}

#[test]
fn one_that_was_late_is_sent_once_and_the_next_an_interval_later() {
    let mut net = advertising(2, &[(0, group(1))]);
    net.advertised();
    net.pass(Nanos(INTERVAL.0 * 5 / 2));
    assert_eq!(net.advertised().len(), 1);
    net.pass(Nanos(INTERVAL.0 - 1));
    assert_eq!(net.advertised(), []);
    net.pass(Nanos(1));
    assert_eq!(net.advertised().len(), 1);
}

#[test]
fn each_leaves_by_its_own_listener() {
    let mut net = Net::with(1, |config| {
        config.sn.advertise = Advertise {
            to: vec![(0, group(1)), (1, group(2)), (1, group(1))],
            interval_seconds: 1,
        };
    });
    net.shards[0].begin_turn(net.now);
    net.shards[0].end_turn(&mut net.mailboxes[0]);
    let sent = net.shards[0].datagrams();
    let by: Vec<_> = (0..sent.len())
        .map(|at| (sent.listener(at), sent.get(at).0))
        .collect();
    assert_eq!(by, [(0, group(1)), (1, group(2)), (1, group(1))]);
}

#[test]
fn without_an_address_there_is_none() {
    let mut net = advertising(2, &[]);
    assert!(
        net.shards
            .iter()
            .all(|shard| shard.next_deadline().is_none())
    );
    net.pass(INTERVAL);
    assert_eq!(net.advertised(), []);
}

#[test]
fn a_broker_that_is_about_to_end_says_no_more() {
    let mut net = advertising(1, &[(0, group(1))]);
    assert_eq!(net.advertised().len(), 1);
    net.shards[0].start_drain();
    assert_eq!(net.shards[0].next_deadline(), None);
    net.pass(INTERVAL);
    assert_eq!(net.advertised(), []);
}
