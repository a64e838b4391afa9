//! PINGREQ, DISCONNECT and the client that sleeps `[MQTTSN-6.11]` `[MQTTSN-6.12]`
//! `[MQTTSN-6.14]`.

use crate::mqtt::{Disconnect, ReasonCode, Version};

use super::super::Packet;
use super::{Gateway, Io, Phase, Settings, Verdict};

impl Gateway {
    /// DISCONNECT: with a duration the client sleeps, without it says good-bye. It may say the
    /// former again, with another duration.
    pub(super) fn on_disconnect(
        &mut self,
        duration_seconds: Option<u16>,
        settings: &Settings,
        io: &mut Io<'_>,
    ) -> Verdict {
        let sleep_seconds = duration_seconds.unwrap_or(0);
        io.to_client.push(&Packet::Disconnect {
            duration_seconds: None,
        });
        self.heard_at = io.now;
        self.has_spoken = true;
        if sleep_seconds > 0 && self.is_connected() {
            self.sleep_seconds = sleep_seconds;
            self.sleep(settings, io.now);
            return Verdict::Open;
        }
        if self.is_connected() || self.phase == Phase::Connecting {
            let goodbye = Disconnect::new(ReasonCode::NormalDisconnection);
            goodbye.encode(Version::V5, io.to_broker);
        }
        self.leaves_will = false;
        self.phase = Phase::Ended;
        Verdict::Closed
    }

    /// PINGREQ. With its client id a sleeping client asks for its messages: PINGRESP comes behind
    /// them. The id of another client is not for this one.
    pub(super) fn on_ping(
        &mut self,
        client_id: Option<&str>,
        settings: &Settings,
        io: &mut Io<'_>,
    ) -> Verdict {
        if client_id.is_some_and(|id| *id != *self.client_id) {
            return self.ignore();
        }
        self.heard_at = io.now;
        self.has_spoken = true;
        match self.phase {
            Phase::Active => io.to_client.push(&Packet::PingResp),
            Phase::Asleep => self.wake(Phase::Awake, settings, io),
            _ => {}
        }
        Verdict::Open
    }

    /// A sleeping client is active or awake: what it had not acknowledged is sent again.
    pub(super) fn wake(&mut self, phase: Phase, settings: &Settings, io: &mut Io<'_>) {
        let was_asleep = self.phase == Phase::Asleep;
        self.phase = phase;
        self.heard_at = io.now;
        if was_asleep {
            self.send_again(settings, io);
        }
    }

    pub(super) fn sleep(&mut self, settings: &Settings, now: u64) {
        self.phase = Phase::Asleep;
        // One of very many: it keeps no more than it needs.
        let since = now.saturating_sub(settings.retry_ns);
        if self.incoming.as_ref().is_some_and(|i| i.is_idle(since)) {
            self.incoming = None;
        }
        if self.outgoing.as_ref().is_some_and(|o| o.is_idle()) {
            self.outgoing = None;
        }
    }

    /// PINGRESP: there is nothing more for the client, it sleeps again.
    pub(super) fn fall_asleep_if_done(&mut self, settings: &Settings, io: &mut Io<'_>) {
        if self.outgoing.as_ref().is_none_or(|o| o.is_idle()) {
            io.to_client.push(&Packet::PingResp);
            self.sleep(settings, io.now);
        }
    }
}
