//! A shard that panics takes the process with it: its clients, its partition of
//! the topics and its mail cannot be served by anybody else.

use std::sync::Once;

/// Threads whose panic ends the process are named so, and their number.
pub(super) const SHARD_THREAD: &str = "shard-";

/// Adds to the panic hook, once.
pub(super) fn stop_process_on_shard_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            report(info);
            let thread = std::thread::current();
            if let Some(name) = thread.name()
                && name.starts_with(SHARD_THREAD)
            {
                eprintln!(
                    "ringbus: {name} failed, so the broker stops: this is a bug, \
                     please report the lines above"
                );
                std::process::abort();
            }
        }));
    });
}
