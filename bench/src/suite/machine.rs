//! Where and with what the suite ran: figures mean nothing without it.

use super::contender::Contender;
use std::fs;
use std::process::Command;

/// One line about processor, kernel and the versions of the brokers found.
pub fn describe(contenders: &[Contender]) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpus = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let model = model
        .and_then(|line| line.split_once(": "))
        .map_or("unknown CPU", |pair| pair.1);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control");
    let congestion = congestion.unwrap_or_default();
    let mut line = format!(
        "{cpus} × {model}, Linux {}, TCP {}; ringbus {}",
        kernel.trim(),
        congestion.trim(),
        env!("CARGO_PKG_VERSION")
    );
    for contender in contenders {
        if let Some(version) = version(*contender) {
            line.push_str(&format!(", {} {version}", contender.title()));
        }
    }
    line
}

/// The version a peer tells: the first word that starts with a digit, perhaps after a `v`.
fn version(contender: Contender) -> Option<String> {
    let flag = if contender == Contender::Mosquitto {
        "-h"
    } else {
        "--version"
    };
    let output = Command::new(contender.binary()?).arg(flag).output().ok()?;
    first_version(&String::from_utf8_lossy(&output.stdout))
}

fn first_version(text: &str) -> Option<String> {
    let word = text.split_whitespace().find_map(|word| {
        let word = word.trim_start_matches("v=").trim_start_matches('v');
        word.starts_with(|first: char| first.is_ascii_digit())
            .then_some(word)
    })?;
    Some(word.trim_end_matches([',', ';']).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_brokers_say() {
        for (text, version) in [
            ("mosquitto version 2.0.11\n\nmosquitto is", "2.0.11"),
            ("nats-server: v2.9.10", "2.9.10"),
            ("Redis server v=7.0.15 sha=00000000:0", "7.0.15"),
            ("rumqttd 0.20.0", "0.20.0"),
        ] {
            assert_eq!(first_version(text).as_deref(), Some(version));
        }
        assert_eq!(first_version("no number"), None);
    }
}
