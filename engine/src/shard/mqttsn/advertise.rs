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

/// When it is to be said first; [`Nanos::MAX`] where it never is.
pub(super) fn first(shard: ShardId, config: &ShardConfig, now: Nanos) -> Nanos {
    let says_so = shard == SPEAKER && !config.sn.advertise.to.is_empty();
    if says_so { now } else { Nanos::MAX }
}

impl Shard {
    /// When it next says that it is there.
    pub(in crate::shard) fn advertise_deadline(&self) -> Option<Nanos> {
        let at = self.sn.advertise_at;
        (at < Nanos::MAX && !self.draining).then_some(at)
    }

    /// Says that it is there, if it is time.
    #[inline]
    pub(in crate::shard) fn advertise(&mut self) {
        if self.sn.advertise_at <= self.now {
            self.advertise_everywhere();
        }
    }

    #[cold]
    fn advertise_everywhere(&mut self) {
        if self.draining {
            self.sn.advertise_at = Nanos::MAX;
            return;
        }
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
        self.sn.advertise_at = self.now + interval;
    }
}
