//! Which CPUs shards may run on.

use super::error::Problem;
use std::collections::BTreeSet;

/// CPU numbers are below this: `cpu_set_t` has 1024 bits, and an id out of
/// range aborts the process inside the pinning crate.
pub const CPU_MAX: usize = 1024;

/// What this machine lets the process have; an argument, so that validation
/// gives the same answer for the same input in tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// CPUs this process may run on, ascending, all below [`CPU_MAX`], never empty.
    pub allowed_cpus: Vec<usize>,
    /// How many of them it can use at once: less than `allowed_cpus` under a
    /// cgroup CPU quota.
    pub parallelism: usize,
}

impl Machine {
    /// Asks the kernel.
    pub fn detect() -> Machine {
        let parallelism = std::thread::available_parallelism().map_or(1, |n| n.get());
        let allowed_cpus = allowed_cpus().unwrap_or_else(|| (0..parallelism).collect());
        Machine {
            allowed_cpus,
            parallelism,
        }
    }
}

fn allowed_cpus() -> Option<Vec<usize>> {
    // SAFETY: cpu_set_t is a plain bit array for which all zeros is valid.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most the size given, into a set we own.
    let status = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    // SAFETY: every number asked is below CPU_SETSIZE.
    let is_set = |cpu: usize| unsafe { libc::CPU_ISSET(cpu, &set) };
    let cpus: Vec<usize> = (0..CPU_MAX).filter(|&cpu| is_set(cpu)).collect();
    (status == 0 && !cpus.is_empty()).then_some(cpus)
}

const _: () = assert!(CPU_MAX == libc::CPU_SETSIZE as usize);

/// Parses the list syntax of `taskset -c`: `0,2,4-7` and `0-31:2` (every second).
pub(crate) fn parse_list(text: &str, allowed: &[usize]) -> Result<Vec<usize>, Problem> {
    let mut cpus = BTreeSet::new();
    for part in text.split(',') {
        let (first, last, step) = parse_part(part).ok_or_else(|| {
            Problem::new(
                "is not a list of CPUs",
                "write it as for taskset: 0,2,4-7 or 0-31:2",
            )
        })?;
        if last >= CPU_MAX {
            return Err(Problem::new(
                format!("CPU {last} is out of range"),
                format!("CPUs are numbered 0 to {}", CPU_MAX - 1),
            ));
        }
        cpus.extend((first..=last).step_by(step));
    }
    if let Some(denied) = cpus.iter().find(|cpu| !allowed.contains(cpu)) {
        return Err(Problem::new(
            format!("this process may not run on CPU {denied}"),
            format!("allowed here: {}", format_list(allowed)),
        ));
    }
    Ok(cpus.into_iter().collect())
}

/// The shortest list of CPUs that `--cpuset` reads back: `0-3,8`.
pub fn format_list(cpus: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &cpu in cpus {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => runs.push((cpu, cpu)),
        }
    }
    let show = |&(first, last): &(usize, usize)| match last - first {
        0 => first.to_string(),
        1 => format!("{first},{last}"),
        _ => format!("{first}-{last}"),
    };
    runs.iter().map(show).collect::<Vec<_>>().join(",")
}

fn parse_part(part: &str) -> Option<(usize, usize, usize)> {
    let number = |text: &str| {
        let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        all_digits.then(|| text.parse().unwrap_or(usize::MAX))
    };
    let (range, step) = match part.split_once(':') {
        Some((range, step)) if range.contains('-') => (range, number(step)?),
        Some(_) => return None,
        None => (part, 1),
    };
    let (first, last) = match range.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(range)?, number(range)?),
    };
    (first <= last && step > 0).then_some((first, last, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_as_taskset_reads_them() {
        let allowed: Vec<usize> = (0..64).collect();
        assert_eq!(parse_list("3", &allowed), Ok(vec![3]));
        assert_eq!(parse_list("2,0,2", &allowed), Ok(vec![0, 2]));
        assert_eq!(parse_list("0-2,8-9", &allowed), Ok(vec![0, 1, 2, 8, 9]));
        assert_eq!(parse_list("0-7:3", &allowed), Ok(vec![0, 3, 6]));
    }

    #[test]
    fn what_is_not_a_list_shows_the_syntax() {
        for text in [
            "", ",", "1,", "a", "3-1", "0-", "-1", "1:2", "0-4:0", "0-4:x", "0 1",
        ] {
            let problem = parse_list(text, &[0, 1, 2, 3, 4]).expect_err(text);
            assert_eq!(problem.why, "is not a list of CPUs", "{text}");
        }
    }

    #[test]
    fn a_cpu_that_is_not_ours_is_refused_with_the_ones_that_are() {
        let problem = parse_list("0,5", &[0, 1, 2, 3]).expect_err("5 is not allowed");
        assert_eq!(problem.why, "this process may not run on CPU 5");
        assert_eq!(problem.fix, "allowed here: 0-3");
        assert!(
            parse_list("1024", &[0])
                .expect_err("range")
                .why
                .contains("out of range")
        );
        assert!(parse_list("0-99999999999999999999", &[0]).is_err());
    }

    #[test]
    fn lists_are_printed_as_they_are_read() {
        assert_eq!(format_list(&[0, 1, 2, 3, 8]), "0-3,8");
        assert_eq!(format_list(&[0, 1, 4]), "0,1,4");
        assert_eq!(format_list(&[]), "");
    }

    #[test]
    fn this_machine_has_a_cpu() {
        let machine = Machine::detect();
        assert!(!machine.allowed_cpus.is_empty());
        assert!(machine.parallelism >= 1);
    }
}
