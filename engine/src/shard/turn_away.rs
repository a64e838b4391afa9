//! Clients that cannot stay or come: a drain, no place, too many at once.

use super::Shard;
use super::fault::Fault;
use crate::base::{ConnId, Nanos};

/// During a drain, how long a connection without a CONNECT may still send it, to get an answer.
const DRAIN_GRACE: Nanos = Nanos::from_millis(200);

impl Shard {
    /// Stops: every client is told (v5: 0x8B, or 0x9C if there is another server), every connection
    /// ends, none is accepted.
    pub fn start_drain(&mut self) {
        self.draining = true;
        let goodbye = match self.config.server_reference {
            Some(_) => Fault::USE_ANOTHER,
            None => Fault::SHUTTING_DOWN,
        };
        let all: Vec<ConnId> = self.connections.keys().collect();
        for id in all {
            let Some(conn) = self.connections.get_mut(id) else {
                continue;
            };
            if conn.session.is_some() {
                self.close(id, Some(goodbye), false);
            } else if conn.auth().is_some() {
                self.refuse(id, self.unavailable(), &[]);
            } else {
                conn.patience = conn.patience.min(self.now + DRAIN_GRACE);
                self.arm_connection(id);
            }
        }
    }

    /// What a CONNECT gets during a drain.
    fn unavailable(&self) -> Fault {
        match self.config.server_reference {
            Some(_) => Fault::USE_ANOTHER,
            None => Fault::UNAVAILABLE,
        }
    }

    /// Whether the sender of a CONNECT may come in, whoever it is.
    pub(super) fn check_room(&mut self, id: ConnId) -> Result<(), Fault> {
        if self.draining {
            return Err(self.unavailable());
        }
        let Some(conn) = self.connections.get_mut(id) else {
            return Ok(());
        };
        let admission = self.config.admission_of(conn.is_sn());
        if !conn.has_place {
            if !admission.enter() {
                return Err(match self.config.server_reference {
                    Some(_) => Fault::USE_ANOTHER,
                    None => Fault::NO_PLACE,
                });
            }
            // Somebody left meanwhile.
            admission.leave_surplus();
            conn.has_place = true;
        }
        // One that was handed over was counted where it came in.
        if !conn.is_adopted && !self.config.admission.takes_connect(self.now) {
            return Err(Fault::CONNECT_RATE);
        }
        Ok(())
    }
}
