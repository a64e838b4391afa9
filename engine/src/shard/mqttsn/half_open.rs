//! Clients that are not connected yet, which anybody can be under any address.

use std::collections::HashMap;

use crate::base::limits::{SN_HALF_OPEN_MAX, SN_HALF_OPEN_PER_IP_MAX};
use crate::base::{IpAddr, SocketAddr};

/// Counts them, in all and for each IP address.
#[derive(Debug)]
pub(super) struct HalfOpen {
    by_ip: HashMap<IpAddr, u16, ahash::RandomState>,
    len: usize,
}

impl HalfOpen {
    pub(super) fn new(hasher: &ahash::RandomState) -> Self {
        Self {
            by_ip: HashMap::with_hasher(hasher.clone()),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether one more may come from that address.
    pub(super) fn has_room(&self, ip: IpAddr) -> bool {
        let of_ip = self.by_ip.get(&ip).copied().unwrap_or(0);
        self.len < SN_HALF_OPEN_MAX && of_ip < SN_HALF_OPEN_PER_IP_MAX
    }

    /// One came.
    pub(super) fn enter(&mut self, ip: IpAddr) {
        *self.by_ip.entry(ip).or_default() += 1;
        self.len += 1;
    }

    /// One is connected, gone, or elsewhere.
    pub(super) fn leave(&mut self, address: Option<SocketAddr>) {
        let ip = address.map(|address| address.ip());
        let Some((ip, count)) = ip.and_then(|ip| Some((ip, self.by_ip.get_mut(&ip)?))) else {
            return;
        };
        self.len -= 1;
        *count -= 1;
        if *count == 0 {
            self.by_ip.remove(&ip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_all_of_them_have_a_limit() {
        let mut half_open = HalfOpen::new(&ahash::RandomState::with_seeds(1, 2, 3, 4));
        let ip = |number: usize| {
            let bits = u32::try_from(number).expect("small");
            IpAddr::from(bits.to_be_bytes())
        };
        for _ in 0..SN_HALF_OPEN_PER_IP_MAX {
            assert!(half_open.has_room(ip(0)));
            half_open.enter(ip(0));
        }
        assert!(!half_open.has_room(ip(0)) && half_open.has_room(ip(1)));
        let mut others = 0;
        while half_open.has_room(ip(1 + others)) {
            half_open.enter(ip(1 + others));
            others += 1;
        }
        assert_eq!(half_open.len(), SN_HALF_OPEN_MAX);
        let address = |number| Some(SocketAddr::from((ip(number), 1884)));
        half_open.leave(address(0));
        assert!(half_open.has_room(ip(0)));
        (0..others).for_each(|other| half_open.leave(address(1 + other)));
        (1..SN_HALF_OPEN_PER_IP_MAX).for_each(|_| half_open.leave(address(0)));
        assert!(half_open.by_ip.is_empty() && half_open.len() == 0);
    }
}
