//! From what the operator asked for to what a shard must know.

use crate::base::{Nanos, Scheme};
use crate::config::{Config, ListenAddress, Listener};
use crate::io::listener::Acceptor;
use crate::pubsub::{Partitioner, RetainedQuota};
use crate::shard::{Admission, Advertise, NatsConfig, Rate, ShardConfig, SnConfig, WebConfig};
use ahash::RandomState;
use ringbus_protocols::mqttsn::Settings;
use std::sync::Arc;

/// QoS 1 and 2 publishes that a client may have under way.
const RECEIVE_MAXIMUM: u16 = 1024;

/// The settings of all shards, and the seed of what they draw by chance.
pub(super) fn shard_config(
    config: &Config,
    connections_max: usize,
    acceptors: &[Acceptor],
) -> (Arc<ShardConfig>, u64) {
    // Keyed anew in every process: nobody can aim at one shard or one bucket.
    let hasher = RandomState::new();
    let seed = hasher.hash_one("seed");
    let levels = config.partition_levels.clone();
    let settings = ShardConfig {
        shards: config.shards,
        max_packet_size: config.max_packet_size,
        queue_bytes: config.queue_bytes,
        connect_timeout: nanos(config.connect_timeout),
        queue_messages: config.queue_messages,
        queue_policy: config.queue_policy,
        shared_strategy: config.shared_strategy,
        versions: config.versions,
        check_payload_format: config.check_payload_format,
        session_expiry_max: config.session_expiry_max,
        receive_maximum: RECEIVE_MAXIMUM,
        topic_alias_maximum: config.topic_alias_max,
        publish_rate: config.publish_rate_max.map(Rate::per_second),
        response_information: config.response_information.as_deref().map(Into::into),
        server_reference: config.server_reference.as_deref().map(Into::into),
        web: WebConfig {
            origins: config.ws_origins.clone(),
            compression: config.ws_compression,
            ping: nanos(config.ws_ping),
        },
        nats: nats_config(config, acceptors, hasher.hash_one("server")),
        sn: SnConfig {
            gateway: Settings {
                predefined: config.mqttsn_topics.clone(),
                retry_ns: nanos(config.mqttsn_retry).0,
                ..Settings::default()
            },
            open_topics: config.mqttsn_open_topics.clone(),
            advertise: advertise(config),
            local_listeners: local_listeners(config),
            admission: Arc::new(Admission::new(config.mqttsn_clients_max)),
        },
        mechanisms: Vec::new(),
        pace_us_max: config.pace_us_max,
        sys_interval: nanos(config.sys_interval),
        partitioner: Arc::new(Partitioner::new(config.shards, levels, hasher.clone())),
        hasher,
        admission: Arc::new(Admission::with_rate(
            connections_max,
            config.connect_rate_max.map(Rate::per_second),
        )),
        retained_quota: Arc::new(RetainedQuota::new(
            config.retained_messages_max,
            config.retained_bytes_max,
        )),
    };
    (Arc::new(settings), seed)
}

/// `server` tells this process from others.
fn nats_config(config: &Config, acceptors: &[Acceptor], server: u64) -> NatsConfig {
    let mut listeners = acceptors.iter().map(Acceptor::listener);
    let listener = listeners.find(|listener| listener.scheme == Scheme::Nats);
    let address = listener.and_then(|listener| match &listener.address {
        ListenAddress::Tcp(address) => Some(*address),
        _ => None,
    });
    NatsConfig {
        server_id: format!("RINGBUS{server:016X}").into(),
        host: address
            .map_or_else(String::new, |at| at.ip().to_string())
            .into(),
        port: address.map_or(0, |at| at.port()),
        control_line_max: config.nats_control_line_max,
        ping: nanos(config.nats_ping),
    }
}

/// Each address by every listener that reaches it.
fn advertise(config: &Config) -> Advertise {
    let udp = config.listeners.iter().filter(|listener| listener.is_udp());
    let by_each = udp.zip(0_u16..).flat_map(|(listener, number)| {
        let reached = config.advertised_by(listener);
        reached.map(move |to| (number, to))
    });
    Advertise {
        to: by_each.collect(),
        interval_seconds: config.mqttsn_advertise_interval,
    }
}

/// By the number of a UDP listener.
fn local_listeners(config: &Config) -> Vec<bool> {
    let udp = config.listeners.iter().filter(|listener| listener.is_udp());
    udp.map(Listener::is_local).collect()
}

fn nanos(span: std::time::Duration) -> Nanos {
    Nanos(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}
