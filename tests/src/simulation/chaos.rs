//! Strangers: connections that send nonsense, or nothing, or half of something. They may only
//! harm themselves.

use ringbus::base::Socket;
use ringbus::io::sim::{Chance, Sim};
use ringbus_protocols::mqtt::{Connect, Frame, Packet, PropertiesBuf, Version, frame};

/// Connections of strangers that are still open.
#[derive(Default)]
pub(super) struct Strangers {
    open: Vec<Socket>,
    count: usize,
}

impl Strangers {
    /// One more stranger does one thing, or one of them leaves.
    pub(super) fn act(&mut self, sim: &mut Sim, chance: &mut Chance) {
        if self.open.len() > 4 || (!self.open.is_empty() && chance.percent(40)) {
            let socket = self.open.swap_remove(chance.index(self.open.len()));
            if chance.percent(50) {
                sim.close(socket)
            } else {
                sim.reset(socket)
            }
            return;
        }
        self.count += 1;
        let shard = chance.index(sim.shard_count());
        let socket = sim.connect(shard, 4096);
        let bytes = self.words(chance);
        for part in bytes.chunks(chance.index(bytes.len()) + 1) {
            sim.send(socket, part);
        }
        self.open.push(socket);
    }

    fn words(&self, chance: &mut Chance) -> Vec<u8> {
        let mut out = Vec::new();
        let version = *chance.pick(&Version::ALL);
        let none = PropertiesBuf::new();
        Connect {
            version,
            clean_start: true,
            keep_alive_seconds: 0,
            client_id: &format!("stranger-{}", self.count),
            will: None,
            username: None,
            password: None,
            properties: none.as_properties(),
        }
        .encode(&mut out);
        match chance.below(4) {
            0 => out.truncate(chance.index(out.len())),
            1 => {
                let at = chance.index(out.len());
                out[at] ^= 1 << chance.below(8);
                if outlives_its_connection(&out) {
                    out.clear();
                }
            }
            2 => out.clear(),
            _ => {}
        }
        let noise = chance.index(80);
        out.extend((0..noise).map(|_| chance.draw().to_le_bytes()[0] & !0x30));
        out
    }

    /// They all leave.
    pub(super) fn leave(&mut self, sim: &mut Sim) {
        for socket in self.open.drain(..) {
            sim.reset(socket);
        }
    }
}

/// A stranger's session must not be left behind: it would look like a leak.
fn outlives_its_connection(bytes: &[u8]) -> bool {
    let Ok(Frame::Complete { header, body, .. }) = frame(bytes, 1 << 16) else {
        return false;
    };
    match Packet::decode(header, body, Version::V5) {
        Ok(Packet::Connect(connect)) => {
            let expiry = connect.properties.session_expiry_interval();
            !connect.clean_start || connect.will.is_some() || expiry.is_some()
        }
        _ => false,
    }
}
