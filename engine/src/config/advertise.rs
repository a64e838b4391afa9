//! Where an MQTT-SN gateway says that it is there: `--mqttsn-advertise`.

use super::Config;
use super::error::Problem;
use super::listen::{ListenAddress, Listener};
use std::net::SocketAddr;

const EXAMPLE: &str = "write an IP address and a port, as 192.168.1.255:1884, 239.1.2.3:1884 \
                       or [ff02::1%2]:1884";

/// Reads one address, to which one of the listeners must be able to send.
pub(super) fn parse(text: &str, listeners: &[Listener]) -> Result<SocketAddr, Problem> {
    let to: SocketAddr = text
        .parse()
        .map_err(|_| Problem::new("is not an address", EXAMPLE))?;
    if to.port() == 0 || to.ip().is_unspecified() {
        return Err(Problem::new("is nobody's address", EXAMPLE));
    }
    if listeners.iter().any(|listener| listener.reaches(to)) {
        return Ok(to);
    }
    let (family, url) = match to {
        SocketAddr::V4(_) => ("IPv4", "mqttsn://0.0.0.0"),
        SocketAddr::V6(_) => ("IPv6", "mqttsn://[::]"),
    };
    let sends_there = |listener: &Listener| match listener.address {
        ListenAddress::Udp(own) => own.is_ipv4() == to.is_ipv4(),
        _ => false,
    };
    let why = if listeners.iter().any(sends_there) {
        format!("the MQTT-SN listener of {family} is a loopback address, which reaches nobody else")
    } else {
        format!("there is no MQTT-SN listener of {family} to send it")
    };
    Err(Problem::new(why, format!("add --listen {url}")))
}

impl Config {
    /// Where the gateway of that listener is to say that it is there.
    pub fn advertised_by(&self, listener: &Listener) -> impl Iterator<Item = SocketAddr> {
        let all = self.mqttsn_advertise.iter().copied();
        all.filter(|&to| listener.reaches(to))
    }
}

impl Listener {
    /// Whether datagrams of its socket can get to that address, as far as addresses tell.
    fn reaches(&self, to: SocketAddr) -> bool {
        let ListenAddress::Udp(own) = self.address else {
            return false;
        };
        let stays_here = to.ip().is_loopback() || to.ip().is_multicast();
        own.is_ipv4() == to.is_ipv4() && (stays_here || !own.ip().is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Scheme;

    fn listener(address: &str) -> Listener {
        Listener {
            scheme: Scheme::MqttSn,
            address: ListenAddress::Udp(address.parse().expect("test address")),
        }
    }

    #[test]
    fn an_address_is_for_a_listener_that_reaches_it() {
        for (own, to, reaches) in [
            ("0.0.0.0:1884", "192.168.1.255:1884", true),
            ("0.0.0.0:1884", "255.255.255.255:1884", true),
            ("192.168.1.7:1884", "239.1.2.3:1884", true),
            ("127.0.0.1:1884", "127.255.255.255:1884", true),
            ("127.0.0.1:1884", "239.1.2.3:1884", true),
            ("127.0.0.1:1884", "192.168.1.255:1884", false),
            ("127.0.0.1:1884", "[::1]:1884", false),
            ("[::]:1884", "192.168.1.255:1884", false),
            ("[::]:1884", "[ff02::1%2]:1884", true),
            ("[::1]:1884", "[2001:db8::1]:1884", false),
        ] {
            let listeners = [Listener::loopback(Scheme::Mqtt), listener(own)];
            assert_eq!(parse(to, &listeners).is_ok(), reaches, "{own} to {to}");
        }
        let tcp = Listener::loopback(Scheme::Mqtt);
        assert!(!tcp.reaches("127.0.0.1:1884".parse().expect("an address")));
    }
}
