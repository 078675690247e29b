//! Output of the log: a thread writes it, so that no other waits for its reader or its disk. A
//! full or closed pipe, a full disk and one that hangs cost lines, and nothing else.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use chrono::Utc;
use log::Level;
use prometheus::IntCounter;

use super::log_line::{LINE_BYTES_MAX, LogLine};
use super::standard_output;
use crate::config::LogFormat;

/// Lines that may wait to be written.
const WAITING_MAX: usize = 1_024;

/// How long the end waits for lines to be written.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// How long a line waits to be in its file: one that takes lines at all takes them in
/// microseconds.
const FILE_PATIENCE: Duration = Duration::from_millis(100);

static OUTPUT: OnceLock<LogOutput> = OnceLock::new();

/// A message to the thread.
enum Line {
    /// A line for the log; answers when it is written, if that is waited for.
    Log(Vec<u8>, Option<SyncSender<()>>),
    /// Answers when all lines before are written.
    Written(Sender<()>),
}

/// Takes lines of the log; a line that finds no place is lost, and counted.
#[derive(Debug, Clone)]
pub struct LogOutput {
    lines: SyncSender<Line>,
    state: Arc<State>,
    /// The log is a file: what is logged is in it at once, also if the process is killed then.
    is_file: bool,
}

/// What the thread and those that log share.
#[derive(Debug, Default)]
struct State {
    /// Lines that were lost since the log last said so.
    lost: AtomicU64,
    /// Counts them in `/metrics`, once that is there.
    counter: OnceLock<IntCounter>,
    /// The file takes no lines: none waits for it.
    hangs: AtomicBool,
}

impl LogOutput {
    /// Starts the thread that writes to standard error.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(format: LogFormat) -> io::Result<Self> {
        let output = Self::to(io::stderr(), is_file(), format)?;
        // It is started once.
        OUTPUT.set(output.clone()).ok();
        Ok(output)
    }

    fn to(log: impl Write + Send + 'static, is_file: bool, format: LogFormat) -> io::Result<Self> {
        let (lines, written) = sync_channel(WAITING_MAX);
        let state = Arc::new(State::default());
        let thread = thread::Builder::new().name("log".to_owned());
        let seen = state.clone();
        thread.spawn(move || write_all(log, &written, &seen, format))?;
        Ok(Self {
            lines,
            state,
            is_file,
        })
    }

    fn log(&self, line: &[u8]) {
        let mut shown = line.get(..LINE_BYTES_MAX).unwrap_or(line).to_vec();
        if shown.len() < line.len() {
            shown.push(b'\n');
        }
        if !self.is_file || self.state.hangs.load(Ordering::Relaxed) {
            return self.hand_over(Line::Log(shown, None));
        }
        let (answer, written) = sync_channel(1);
        self.hand_over(Line::Log(shown, Some(answer)));
        if written.recv_timeout(FILE_PATIENCE) == Err(RecvTimeoutError::Timeout) {
            self.state.hangs.store(true, Ordering::Relaxed);
        }
    }

    fn hand_over(&self, line: Line) {
        if self.lines.try_send(line).is_err() {
            self.state.lost.fetch_add(1, Ordering::Relaxed);
            if let Some(counter) = self.state.counter.get() {
                counter.inc();
            }
        }
    }
}

impl Write for LogOutput {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.log(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines that are lost from now on are counted here too.
pub(super) fn count_in(counter: IntCounter) {
    if let Some(output) = OUTPUT.get() {
        output.state.counter.set(counter).ok();
    }
}

/// Waits until all lines are written, for a second at most: before the process ends.
pub fn finish() {
    let (answer, written) = channel();
    let deadline = Instant::now() + PATIENCE;
    standard_output::finish(PATIENCE);
    let Some(output) = OUTPUT.get() else {
        return;
    };
    while output
        .lines
        .try_send(Line::Written(answer.clone()))
        .is_err()
    {
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

fn write_all(mut log: impl Write, lines: &Receiver<Line>, state: &State, format: LogFormat) {
    // There is no other place to say that this one takes nothing.
    let mut log = |line: &[u8]| log.write_all(line).ok();
    for line in lines {
        let lost = state.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let line = LogLine {
                time: Utc::now(),
                level: Level::Warn,
                target: module_path!(),
                message: &format!("{lost} lines are lost: they were not read in time"),
                request_id: None,
            };
            log(line.write(format).as_bytes());
        }
        match line {
            Line::Log(line, answer) => {
                log(&line);
                state.hangs.store(false, Ordering::Relaxed);
                // The waiter may have given up.
                answer.map(|answer| answer.send(()));
            }
            // The waiter may have given up.
            Line::Written(answer) => drop(answer.send(())),
        }
    }
}

fn is_file() -> bool {
    let copy = io::stderr().as_fd().try_clone_to_owned();
    let metadata = copy.and_then(|copy| std::fs::File::from(copy).metadata());
    metadata.is_ok_and(|metadata| metadata.is_file())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Mutex;

    use super::*;

    /// Waits in `write` until it may go on.
    struct Hanging {
        may_write: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Hanging {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // An error: the disk is there again.
            self.may_write.recv().ok();
            self.written.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_log_file_that_hangs_costs_lines_which_are_counted() {
        let (go_on, may_write) = channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let disk = Hanging {
            may_write,
            written: written.clone(),
        };
        let output = LogOutput::to(disk, true, LogFormat::Text).unwrap();
        let counter = IntCounter::new("lost", "lost").unwrap();
        output.state.counter.set(counter.clone()).unwrap();
        // It keeps nobody, however much is logged.
        let lines = 3 * WAITING_MAX;
        for number in 0..lines {
            output.log(format!("{number}\n").as_bytes());
        }
        let lost = usize::try_from(counter.get()).unwrap();
        // The thread has one of the others.
        assert!(
            (lines - WAITING_MAX - 1..=lines - WAITING_MAX).contains(&lost),
            "{lost}"
        );
        drop(go_on);
        let (answer, answered) = channel();
        while output
            .lines
            .try_send(Line::Written(answer.clone()))
            .is_err()
        {
            thread::yield_now();
        }
        answered.recv().unwrap();
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.contains(&format!("{lost} lines are lost")), "{text}");
    }

    #[test]
    fn a_pipe_that_nobody_reads_keeps_nobody() {
        let (mut reader, writer) = io::pipe().unwrap();
        let output = LogOutput::to(writer, false, LogFormat::Text).unwrap();
        let line = vec![b'x'; 2 * LINE_BYTES_MAX];
        output.log(&line);
        // It is a line, though it is cut.
        let mut first = vec![0; LINE_BYTES_MAX + 1];
        reader.read_exact(&mut first).unwrap();
        assert_eq!(
            first.iter().position(|byte| *byte == b'\n'),
            Some(LINE_BYTES_MAX)
        );
        for _ in 0..2 * WAITING_MAX {
            output.log(&line);
        }
        assert!(output.state.lost.load(Ordering::Relaxed) > 0);
    }
}
