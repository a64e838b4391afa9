//! The flags of `ringbus pub` and `ringbus sub`: Mosquitto's letters.

use super::mqtt_version;
use clap::{Args, ValueEnum};
use ringbus_protocols::mqtt::Version;
use std::path::PathBuf;

/// Which broker to talk to.
#[allow(
    rustdoc::broken_intra_doc_links,
    reason = "this is help text, in which brackets mean optional"
)]
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Broker")]
pub struct Target {
    /// Host name or address of the broker
    #[arg(short = 'h', long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// TCP port of the broker [default: 1883]
    #[arg(short, long, value_name = "PORT")]
    pub port: Option<u16>,
    /// URL instead of host and port: mqtt://[user[:password]@]host[:port][/topic], unix:PATH
    #[arg(short = 'L', long, value_name = "URL", conflicts_with_all = ["port", "unix"])]
    pub url: Option<String>,
    /// Unix domain socket of the broker
    #[arg(long, value_name = "PATH", conflicts_with = "port")]
    pub unix: Option<PathBuf>,
}

/// Who the client is: identity, credentials, session and will.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Session")]
pub struct Session {
    /// Client identifier [default: one made of the process id]
    #[arg(short = 'i', long = "id", value_name = "ID")]
    pub client_id: Option<String>,
    /// User name
    #[arg(short = 'u', long, value_name = "NAME")]
    pub username: Option<String>,
    /// Password
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD")]
    pub password: Option<String>,
    /// MQTT version: 3.1, 3.1.1 or 5 (mqttv31, mqttv311, mqttv5)
    #[arg(short = 'V', long = "protocol-version", value_name = "VERSION", default_value = "3.1.1",
        value_parser = mqtt_version)]
    pub version: Version,
    /// Keep alive in seconds; 0 turns it off
    #[arg(short = 'k', long, value_name = "SECONDS", default_value_t = 60)]
    pub keepalive: u16,
    /// Keep the session: no clean start. Needs --id
    #[arg(short = 'c', long, requires = "client_id")]
    pub disable_clean_session: bool,
    /// Session expiry interval in seconds (MQTT 5)
    #[arg(short = 'x', long, value_name = "SECONDS")]
    pub session_expiry_interval: Option<u32>,
    /// Topic of the will
    #[arg(long, value_name = "TOPIC")]
    pub will_topic: Option<String>,
    /// Payload of the will
    #[arg(long, value_name = "TEXT", requires = "will_topic")]
    pub will_payload: Option<String>,
    /// Quality of service of the will
    #[arg(long, value_name = "QOS", requires = "will_topic", default_value_t = 0,
        value_parser = clap::value_parser!(u8).range(0..=2))]
    pub will_qos: u8,
    /// Retain the will
    #[arg(long, requires = "will_topic")]
    pub will_retain: bool,
}

/// `ringbus pub`: publish one message, a file, or each line of the standard input.
#[derive(Args, Clone, Debug)]
#[command(disable_help_flag = true)]
#[command(after_help = "Examples:\n  ringbus pub demo/hello hi\n  \
    ringbus pub -t demo/state -m on -q 1 -r\n  seq 1000 | ringbus pub -t demo/count -l -q 2 -V 5")]
pub struct PubArgs {
    /// Topic, when no -t is given
    #[arg(value_name = "TOPIC")]
    pub first: Option<String>,
    /// Message, when no -m, -f, -l, -s or -n is given
    #[arg(value_name = "MESSAGE")]
    pub second: Option<String>,
    /// Topic to publish to
    #[arg(short, long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Message to send
    #[arg(short, long, value_name = "TEXT", group = "content")]
    pub message: Option<String>,
    /// Send the contents of a file as one message
    #[arg(short, long, value_name = "PATH", group = "content")]
    pub file: Option<PathBuf>,
    /// Send each line of the standard input as a message
    #[arg(short = 'l', long, group = "content")]
    pub stdin_line: bool,
    /// Send the whole standard input as one message
    #[arg(short = 's', long, group = "content")]
    pub stdin_file: bool,
    /// Send an empty message
    #[arg(short = 'n', long, group = "content")]
    pub null_message: bool,
    /// Quality of service: 0, 1 or 2
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// Retain the message
    #[arg(short, long)]
    pub retain: bool,
    /// Which broker
    #[command(flatten)]
    pub target: Target,
    /// Who we are
    #[command(flatten)]
    pub session: Session,
    /// Print this help
    #[arg(long, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
}

/// How `ringbus sub` prints a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The payload as it is (with `-v`: the topic before it)
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// `ringbus sub`: print what arrives on topic filters.
#[derive(Args, Clone, Debug)]
#[command(disable_help_flag = true)]
#[command(
    after_help = "Examples:\n  ringbus sub 'demo/#'\n  ringbus sub -v -q 1 -t 'a/+' -t b -C 10\n  \
    ringbus sub -F json -V 5 -c -i lamp -x 3600 'home/#'"
)]
pub struct SubArgs {
    /// Topic filters
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Topic filter to subscribe to (may be repeated)
    #[arg(short, long, value_name = "FILTER")]
    pub topic: Vec<String>,
    /// Maximum quality of service: 0, 1 or 2
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// Print the topic before each payload
    #[arg(short, long)]
    pub verbose: bool,
    /// Exit after so many messages
    #[arg(short = 'C', long, value_name = "N")]
    pub count: Option<u64>,
    /// Exit after so many seconds, with status 27 as mosquitto_sub does
    #[arg(short = 'W', long, value_name = "SECONDS")]
    pub wait: Option<u64>,
    /// How messages are printed
    #[arg(short = 'F', long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Do not print retained messages
    #[arg(short = 'R', long)]
    pub no_retained: bool,
    /// No newline after a payload
    #[arg(short = 'N', long)]
    pub no_newline: bool,
    /// Do not receive what this client published (MQTT 5)
    #[arg(long)]
    pub no_local: bool,
    /// Keep the RETAIN flag of the publisher (MQTT 5)
    #[arg(long)]
    pub retain_as_published: bool,
    /// Retained messages: 0 send, 1 send for a new subscription, 2 do not send (MQTT 5)
    #[arg(long, value_name = "0|1|2", default_value_t = 0,
        value_parser = clap::value_parser!(u8).range(0..=2))]
    pub retain_handling: u8,
    /// Which broker
    #[command(flatten)]
    pub target: Target,
    /// Who we are
    #[command(flatten)]
    pub session: Session,
    /// Print this help
    #[arg(long, action = clap::ArgAction::Help)]
    pub help: Option<bool>,
}
