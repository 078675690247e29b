//! What happens when the program itself makes a mistake: it is logged and
//! counted, and a thread on which everything else depends takes the process
//! along, so that no half-dead server looks healthy.

use std::panic;
use std::sync::Arc;

use crate::metrics::Metrics;

/// Exit code after a mistake that cannot be recovered; `EX_SOFTWARE` of sysexits.h.
const EXIT_CODE: i32 = 70;

/// Threads that recover: HTTP workers lose the one connection that was served,
/// blocking work, writers and the spooler report the mistake as an error.
const RECOVERING: [&str; 5] = [
    "actix-server worker",
    "tokio-runtime-worker",
    "actix-rt|system",
    "writer",
    "spooler",
];

/// From now on panics are logged and counted.
pub(super) fn install(metrics: Arc<Metrics>) {
    panic::set_hook(Box::new(move |about| {
        metrics.panics.inc();
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        log::error!("a mistake in the program, on thread {name}: {about}");
        if !recovers(thread.name()) {
            log::error!("nothing works without that thread: the server ends");
            std::process::exit(EXIT_CODE);
        }
    }));
}

fn recovers(name: Option<&str>) -> bool {
    name.is_some_and(|name| {
        let recovers = RECOVERING.iter().any(|prefix| name.starts_with(prefix));
        recovers && !name.contains("arbiter")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_thread_and_the_pipeline_do_not_recover() {
        assert!(!recovers(Some("main")));
        assert!(!recovers(Some("actix-rt|system:0|arbiter:0")));
        assert!(recovers(Some("actix-server worker 1")));
        assert!(recovers(Some("tokio-runtime-worker")));
        assert!(recovers(Some("writer")));
        assert!(!recovers(None));
    }
}
