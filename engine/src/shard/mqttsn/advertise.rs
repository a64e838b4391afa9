//! ADVERTISE: the gateway says that it is there to whoever hears it `[MQTTSN-6.1]`.

use ringbus_protocols::mqttsn::Packet;

use super::GATEWAY_ID;
use crate::base::{Nanos, ShardId, SocketAddr};
use crate::shard::{Shard, ShardConfig};

/// What is advertised where; nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Advertise {
    /// Where it goes, each time by the UDP listener of that number: who hears it learns the
    /// gateway's address from the datagram's source.
    pub to: Vec<(u16, SocketAddr)>,
    /// From one to the next, 1 or more; clients are told so `[MQTTSN-5.4.1]`.
    pub interval_seconds: u16,
}

/// The shard that speaks for all of them: to clients they are one gateway.
const SPEAKER: ShardId = ShardId(0);

/// When it is to be said again; `None` where it never is.
pub(super) fn first(shard: ShardId, config: &ShardConfig, now: Nanos) -> Option<Nanos> {
    let says_so = shard == SPEAKER && !config.sn.advertise.to.is_empty();
    says_so.then_some(now)
}

impl Shard {
    /// When it next says that it is there.
    pub(in crate::shard) fn advertise_deadline(&self) -> Option<Nanos> {
        self.sn.advertise_at.filter(|_| !self.draining)
    }

    /// Says that it is there, if it is time.
    #[inline]
    pub(in crate::shard) fn advertise(&mut self) {
        if self.advertise_deadline().is_some_and(|at| at <= self.now) {
            self.advertise_everywhere();
        }
    }

    #[cold]
    fn advertise_everywhere(&mut self) {
        let advertise = &self.config.sn.advertise;
        let duration_seconds = advertise.interval_seconds;
        debug_assert!(duration_seconds > 0, "it would be said without end");
        let packet = Packet::Advertise {
            gateway_id: GATEWAY_ID,
            duration_seconds,
        };
        for &(listener, to) in &advertise.to {
            self.counters.datagrams_sent += 1;
            self.sn.outgoing.push_packet(listener, to, None, &packet);
        }
        // From now on, as they are told, and not from when it was due.
        let interval = Nanos::from_secs(u64::from(duration_seconds));
        self.sn.advertise_at = Some(self.now + interval);
    }
}
