//! `ringbus pub` and `ringbus sub`.

mod connection;
mod failure;
mod options;
mod print;
mod publish;
mod subscribe;

pub use publish::pub_command;
pub use subscribe::sub_command;
