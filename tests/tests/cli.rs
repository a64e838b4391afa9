//! What the program says and how it exits, as its user sees it.

use ringbus_tests::broker::Broker;
use ringbus_tests::program::{finish, ringbus};
use ringbus_tests::sandbox::limit;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[test]
fn help_fits_a_terminal_and_groups_the_flags() {
    let short = finish(ringbus(&["-h"]).env("COLUMNS", "80"));
    assert_eq!((short.code, short.stderr.as_str()), (0, ""));
    for group in [
        "Commands:",
        "Listening:",
        "Shards:",
        "Limits:",
        "Logging:",
        "Other:",
    ] {
        assert!(
            short.stdout.contains(group),
            "no {group} in {}",
            short.stdout
        );
    }
    let wide = short.stdout.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None);

    let long = finish(&mut ringbus(&["--help"]));
    assert_eq!(long.code, 0);
    assert!(long.stdout.contains("Example: ringbus --shards 4"));
    assert!(long.stdout.contains("RINGBUS_MAX_PACKET_SIZE"));
    assert!(long.stdout.contains("Exit codes:"));
}

#[test]
fn help_into_a_closed_pipe_is_no_failure() {
    let mut child = ringbus(&["--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn version_names_the_program_and_its_version() {
    let version = finish(&mut ringbus(&["--version"]));
    assert_eq!(version.code, 0);
    assert!(version.stdout.starts_with("ringbus 0."), "{version:?}");
    assert_eq!(finish(&mut ringbus(&["-V"])).stdout, version.stdout);
}

#[test]
fn bad_flags_are_one_line_and_code_2() {
    for (arguments, line) in [
        (
            &["--shrads", "2"][..],
            "unknown flag --shrads (did you mean --shards?)",
        ),
        (&["serv"], "unknown command serv (did you mean serve?)"),
        (
            &["--io"],
            "--io needs a value (ringbus --help shows an example)",
        ),
        (
            &["--shards", "0"],
            "--shards 0: is too small (use 1 to 64; nearest: 1)",
        ),
        (
            &["serve", "--shards", "two"],
            "--shards two: is not a whole number (write a number from 1 to 64)",
        ),
        (
            &["--shards", "-1"],
            "--shards -1: is not a whole number (write a number from 1 to 64)",
        ),
        (
            &["--io", "uring"],
            "--io uring: is not a choice (choose auto, ring, epoll, glommio)",
        ),
        (
            &["--connect-timeout", "10"],
            "--connect-timeout 10: has no unit of time (write 10s, 10ms or 10m)",
        ),
        (
            &["-l", "localhost:1883"],
            "--listen localhost:1883: is not a URL (write mqtt://localhost:1883)",
        ),
        (
            &["-l", "mqtts://127.0.0.1"],
            "--listen mqtts://127.0.0.1: this version does not speak mqtts:// (listeners are mqtt://host:port, ws://host:port, nats://host:port, mqttsn://host:port and unix:/path)",
        ),
        (
            &["--cpuset", "0-"],
            "--cpuset 0-: is not a list of CPUs (write it as for taskset: 0,2,4-7 or 0-31:2)",
        ),
    ] {
        assert_eq!(finish(&mut ringbus(arguments)).one_line(2), line);
    }
}

#[test]
fn a_flag_wins_over_its_variable_and_a_variable_over_the_default() {
    let variable = |command: &mut Command| finish(command.env("RINGBUS_SHARDS", "0"));
    let bad = variable(&mut ringbus(&[]));
    assert_eq!(
        bad.one_line(2),
        "RINGBUS_SHARDS=0: is too small (use 1 to 64; nearest: 1)"
    );
    let overridden = variable(&mut ringbus(&["--shards", "1", "--check-config"]));
    assert_eq!(overridden.code, 0, "{overridden:?}");
    // It is a variable of serve with or without the command's name.
    variable(&mut ringbus(&["serve"])).one_line(2);
}

#[test]
fn a_variable_takes_several_values_separated_by_commas() {
    let listen = "mqtt://127.0.0.1:0,mqtt:oops";
    let finished = finish(ringbus(&[]).env("RINGBUS_LISTEN", listen));
    let line = finished.one_line(2);
    assert!(line.starts_with("RINGBUS_LISTEN=mqtt:oops: "), "{line}");
}

#[test]
fn check_config_starts_nothing() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let url = url_of(&taken);
    let checked = finish(&mut ringbus(&["--check-config", "-l", &url]));
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""));
    finish(&mut ringbus(&["--check-config", "-l", "1883"])).one_line(2);
}

#[test]
fn a_port_in_use_is_one_line_and_code_1() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let url = url_of(&taken);
    let finished = finish(&mut ringbus(&["-l", &url]));
    let line = finished.one_line(1);
    let expected =
        format!("cannot listen on {url}: address in use (another broker? try --listen mqtt://");
    assert!(line.starts_with(&expected), "{line}");
}

#[test]
fn an_address_of_another_machine_is_one_line_and_code_1() {
    let finished = finish(&mut ringbus(&["-l", "mqtt://192.0.2.1:1883"]));
    let line = finished.one_line(1);
    assert!(
        line.starts_with("cannot listen on mqtt://192.0.2.1:1883: "),
        "{line}"
    );
    assert!(line.contains("--listen mqtt://0.0.0.0:1883"), "{line}");
}

#[test]
fn a_unix_socket_without_its_directory_is_one_line_and_code_1() {
    let finished = finish(&mut ringbus(&["-l", "unix:/no/such/directory/x.sock"]));
    let line = finished.one_line(1);
    assert!(
        line.starts_with("cannot listen on unix:/no/such/directory/x.sock: "),
        "{line}"
    );
}

#[test]
fn more_connections_than_open_files_are_one_line_and_code_1() {
    let mut command = ringbus(&["-l", "mqtt://127.0.0.1:0", "--max-connections", "5000"]);
    let finished = finish(limit(&mut command, libc::RLIMIT_NOFILE, 1000));
    let line = finished.one_line(1);
    assert!(line.contains("--max-connections 5000"), "{line}");
    assert!(
        line.contains("1000") && line.contains("LimitNOFILE="),
        "{line}"
    );
}

#[test]
fn too_little_locked_memory_for_glommio_is_one_line_and_code_1() {
    let mut command = ringbus(&["-l", "mqtt://127.0.0.1:0", "--io", "glommio"]);
    let finished = finish(limit(&mut command, libc::RLIMIT_MEMLOCK, 64 << 10));
    let line = finished.one_line(1);
    // Where io_uring itself is denied, that is what is said.
    if !line.contains("io_uring") {
        assert!(
            line.contains("limit of locked memory is 64 KiB") && line.contains("ulimit -l"),
            "{line}"
        );
    }
}

#[test]
fn a_start_says_what_runs_in_six_lines_and_stops_with_0() {
    let broker = Broker::start_with(&["--log-level", "warn"]);
    let lines = stop(broker);
    assert!(lines.len() <= 6, "{lines:#?}");
    for part in [
        "ringbus 0.",
        "; io: ",
        "listening on mqtt://127.0.0.1:",
        "ready in ",
    ] {
        assert!(
            lines.iter().any(|line| line.contains(part)),
            "no {part:?}: {lines:#?}"
        );
    }
    assert!(
        lines
            .iter()
            .any(|line| line == "in memory: nothing survives a restart")
    );
    let open = lines
        .iter()
        .find(|line| line.contains("WARN"))
        .expect("a warning");
    assert!(open.contains("--listen mqtt://0.0.0.0:1883"), "{open}");
}

#[test]
fn an_open_listener_is_not_told_how_to_open_up() {
    let broker = Broker::start_with(&["-l", "mqtt://0.0.0.0:0", "--log-level", "warn"]);
    let lines = stop(broker);
    assert!(
        !lines.iter().any(|line| line.contains("WARN")),
        "{lines:#?}"
    );
}

#[test]
fn a_unix_socket_serves_and_is_gone_afterwards() {
    let path = scratch("serve.sock");
    let url = format!("unix:{}", path.display());
    let broker = Broker::start_with(&["-l", &url]);
    broker.wait_line(&url);
    UnixStream::connect(&path).expect("it listens");
    broker.stop();
    assert!(!path.exists());
}

#[test]
fn the_log_is_json_where_nobody_watches() {
    let mut child = ringbus(&["-l", "mqtt://127.0.0.1:0", "--drain-timeout", "1s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stdout = child.stdout.take().expect("piped");
    let mut banner = std::io::BufRead::lines(std::io::BufReader::new(stdout));
    let ready = banner.find(|line| {
        line.as_ref()
            .is_ok_and(|line| line.starts_with("ready in "))
    });
    assert!(ready.is_some(), "no banner");
    let pid = libc::pid_t::try_from(child.id()).expect("a pid fits");
    // SAFETY: the pid is our child's, which is not reaped before `wait_with_output`.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    let log = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(!log.is_empty(), "the loopback warning at least");
    for line in log.lines() {
        let parsed: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(
            parsed.get("level").is_some() && parsed.get("message").is_some(),
            "{line}"
        );
    }
}

/// All it printed. Without the log's level info there are no counters to check.
fn stop(broker: Broker) -> Vec<String> {
    broker.terminate();
    let stopped = broker.wait();
    assert_eq!(stopped.status.code(), Some(0), "{:#?}", stopped.lines);
    stopped.lines
}

fn url_of(listener: &TcpListener) -> String {
    format!("mqtt://{}", listener.local_addr().expect("an address"))
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ringbus-cli-{}-{name}", std::process::id()))
}
