//! Standard output: a thread of its own writes it, so that nothing else, the log least of all,
//! waits for its reader.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use crate::notify::Written;

/// What may wait to be written: the lines of the start, and one batch of each transport to it.
const WAITING_MAX: usize = 64;

/// Something to write.
enum Output {
    /// A line for people.
    Line(String),
    /// Whole lines of events, and who waits for them to be out.
    Lines(Vec<u8>, SyncSender<io::Result<()>>),
    /// Answers when all before is written.
    Written(SyncSender<()>),
}

static OUTPUT: OnceLock<Option<SyncSender<Output>>> = OnceLock::new();

/// Writes a line, for a person who starts the server; one that finds no place is lost.
pub(super) fn say(line: String) {
    if let Some(output) = output() {
        output.try_send(Output::Line(line)).ok();
    }
}

/// Takes whole lines of events to be written, however long that takes; none if they find no place.
/// What came of them is said when they are out.
pub(super) fn write(lines: Vec<u8>) -> Option<Written> {
    let (answer, written) = sync_channel(1);
    output()?.try_send(Output::Lines(lines, answer)).ok()?;
    Some(written)
}

/// Waits until everything is written, no longer than that.
pub(super) fn finish(wait_max: Duration) {
    let Some(Some(output)) = OUTPUT.get() else {
        return;
    };
    let (answer, written) = sync_channel(1);
    if output.try_send(Output::Written(answer)).is_ok() {
        written.recv_timeout(wait_max).ok();
    }
}

/// The thread, which begins with the first line; none if there can be no thread.
fn output() -> Option<&'static SyncSender<Output>> {
    let start = || {
        let (output, outputs) = sync_channel(WAITING_MAX);
        let thread = Builder::new().name("output".to_owned());
        let started = thread.spawn(move || write_all(&outputs));
        started.is_ok().then_some(output)
    };
    OUTPUT.get_or_init(start).as_ref()
}

fn write_all(outputs: &Receiver<Output>) {
    let mut out = io::stdout();
    for output in outputs {
        match output {
            Output::Line(line) => {
                // It may have no reader.
                writeln!(out, "{line}").and_then(|()| out.flush()).ok();
            }
            Output::Lines(lines, answer) => {
                let written = out.write_all(&lines).and_then(|()| out.flush());
                // The waiter may have ended.
                answer.send(written).ok();
            }
            Output::Written(answer) => drop(answer.send(())),
        }
    }
}
