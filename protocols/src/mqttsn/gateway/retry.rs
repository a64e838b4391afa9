//! What is sent again, and when a client is lost `[MQTTSN-6.11]` `[MQTTSN-6.13]`.

use super::super::Packet;
use super::outgoing::{Retry, Step};
use super::{Gateway, Io, Phase, Settings, Verdict};

const NS_PER_SECOND: u64 = 1_000_000_000;

impl Gateway {
    /// When the client has been silent for too long.
    pub(super) fn silent_at(&self, settings: &Settings) -> Option<u64> {
        let silence_ns = match self.phase {
            Phase::New | Phase::Ended => return None,
            // Whoever does not even repeat its CONNECT is gone.
            Phase::WillTopic | Phase::WillMessage | Phase::Connecting => settings
                .retry_ns
                .saturating_mul(u64::from(settings.retries) + 1),
            Phase::Active => one_and_a_half(self.duration_seconds),
            Phase::Asleep | Phase::Awake => one_and_a_half(self.sleep_seconds),
        };
        Some(self.heard_at.saturating_add(silence_ns))
    }

    /// When something is to be sent again.
    pub(super) fn retry_at(&self) -> Option<u64> {
        if !matches!(self.phase, Phase::Active | Phase::Awake) {
            return None;
        }
        let outgoing = self.outgoing.as_ref()?;
        let exchange = outgoing.exchange.as_ref().map(|e| e.retry.at);
        let registering = outgoing.registering.as_ref().map(|r| r.retry.at);
        exchange.into_iter().chain(registering).min()
    }

    /// Sends again what is due. A client that is awake and does not answer has gone to sleep
    /// without waiting for PINGRESP; any other is lost.
    pub(super) fn retry(&mut self, settings: &Settings, io: &mut Io<'_>) -> Verdict {
        if self.retry_at().is_none_or(|at| at > io.now) {
            return Verdict::Open;
        }
        let Some(outgoing) = &mut self.outgoing else {
            return Verdict::Open;
        };
        let exchange = outgoing.exchange.as_mut().map(|e| &mut e.retry);
        let registering = outgoing.registering.as_mut().map(|r| &mut r.retry);
        let (mut is_exhausted, mut due) = (false, [false; 2]);
        for (retry, due) in [exchange, registering].into_iter().zip(&mut due) {
            if let Some(retry) = retry
                && retry.at <= io.now
            {
                is_exhausted |= retry.count >= settings.retries;
                retry.count = retry.count.saturating_add(1);
                retry.at = io.now.saturating_add(settings.retry_ns);
                *due = true;
            }
        }
        if is_exhausted && self.phase == Phase::Awake {
            self.sleep(settings, io.now);
            return Verdict::Open;
        }
        if is_exhausted {
            return self.lose();
        }
        let [exchange_is_due, registering_is_due] = due;
        if exchange_is_due {
            self.send_exchange(io);
        }
        if registering_is_due {
            self.send_register(io);
        }
        Verdict::Open
    }

    /// Sends everything again that is not acknowledged, and counts anew.
    pub(super) fn send_again(&mut self, settings: &Settings, io: &mut Io<'_>) {
        let Some(outgoing) = &mut self.outgoing else {
            return;
        };
        let again = Retry::first(io.now, settings.retry_ns);
        if let Some(exchange) = &mut outgoing.exchange
            && exchange.step != Step::Received
        {
            exchange.retry = again;
        }
        if let Some(registering) = &mut outgoing.registering {
            registering.retry = again;
        }
        self.send_exchange(io);
        self.send_register(io);
    }

    fn send_exchange(&mut self, io: &mut Io<'_>) {
        let outgoing = self.outgoing.as_mut();
        let Some(exchange) = outgoing.and_then(|outgoing| outgoing.exchange.as_mut()) else {
            return;
        };
        match exchange.step {
            Step::Published => {
                exchange.message.set_dup();
                io.to_client.push_encoded(&exchange.message.datagram);
            }
            Step::Received => {}
            Step::Released => io.to_client.push(&Packet::PubRel {
                msg_id: exchange.message.head.msg_id,
            }),
        }
    }
}

/// The silence in nanoseconds after which a client is lost that promised to be heard every
/// `seconds`; 0 is the longest that can be promised.
fn one_and_a_half(seconds: u16) -> u64 {
    let seconds = if seconds == 0 { u16::MAX } else { seconds };
    u64::from(seconds) * NS_PER_SECOND / 2 * 3
}
