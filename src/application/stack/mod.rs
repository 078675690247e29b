//! `tetcore-analytics stack check`: whether the server and the programs around it are well, and whether data flow
//! through them.

mod ask;
mod parts;

use std::time::{Duration, Instant};

use ask::Asker;
use parts::Parts;

use super::ApplicationError;
use crate::config::Config;
use crate::config::args::{StackAddresses, StackPart};

/// Pause between two looks while something is awaited.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is well, and data flow.
    Ok,
    /// It is well, and there was nothing yet that could flow.
    Idle,
    /// It is not well, or nothing comes through.
    Wrong,
}

/// A row of the table.
#[derive(Debug)]
struct Row {
    part: StackPart,
    state: State,
    about: String,
}

/// What comes of a look at a part; the error says what is wrong.
type Found = Result<(State, String), String>;

/// Shows a table of all parts; asks again until all are well, for as long as `addresses` say.
///
/// # Errors
/// [`ApplicationError::Command`] with the names of those that are not well.
pub fn stack_check(
    config: &Config,
    addresses: &StackAddresses,
    token: Option<&str>,
    mut show: impl FnMut(&str),
) -> Result<(), ApplicationError> {
    let deadline = Instant::now() + Duration::from_secs(addresses.wait);
    let parts = Parts::new(config, addresses, Asker::new(token));
    let rows = loop {
        let rows = parts.look();
        let is_well = rows.iter().all(|row| row.state != State::Wrong);
        if is_well || Instant::now() >= deadline {
            break rows;
        }
        std::thread::sleep(LOOK_INTERVAL);
    };
    show(&format!("{:<13} {:<6} about", "part", "state"));
    for row in &rows {
        let state = match row.state {
            State::Ok => "ok",
            State::Idle => "idle",
            State::Wrong => "WRONG",
        };
        show(&format!("{:<13} {state:<6} {}", row.part.name(), row.about));
    }
    let wrong = rows.iter().filter(|row| row.state == State::Wrong);
    let wrong: Vec<_> = wrong.map(|row| row.part.name()).collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(ApplicationError::Command(format!(
            "not well: {}",
            wrong.join(", ")
        ))),
    }
}
