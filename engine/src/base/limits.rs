//! The bounds that are not flags, and how they relate.

/// Shards of one process at most: a set of shards is one word.
pub const SHARDS_MAX: u16 = 64;

/// A payload of this many bytes and more goes to sockets by reference.
pub const SHARED_PAYLOAD_BYTES_MIN: usize = 4096;

/// Batches that one mailbox queue (one ordered pair of shards, one class) holds.
pub const MAILBOX_BATCHES_MAX: usize = 64;

/// Publishes waiting for one peer beyond which a shard stops reading from its publishers.
pub const OUTBOX_PUBLISH_ITEMS_MAX: usize = 4096;

/// Bytes waiting for one peer beyond which a shard stops reading from its publishers.
pub const OUTBOX_BYTES_MAX: usize = 4 << 20;

/// Deliveries waiting for one peer beyond which a shard stops draining publishes.
pub const OUTBOX_DELIVER_ITEMS_MAX: usize = 8192;

/// The largest CONNECT: an identifier, a will, a user name and a password of 65,535 bytes each, and
/// room for properties. A stranger may make a shard keep no more than this.
pub const CONNECT_BYTES_MAX: u32 = 384 << 10;

/// Subscriptions of one STOMP connection: each is looked at when another comes or goes.
pub const STOMP_SUBSCRIPTIONS_MAX: usize = 4096;

/// Subscriptions of one NATS connection.
pub const NATS_SUBSCRIPTIONS_MAX: usize = 1 << 20;

/// Compressors that the WebSockets of one shard share. One takes some 300 KiB; a connection whose
/// compressor went to another begins a new context.
pub const COMPRESSORS_MAX: usize = 32;

/// Fragments of one WebSocket message: 4 MiB in pieces of 64 bytes, and as many again.
pub const WEBSOCKET_FRAGMENTS_MAX: u32 = 128 << 10;

/// MQTT-SN clients of one shard that are about to connect: anybody can be that, under any address.
pub const SN_HALF_OPEN_MAX: usize = 4096;

/// Those of them that have the same IP address.
pub const SN_HALF_OPEN_PER_IP_MAX: u16 = 16;

/// Connections beyond `--max-connections` that wait to be told so.
pub const SURPLUS_CONNECTIONS_MAX: usize = 16;

/// Empty output buffers that a shard keeps for the next connection that needs one.
pub const POOLED_OUTPUTS_MAX: usize = 1024;

/// An output buffer grown beyond this is freed instead of kept.
pub const POOLED_OUTPUT_BYTES_MAX: usize = 256 << 10;

/// Packets that one session is sent in a turn of those that wait for it.
pub const BACKLOG_STEP_MAX: u16 = 128;

/// Retained messages that one cursor step sends, and that expire in one turn.
pub const RETAINED_STEP_MAX: usize = 256;

/// Cursor steps in one turn, so that many new subscribers at once do not stall the others.
pub const RETAINED_STEPS_PER_TURN_MAX: usize = 16;

/// Partly sent or not yet acknowledged QoS 1 and 2 messages to one client that names no maximum.
pub const INFLIGHT_MAX: u16 = 1024;

const _: () = assert!(POOLED_OUTPUT_BYTES_MAX > SHARED_PAYLOAD_BYTES_MIN);
const _: () = assert!(OUTBOX_DELIVER_ITEMS_MAX >= OUTBOX_PUBLISH_ITEMS_MAX);
