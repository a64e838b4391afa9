//! What the server says of itself, and how it takes leave.

use ringbus_protocols::nats::writer::{self, Info};

use crate::base::ConnId;
use crate::shard::Shard;
use crate::shard::fault::Fault;

/// Clients look at the version for what a server can do: so much of 2.10 is here.
const LIKE_VERSION: &str = "2.10.0";

impl Shard {
    /// Appends an INFO.
    pub(super) fn put_info(&mut self, id: ConnId, is_leaving: bool) {
        let number = self.counters.accepted * u64::from(self.config.shards) + u64::from(self.id.0);
        let Some(conn) = self.connections.get_mut(id) else {
            return;
        };
        let client_ip = conn.peer.0.map(|address| address.ip().to_string());
        let settings = &self.config.nats;
        let info = Info {
            server_id: &settings.server_id,
            server_name: "ringbus",
            version: LIKE_VERSION,
            host: &settings.host,
            port: settings.port,
            max_payload: settings.payload_max(self.config.max_packet_size),
            client_id: number,
            client_ip: client_ip.as_deref(),
            auth_required: false,
            lame_duck: is_leaving,
        };
        writer::put_info(self.outgoing.open(conn), &info);
    }

    /// Appends what a client is told at the end. One that hears of a lame duck goes elsewhere, and
    /// needs no error.
    pub(in crate::shard) fn put_nats_farewell(&mut self, id: ConnId, fault: Fault) {
        if matches!(fault, Fault::SHUTTING_DOWN | Fault::USE_ANOTHER) {
            return self.put_info(id, true);
        }
        if let Some(conn) = self.connections.get_mut(id) {
            writer::put_error(self.outgoing.open(conn), words(fault));
        }
    }
}

/// Clients know some errors by their words, which are those of nats-server.
fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::NO_PONG => "Stale Connection",
        Fault::SLOW_CLIENT => "Slow Consumer",
        Fault::UNAVAILABLE => "Server Shutdown",
        Fault::NO_PLACE => "maximum connections exceeded",
        other => other.words,
    }
}
