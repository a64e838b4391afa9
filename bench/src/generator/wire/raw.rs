//! No protocol: the frames of MQTT without its greeting, for the copy relay.

use super::super::link::Link;
use super::{Mqtt, Next, Shape, Template, Wire};
use std::io;

/// Frames like MQTT's, copied by a relay that understands nothing.
pub struct Raw;

impl Wire for Raw {
    #[inline]
    fn next(bytes: &[u8]) -> io::Result<Next> {
        Mqtt::<false>::next(bytes)
    }

    fn template(shape: Shape<'_>) -> Template {
        Mqtt::<false>::template(shape)
    }

    fn connect(_link: &mut Link, _client_id: &str) -> io::Result<u16> {
        Ok(u16::MAX)
    }

    fn subscribe(_link: &mut Link, _filters: &[String], _qos: u8) -> io::Result<()> {
        Ok(())
    }
}
