//! From the flags of a tool to a broker and a CONNECT that are valid.

use super::failure::Failure;
use crate::broker::parse_authority;
use crate::cli::{Session, Target};
use crate::endpoint::Endpoint;
use crate::sys::now;
use ringbus_protocols::mqtt::{Connect, Properties, PropertiesBuf, Property, QoS, Version, Will};
use ringbus_protocols::topic::{TopicFilter, TopicName};

/// Where to connect, and as whom.
#[derive(Debug)]
pub struct Options {
    /// The broker
    pub endpoint: Endpoint,
    /// MQTT version
    pub version: Version,
    /// Topic that the URL named
    pub url_topic: Option<String>,
    client_id: String,
    clean_start: bool,
    keep_alive_seconds: u16,
    username: Option<String>,
    password: Option<String>,
    will: Option<OwnedWill>,
    properties: PropertiesBuf,
}

#[derive(Debug)]
struct OwnedWill {
    topic: String,
    payload: String,
    qos: QoS,
    retain: bool,
}

impl Options {
    /// Checks the flags; `tool` becomes part of a client identifier that is not given.
    pub fn new(tool: &str, target: &Target, session: &Session) -> Result<Self, Failure> {
        let mut location = Location::of(target).map_err(Failure::Usage)?;
        let username = session
            .username
            .clone()
            .or_else(|| location.username.take());
        let password = session
            .password
            .clone()
            .or_else(|| location.password.take());
        let version = session.version;
        if password.is_some() && username.is_none() && version != Version::V5 {
            return usage("a password needs a user name before MQTT 5");
        }
        let mut properties = PropertiesBuf::new();
        if let Some(seconds) = session.session_expiry_interval {
            require_v5("--session-expiry-interval", version)?;
            properties.push(Property::SessionExpiryInterval(seconds));
        } else if session.disable_clean_session && version == Version::V5 {
            // What -c means before MQTT 5: the session does not expire.
            properties.push(Property::SessionExpiryInterval(u32::MAX));
        }
        Ok(Self {
            endpoint: location.endpoint,
            version,
            url_topic: location.topic,
            client_id: session
                .client_id
                .clone()
                .unwrap_or_else(|| own_client_id(tool)),
            clean_start: !session.disable_clean_session,
            keep_alive_seconds: session.keepalive,
            username,
            password,
            will: will(session)?,
            properties,
        })
    }

    /// Keep alive in seconds.
    pub fn keep_alive_seconds(&self) -> u16 {
        self.keep_alive_seconds
    }

    /// The CONNECT.
    pub fn connect(&self) -> Connect<'_> {
        let will = self.will.as_ref().map(|will| Will {
            topic: TopicName::parse(&will.topic).expect("checked with the flags"),
            payload: will.payload.as_bytes(),
            qos: will.qos,
            retain: will.retain,
            properties: Properties::default(),
        });
        Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive_seconds: self.keep_alive_seconds,
            client_id: &self.client_id,
            will,
            username: self.username.as_deref(),
            password: self.password.as_deref().map(str::as_bytes),
            properties: self.properties.as_properties(),
        }
    }
}

/// Fails unless the version has what `flag` asks for.
pub fn require_v5(flag: &str, version: Version) -> Result<(), Failure> {
    if version == Version::V5 {
        Ok(())
    } else {
        usage(&format!("{flag} needs -V 5"))
    }
}

/// The topic, if it is one to publish to.
pub fn topic_name(topic: &str) -> Result<(), Failure> {
    let checked = TopicName::parse(topic).map(|_| ());
    checked.map_err(|error| Failure::Usage(format!("cannot publish to '{topic}': {error}")))
}

/// The filter, if it is one.
pub fn topic_filter(filter: &str) -> Result<(), Failure> {
    let checked = TopicFilter::parse(filter).map(|_| ());
    checked.map_err(|error| Failure::Usage(format!("cannot subscribe to '{filter}': {error}")))
}

fn usage<T>(text: &str) -> Result<T, Failure> {
    Err(Failure::Usage(text.into()))
}

fn will(session: &Session) -> Result<Option<OwnedWill>, Failure> {
    let Some(topic) = session.will_topic.clone() else {
        return Ok(None);
    };
    topic_name(&topic)?;
    Ok(Some(OwnedWill {
        topic,
        payload: session.will_payload.clone().unwrap_or_default(),
        qos: QoS::try_from(session.will_qos).expect("the flag allows 0 to 2"),
        retain: session.will_retain,
    }))
}

/// Unique among the tools on this machine and short enough for MQTT 3.1 (23 bytes).
fn own_client_id(tool: &str) -> String {
    format!(
        "ringbus-{tool}-{:x}{:04x}",
        std::process::id(),
        now() >> 10 & 0xffff
    )
}

/// What target flags and a URL say.
#[derive(Debug, PartialEq, Eq)]
struct Location {
    endpoint: Endpoint,
    username: Option<String>,
    password: Option<String>,
    topic: Option<String>,
}

impl Location {
    fn of(target: &Target) -> Result<Self, String> {
        if let Some(url) = &target.url {
            return Self::parse(url);
        }
        let endpoint = match &target.unix {
            Some(path) => Endpoint::Unix(path.clone()),
            None => match target.host.strip_prefix("unix:") {
                Some(path) => Endpoint::Unix(path.into()),
                None => Endpoint::Tcp(target.host.clone(), target.port.unwrap_or(1883)),
            },
        };
        Ok(Self {
            endpoint,
            username: None,
            password: None,
            topic: None,
        })
    }

    /// `mqtt://[user[:password]@]host[:port][/topic]` or `unix:PATH`.
    fn parse(url: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let endpoint = Endpoint::Unix(path.into());
            return Ok(Self {
                endpoint,
                username: None,
                password: None,
                topic: None,
            });
        }
        let Some(rest) = url
            .strip_prefix("mqtt://")
            .or_else(|| url.strip_prefix("tcp://"))
        else {
            return Err(format!(
                "cannot connect to '{url}': try mqtt://HOST:PORT or unix:PATH"
            ));
        };
        let (authority, topic) = match rest.split_once('/') {
            Some((authority, topic)) => (authority, Some(topic)),
            None => (rest, None),
        };
        let (credentials, address) = match authority.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, authority),
        };
        let (username, password) = match credentials.map(|both| both.split_once(':')) {
            Some(Some((username, password))) => (Some(username), Some(password)),
            _ => (credentials, None),
        };
        Ok(Self {
            endpoint: parse_authority(address, 1883)?,
            username: username.map(str::to_string),
            password: password.map(str::to_string),
            topic: topic.filter(|topic| !topic.is_empty()).map(str::to_string),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Flags {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        session: Session,
    }

    fn options(line: &str) -> Result<Options, Failure> {
        let flags = Flags::parse_from(std::iter::once("x").chain(line.split_whitespace()));
        Options::new("pub", &flags.target, &flags.session)
    }

    #[test]
    fn a_url_names_everything() {
        let options = options("-L mqtt://me:se:cret@h:99/a/b").unwrap();
        assert_eq!(options.endpoint, Endpoint::Tcp("h".into(), 99));
        assert_eq!(options.url_topic.as_deref(), Some("a/b"));
        let connect = options.connect();
        assert_eq!(
            (connect.username, connect.password),
            (Some("me"), Some(&b"se:cret"[..]))
        );
    }

    #[test]
    fn flags_win_over_the_url() {
        let options = options("-L mqtt://me:x@h -P y").unwrap();
        assert_eq!(options.connect().password, Some(&b"y"[..]));
        assert_eq!(options.endpoint, Endpoint::Tcp("h".into(), 1883));
    }

    #[test]
    fn what_a_version_lacks_is_a_usage_error() {
        for line in ["-x 60", "-P secret", "--will-topic a/#", "-L http://h"] {
            assert!(matches!(options(line), Err(Failure::Usage(_))), "{line}");
        }
        assert!(options("-V 5 -x 60").is_ok());
    }

    #[test]
    fn a_kept_session_does_not_expire_in_mqtt_5() {
        let options = options("-V mqttv5 -c -i lamp").unwrap();
        assert_eq!(
            options.connect().properties.session_expiry_interval(),
            Some(u32::MAX)
        );
        assert!(!options.connect().clean_start);
    }

    #[test]
    fn an_own_client_identifier_fits_mqtt_3_1() {
        assert!(own_client_id("pub").len() <= 23);
    }
}
