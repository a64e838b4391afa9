//! Whether the other end of a WebSocket is still there: pings into silence [RFC6455 5.5.2].

use ringbus_protocols::websocket::frame::Opcode;

use super::{Stage, WebRole};
use crate::base::ConnId;
use crate::shard::Shard;
use crate::shard::alive::Verdict;
use crate::shard::fault::Fault;

impl Shard {
    /// A deadline of the WebSocket, or of STOMP on it, has come.
    pub(in crate::shard) fn on_web_timer(&mut self, id: ConnId) {
        let (now, interval) = (self.now, self.config.web.ping);
        let Some(web) = self.web_mut(id) else { return };
        if matches!(web.role, WebRole::Stomp(_)) {
            self.on_stomp_timer(id);
        }
        let Some(web) = self.web_mut(id) else { return };
        if web.alive.next > now {
            return self.arm_connection(id);
        }
        if matches!(web.stage, Stage::Leaving(_)) {
            return self.leave_now(id);
        }
        match web.alive.judge(now, interval) {
            Verdict::Wait => {}
            Verdict::Ping => self.put_control(id, Opcode::Ping, &[]),
            Verdict::Gone => return self.close(id, Some(Fault::NO_PONG), true),
        }
        self.arm_connection(id);
    }

    /// A connection that is not read is not silent.
    pub(in crate::shard) fn excuse_silence(&mut self, id: ConnId) {
        let (now, interval) = (self.now, self.config.web.ping);
        let Some(web) = self.web_mut(id) else { return };
        if let WebRole::Stomp(stomp) = &mut web.role {
            stomp.heard(now);
        }
        match web.stage {
            Stage::Leaving(_) => web.alive.next = now + super::leaving::LEAVING,
            _ => web.alive.start(now, interval),
        }
    }
}
