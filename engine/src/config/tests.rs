//! From a command line and an environment to a `Config`, or to one line.

use super::*;
use crate::base::Scheme;
use crate::base::limits::SHARDS_MAX;
use clap::{CommandFactory, FromArgMatches};
use ringbus_protocols::http::OriginList;
use std::time::Duration;

#[derive(clap::Parser)]
#[command(disable_help_flag = true)]
struct Only {
    #[command(flatten)]
    serve: ServeFlags,
}

fn machine() -> Machine {
    Machine {
        allowed_cpus: vec![0, 1, 2, 3],
        parallelism: 4,
    }
}

fn given(arguments: &[&str]) -> Given {
    let line = std::iter::once("ringbus").chain(arguments.iter().copied());
    let matches = Only::command()
        .try_get_matches_from(line)
        .expect("clap takes any text");
    let only = Only::from_arg_matches(&matches).expect("matches of the same command");
    Given::new(only.serve, &matches)
}

fn config(arguments: &[&str]) -> Result<Config, String> {
    Config::new(&given(arguments), &machine()).map_err(|error| error.to_string())
}

fn error(arguments: &[&str]) -> String {
    config(arguments).expect_err(&arguments.join(" "))
}

#[test]
fn defaults_are_loopback_and_one_shard_per_cpu() {
    let config = config(&[]).expect("defaults are valid");
    assert_eq!(config.shards, 4);
    assert_eq!(config.cpus, [0, 1, 2, 3]);
    let defaults = [Scheme::Mqtt, Scheme::Ws, Scheme::Nats, Scheme::MqttSn].map(Listener::loopback);
    assert_eq!(config.listeners, defaults);
    assert_eq!(config.ws_origins, OriginList::default());
    assert!(!config.ws_compression);
    assert_eq!(config.ws_ping, Duration::from_secs(30));
    assert_eq!(config.nats_ping, Duration::from_secs(30));
    assert_eq!(config.nats_control_line_max, 4096);
    assert!(config.mqttsn_topics.is_empty());
    assert_eq!(config.mqttsn_open_topics, None);
    assert_eq!(config.mqttsn_clients_max, 262_144);
    assert_eq!(config.mqttsn_retry, Duration::from_secs(10));
    assert_eq!(config.mqttsn_advertise, []);
    assert_eq!(config.mqttsn_advertise_interval, 900);
    assert!(config.is_local_only());
    assert_eq!(config.partition_levels, PartitionLevels::default());
    assert_eq!(config.max_packet_size, 2 << 20);
    assert_eq!(config.max_connections, None);
    assert_eq!(config.queue_bytes, 8 << 20);
    assert_eq!(config.connect_timeout, Duration::from_secs(10));
    assert_eq!(config.topic_alias_max, 64);
    assert_eq!(
        (config.publish_rate_max, config.connect_rate_max),
        (None, None)
    );
    assert_eq!(config.response_information, None);
    assert_eq!(config.server_reference, None);
    assert_eq!(config.queue_messages, usize::MAX);
    assert_eq!(config.queue_policy, QueuePolicy::DropNewest);
    assert_eq!(config.shared_strategy, SharedStrategy::RoundRobin);
    assert_eq!(config.session_expiry_max, u32::MAX);
    assert_eq!(config.retained_messages_max, usize::MAX);
    assert_eq!(config.retained_bytes_max, usize::MAX);
    assert!(!config.check_payload_format);
    assert_eq!(config.versions, Versions::ALL);
    assert_eq!(config.drain_timeout, Duration::from_secs(10));
    assert_eq!(config.pace_us_max, 800);
    assert_eq!(config.sys_interval, Duration::from_secs(10));
    assert_eq!(config.io, IoChoice::Auto);
    assert_eq!(config.log_format, LogFormat::Auto);
    assert_eq!(config.log_level, LogLevel::Info);
}

#[test]
fn every_flag_reaches_the_config() {
    let config = config(&[
        "--shards=3",
        "--cpuset=1-2",
        "--partition-levels=3",
        "--partition-levels=spBv1.0=4",
        "-l",
        "mqtt://0.0.0.0:1",
        "-l",
        "unix:/run/x",
        "-l",
        "mqttsn://0.0.0.0",
        "--mqttsn-advertise=192.168.1.255:1884",
        "--mqttsn-advertise=239.1.2.3:1885",
        "--mqttsn-advertise-interval=1001ms",
        "--max-packet-size=1KiB",
        "--max-connections=9",
        "--queue-bytes=2KiB",
        "--topic-alias-max=0",
        "--max-publish-rate=100",
        "--max-connect-rate=10",
        "--response-information=replies/%c",
        "--server-reference=other:1883",
        "--connect-timeout=1s",
        "--max-queued-messages=10",
        "--queue-policy=disconnect",
        "--shared-strategy=sticky",
        "--max-session-expiry=7d",
        "--max-retained-messages=0",
        "--max-retained-bytes=1MiB",
        "--versions=5",
        "--check-payload-format",
        "--mqttsn-retry=5s",
        "--mqttsn-max-clients=7",
        "--drain-timeout=0s",
        "--pace-us=0",
        "--sys-interval=0",
        "--io=glommio",
        "--log-format=json",
        "--log-level=trace",
    ])
    .expect("valid");
    assert_eq!((config.shards, &*config.cpus), (3, &[1, 2][..]));
    assert_eq!([0, 1, 2].map(|shard| config.cpu_of(shard)), [1, 2, 1]);
    assert_eq!(config.partition_levels.default, 3);
    assert_eq!(config.partition_levels.roots, [("spBv1.0".into(), 4)]);
    assert_eq!(config.listeners.len(), 3);
    assert!(!config.is_local_only());
    assert_eq!((config.max_packet_size, config.queue_bytes), (1024, 2048));
    assert_eq!(config.max_connections, Some(9));
    assert_eq!(config.connect_timeout, Duration::from_secs(1));
    assert_eq!(config.topic_alias_max, 0);
    assert_eq!(
        (config.publish_rate_max, config.connect_rate_max),
        (Some(100), Some(10))
    );
    assert_eq!(config.response_information.as_deref(), Some("replies/%c"));
    assert_eq!(config.server_reference.as_deref(), Some("other:1883"));
    assert_eq!(config.queue_messages, 10);
    assert_eq!(config.queue_policy, QueuePolicy::Disconnect);
    assert_eq!(config.shared_strategy, SharedStrategy::Sticky);
    assert_eq!(config.session_expiry_max, 7 * 86_400);
    assert_eq!(config.retained_messages_max, 0);
    assert_eq!(config.retained_bytes_max, 1 << 20);
    assert!(config.check_payload_format);
    assert_eq!(config.versions, Versions::parse("5").expect("a list"));
    assert_eq!(config.mqttsn_retry, Duration::from_secs(5));
    assert_eq!(config.mqttsn_clients_max, 7);
    let advertise = ["192.168.1.255:1884", "239.1.2.3:1885"];
    let advertise = advertise.map(|text| text.parse().expect("an address"));
    assert_eq!(config.mqttsn_advertise, advertise);
    // The field has whole seconds.
    assert_eq!(config.mqttsn_advertise_interval, 2);
    assert_eq!(config.drain_timeout, Duration::ZERO);
    assert_eq!((config.pace_us_max, config.io), (0, IoChoice::Glommio));
    assert_eq!(config.sys_interval, Duration::ZERO);
    assert_eq!(
        (config.log_format, config.log_level),
        (LogFormat::Json, LogLevel::Trace)
    );
}

#[test]
fn shards_follow_the_cpus_and_a_quota() {
    assert_eq!(config(&["--cpuset", "0,2"]).expect("valid").shards, 2);
    let quota = Machine {
        parallelism: 2,
        ..machine()
    };
    assert_eq!(Config::new(&given(&[]), &quota).expect("valid").shards, 2);
    let huge = Machine {
        allowed_cpus: (0..256).collect(),
        parallelism: 256,
    };
    assert_eq!(
        Config::new(&given(&[]), &huge).expect("valid").shards,
        SHARDS_MAX
    );
}

#[test]
fn queue_bytes_follow_the_packet_size() {
    let large = config(&["--max-packet-size=16MiB"]).expect("valid");
    assert_eq!(large.queue_bytes, 32 << 20);
    assert_eq!(
        error(&["--queue-bytes=1MiB"]),
        "--queue-bytes 1MiB: is less than one packet of --max-packet-size 2MiB \
         (use 2MiB or more, or lower --max-packet-size)"
    );
}

#[test]
fn every_bad_value_is_one_line_with_flag_value_and_remedy() {
    for (arguments, expected) in [
        (
            ["--shards=0"].as_slice(),
            "--shards 0: is too small (use 1 to 64; nearest: 1)",
        ),
        (
            &["--shards=65"],
            "--shards 65: is too large (use 1 to 64; nearest: 64)",
        ),
        (
            &["--shards="],
            "--shards \"\": is not a whole number (write a number from 1 to 64)",
        ),
        (
            &["--cpuset=9"],
            "--cpuset 9: this process may not run on CPU 9 (allowed here: 0-3)",
        ),
        (
            &["--io=uring"],
            "--io uring: is not a choice (choose auto, ring, epoll, glommio)",
        ),
        (
            &["--log-level=all"],
            "--log-level all: is not a choice (choose error, warn, info, debug, trace)",
        ),
        (
            &["--log-format=xml"],
            "--log-format xml: is not a choice (choose auto, text, json)",
        ),
        (
            &["--connect-timeout=10"],
            "--connect-timeout 10: has no unit of time (write 10s, 10ms or 10m)",
        ),
        (
            &["--drain-timeout=1h"],
            "--drain-timeout 1h: is too large (use 0s to 10m; nearest: 10m)",
        ),
        (
            &["--max-packet-size=1GiB"],
            "--max-packet-size 1GiB: is too large (use 16 bytes to 268435460 bytes; nearest: 268435460 bytes)",
        ),
        (
            &["--max-connections=many"],
            "--max-connections many: is not a whole number (write a number from 1 to 16777216)",
        ),
        (
            &["--max-publish-rate=0"],
            "--max-publish-rate 0: is too small (use 1 to 10000000; nearest: 1)",
        ),
        (
            &["--max-connect-rate=fast"],
            "--max-connect-rate fast: is not a whole number (write a number from 1 to 10000000)",
        ),
        (
            &["--server-reference="],
            "--server-reference \"\": is empty (write 1 to 1024 bytes, or leave the flag out)",
        ),
        (
            &["--topic-alias-max=70000"],
            "--topic-alias-max 70000: is too large (use 0 to 65535; nearest: 65535)",
        ),
        (
            &["--pace-us=-1"],
            "--pace-us -1: is not a whole number (write a number from 0 to 10000)",
        ),
        (
            &["--max-retained-messages=-1"],
            "--max-retained-messages -1: is not a whole number (write a number from 0 to 4294967296)",
        ),
        (
            &["--max-retained-bytes=lots"],
            "--max-retained-bytes lots: is not a size (write bytes or a unit: 65536, 64KiB, 1MiB, 2GiB)",
        ),
        (
            &["--sys-interval=10"],
            "--sys-interval 10: has no unit of time (write 10s, 10ms or 10m)",
        ),
        (
            &["--sys-interval=100ms"],
            "--sys-interval 100ms: is too small (use 1s to 10m; nearest: 1s)",
        ),
        (
            &["--mqttsn-advertise=192.168.1.255"],
            "--mqttsn-advertise 192.168.1.255: is not an address (write an IP address and a port, as 192.168.1.255:1884, 239.1.2.3:1884 or [ff02::1%2]:1884)",
        ),
        (
            &["--mqttsn-advertise=127.0.0.1:0"],
            "--mqttsn-advertise 127.0.0.1:0: is nobody's address (write an IP address and a port, as 192.168.1.255:1884, 239.1.2.3:1884 or [ff02::1%2]:1884)",
        ),
        (
            &["--mqttsn-advertise=192.168.1.255:1884"],
            "--mqttsn-advertise 192.168.1.255:1884: the MQTT-SN listener of IPv4 is a loopback address, which reaches nobody else (add --listen mqttsn://0.0.0.0)",
        ),
        (
            &["--mqttsn-advertise=[ff02::1]:1884"],
            "--mqttsn-advertise [ff02::1]:1884: there is no MQTT-SN listener of IPv6 to send it (add --listen mqttsn://[::])",
        ),
        (
            &["-l", "mqtt://0.0.0.0", "--mqttsn-advertise=239.1.2.3:1884"],
            "--mqttsn-advertise 239.1.2.3:1884: there is no MQTT-SN listener of IPv4 to send it (add --listen mqttsn://0.0.0.0)",
        ),
        (
            &[
                "--mqttsn-advertise=127.0.0.1:1",
                "--mqttsn-advertise=127.0.0.1:1",
            ],
            "--mqttsn-advertise 127.0.0.1:1: is listed twice (remove one of the two)",
        ),
        (
            &["--mqttsn-advertise-interval=999ms"],
            "--mqttsn-advertise-interval 999ms: is too small (use 1s to 65535s; nearest: 1s)",
        ),
        (
            &["--mqttsn-advertise-interval=1d"],
            "--mqttsn-advertise-interval 1d: is too large (use 1s to 65535s; nearest: 65535s)",
        ),
        (
            &["--partition-levels=a/b=2"],
            "--partition-levels a/b=2: the root must be one literal topic level (a root is the first level of topics, as in spBv1.0=4)",
        ),
        (
            &["-l", "1884"],
            "--listen 1884: is not a URL (write mqtt://127.0.0.1:1884, or mqtt://0.0.0.0:1884 for every interface)",
        ),
        (
            &["-l", "unix:/x", "-l", "unix:/x"],
            "--listen unix:/x: is listed twice (remove one of the two)",
        ),
    ] {
        assert_eq!(error(arguments), expected);
    }
}

#[test]
fn the_bound_of_a_queue_has_two_names() {
    for flag in ["--queue-bytes", "--max-queued-bytes"] {
        let config = config(&[flag, "5MiB"]).expect("valid");
        assert_eq!(config.queue_bytes, 5 << 20, "{flag}");
    }
}

#[test]
fn what_mqttsn_clients_know_beforehand_is_read_from_a_file() {
    let path = std::env::temp_dir().join(format!("ringbus-{}-topics", std::process::id()));
    let flag = format!("--mqttsn-topics={}", path.display());
    std::fs::write(&path, "# ours\n1 a/b\n").expect("a file");
    let topics = config(&[&flag]).expect("valid").mqttsn_topics;
    assert_eq!(topics.name(1), Some("a/b"));
    std::fs::write(&path, "1 a/b\n1 c\n").expect("a file");
    let path = path.display();
    assert_eq!(
        error(&[&flag]),
        format!(
            "--mqttsn-topics {path}: line 2: the id is there already \
             (each line is an id from 1 to 65534, a space and a topic)"
        )
    );
    std::fs::remove_file(path.to_string()).expect("ours");
    let missing = error(&[&flag]);
    assert!(
        missing.contains("cannot be read: No such file"),
        "{missing}"
    );
}

#[test]
fn topics_that_need_no_connection_are_filters() {
    let two = ["--mqttsn-open-topics=sensors/#", "--mqttsn-open-topics=aa"];
    let open = config(&two).expect("valid").mqttsn_open_topics;
    assert_eq!(open, Some(vec!["sensors/#".into(), "aa".into()]));
    let error = error(&["--mqttsn-open-topics=a/#/b"]);
    assert!(error.starts_with("--mqttsn-open-topics a/#/b: "), "{error}");
    assert!(
        error.ends_with("(write a topic filter, as sensors/# or aa)"),
        "{error}"
    );
}

#[test]
fn free_ports_may_be_asked_for_twice() {
    let twice = ["-l", "mqtt://127.0.0.1:0", "-l", "mqtt://127.0.0.1:0"];
    assert_eq!(config(&twice).expect("two free ports").listeners.len(), 2);
}
