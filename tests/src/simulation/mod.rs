//! Seeded simulation: clients, shards and time in one thread, judged by the model.

mod chaos;
mod client;
mod group;
mod innocent;
mod nats;
mod plan;
mod receive;
mod rest;
mod scene;
mod sn_client;
mod sn_world;
mod sockets;
mod stream;
mod takeovers;
mod web_end;
mod world;

pub use client::{Client, Profile, Publication};
pub use group::{Group, GroupReport};
pub use innocent::{hello, innocent_goes_on, noise};
pub use nats::{NatsClients, NatsReport};
pub use plan::Plan;
pub use scene::{Actor, Scene, play, play_with};
pub use sn_client::{Heard, SnClient, Wish};
pub use sn_world::{SnReport, SnWorld};
pub use sockets::{Sockets, SocketsReport};
pub use stream::Stream;
pub use takeovers::{Takeovers, take_over};
pub use web_end::WebEnd;
pub use world::{Report, World};
