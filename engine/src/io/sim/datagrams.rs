//! Datagrams of clients: lost, doubled and out of order, by chance.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::Sim;
use crate::base::Nanos;

/// What becomes of a datagram on its way, in either direction.
#[derive(Clone, Debug, Default)]
pub struct DatagramFaults {
    /// Of 100, how many get lost.
    pub drop_percent: u64,
    /// Of 100, how many arrive twice.
    pub duplicate_percent: u64,
    /// Of 100, how many are late, so that others overtake them.
    pub reorder_percent: u64,
    /// How late at most.
    pub late_max: Nanos,
}

/// Datagrams on their way to one end, by the time of their arrival and a running number.
pub(super) type UnderWay<T> = BTreeMap<(Nanos, u64), T>;

/// The network between clients and shards.
#[derive(Default)]
pub(super) struct Network {
    faults: DatagramFaults,
    /// The next running number.
    number: u64,
    to_clients: BTreeMap<SocketAddr, UnderWay<Vec<u8>>>,
}

impl Sim {
    /// What becomes of datagrams from here on; nothing at first.
    pub fn set_datagram_faults(&mut self, faults: DatagramFaults) {
        self.network.faults = faults;
    }

    /// A client sends a datagram to the listener of MQTT-SN. Those of one address always come to
    /// the same shard.
    pub fn send_datagram(&mut self, from: SocketAddr, datagram: &[u8]) {
        let shard = usize::from(from.port()) % self.seats.len();
        for key in self.arrivals() {
            let datagram = (from, datagram.to_vec());
            self.seats[shard].datagrams.insert(key, datagram);
        }
    }

    /// The next datagram that has arrived at a client.
    pub fn receive_datagram(&mut self, at: SocketAddr) -> Option<Vec<u8>> {
        let now = self.now;
        let waiting = self.network.to_clients.get_mut(&at)?;
        let first = waiting.first_entry().filter(|entry| entry.key().0 <= now);
        first.map(std::collections::btree_map::OccupiedEntry::remove)
    }

    /// Gives a shard what has arrived for it.
    pub(super) fn feed_datagrams(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        while let Some(entry) = seat.datagrams.first_entry()
            && entry.key().0 <= self.now
        {
            let (from, datagram) = entry.remove();
            seat.shard.on_datagram(0, from, &datagram);
        }
    }

    /// Puts on their way the datagrams that a shard made.
    pub(super) fn send_datagrams(&mut self, at: usize) {
        let datagrams = std::mem::take(self.seats[at].shard.datagrams());
        for number in 0..datagrams.len() {
            let (to, datagram) = datagrams.get(number);
            for key in self.arrivals() {
                let waiting = self.network.to_clients.entry(to).or_default();
                waiting.insert(key, datagram.to_vec());
            }
        }
    }

    /// When each copy of a datagram arrives; none if it gets lost.
    fn arrivals(&mut self) -> Vec<(Nanos, u64)> {
        let faults = self.network.faults.clone();
        if self.chance.percent(faults.drop_percent) {
            return Vec::new();
        }
        let copies = 1 + u64::from(self.chance.percent(faults.duplicate_percent));
        let arrival = |_| {
            let mut at = self.delayed();
            if self.chance.percent(faults.reorder_percent) {
                at = at + Nanos(self.chance.below(faults.late_max.0 + 1));
            }
            self.network.number += 1;
            (at, self.network.number)
        };
        (0..copies).map(arrival).collect()
    }
}
