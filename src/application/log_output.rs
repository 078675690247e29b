//! Output of the log: a thread writes it, so that no other waits for its reader. A full or
//! closed pipe and a full disk cost lines, and nothing else.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that may wait to be written.
const WAITING_MAX: usize = 1_024;

/// Longest part of a line that is written, bytes.
const LINE_BYTES_MAX: usize = 16_384;

/// How long the end waits for lines to be written.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

static OUTPUT: OnceLock<SyncSender<Line>> = OnceLock::new();
static LOST: AtomicU64 = AtomicU64::new(0);

/// A message to the thread.
enum Line {
    /// A line for standard error.
    Log(Vec<u8>),
    /// A line for standard output.
    Say(String),
    /// Answers when all lines before are written.
    Written(Sender<()>),
}

/// Takes lines of the log; a line that finds no place is lost, and counted.
#[derive(Debug)]
pub struct LogOutput {
    /// A file takes a line or refuses it, and so is written at once.
    is_file: bool,
}

impl LogOutput {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start() -> io::Result<Self> {
        let (lines, written) = sync_channel(WAITING_MAX);
        let thread = thread::Builder::new().name("log".to_owned());
        thread.spawn(move || write_all(&written))?;
        // It is started once.
        OUTPUT.set(lines).ok();
        Ok(Self { is_file: is_file() })
    }
}

impl Write for LogOutput {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.is_file {
            log_line(line);
        } else {
            let shown = line.get(..LINE_BYTES_MAX).unwrap_or(line);
            hand_over(Line::Log(shown.to_vec()));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a line to standard output, for a person who starts the server.
pub(super) fn say(line: String) {
    hand_over(Line::Say(line));
}

/// Waits until all lines are written, for a second at most: before the process ends.
pub fn finish() {
    let (answer, written) = channel();
    let deadline = Instant::now() + PATIENCE;
    let Some(lines) = OUTPUT.get() else {
        return;
    };
    while lines.try_send(Line::Written(answer.clone())).is_err() {
        if Instant::now() > deadline {
            return;
        }
        thread::sleep(LOOK_INTERVAL);
    }
    // Whether it took too long makes no difference at the end.
    written
        .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        .ok();
}

fn hand_over(line: Line) {
    let is_lost = OUTPUT
        .get()
        .is_none_or(|lines| lines.try_send(line).is_err());
    if is_lost {
        LOST.fetch_add(1, Ordering::Relaxed);
    }
}

fn write_all(lines: &Receiver<Line>) {
    for line in lines {
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            log_line(format!("{lost} lines are lost: they were not read in time\n").as_bytes());
        }
        match line {
            Line::Log(line) => log_line(&line),
            Line::Say(line) => {
                let mut output = io::stdout();
                // It may have no reader.
                writeln!(output, "{line}")
                    .and_then(|()| output.flush())
                    .ok();
            }
            // The waiter may have given up.
            Line::Written(answer) => drop(answer.send(())),
        }
    }
}

fn log_line(line: &[u8]) {
    // There is no other place to tell that this one takes nothing.
    io::stderr().write_all(line).ok();
}

fn is_file() -> bool {
    let copy = io::stderr().as_fd().try_clone_to_owned();
    let metadata = copy.and_then(|copy| std::fs::File::from(copy).metadata());
    metadata.is_ok_and(|metadata| metadata.is_file())
}
