//! Waiting on conditions, in a way that Ctrl-C and SIGTERM end, so that what was started is stopped.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Short beside what is waited for, long beside what asking costs.
const PAUSE: Duration = Duration::from_millis(20);

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on Ctrl-C, SIGTERM and SIGHUP end the waits of this module instead of the process; a second one ends the
/// process. For the daemons' guards: once one exists, nothing may end the process without dropping it.
pub fn defer() {
    INTERRUPTED.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // These fail for signals that cannot be caught only.
            let second = signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&flag));
            let first = signal_hook::flag::register(signal, Arc::clone(&flag));
            debug_assert!(second.is_ok() && first.is_ok(), "signal {signal}");
        }
        flag
    });
}

/// Whether one of the deferred signals has come.
pub fn requested() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Asks again and again until there is an answer.
///
/// # Errors
/// `limit` is over (the message says `what` was waited for), a signal came, or asking itself failed.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if requested() {
            bail!("interrupted while waiting for {what}");
        }
        if started.elapsed() > limit {
            bail!("no {what} within {} s", limit.as_secs());
        }
        thread::sleep(PAUSE);
    }
}

/// Waits for one of the deferred signals.
pub fn wait() {
    while !requested() {
        thread::sleep(PAUSE);
    }
}
