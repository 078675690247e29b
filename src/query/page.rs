//! Answers in pages: the newest rows first, and a cursor to what is older.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};

use super::QueryError;

/// A slice of the rows.
#[derive(Debug)]
pub struct Page<T> {
    /// The rows, newest first.
    pub rows: Vec<T>,
    /// Where the next page begins; none if there are no older rows.
    pub next: Option<PageCursor>,
}

impl<T> Page<T> {
    /// The first `limit` of `rows`. They are one more if there is another page, which
    /// begins after the `place` of the last one.
    pub fn cut(mut rows: Vec<T>, limit: i64, place: impl Fn(&T) -> PageCursor) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| has_more).map(place);
        Self { rows, next }
    }
}

/// Where a page ended; the next one begins with what is older.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageCursor {
    /// `created_at` of the last row.
    pub created_at: DateTime<Utc>,
    /// `id` of the last row.
    pub id: i64,
}

impl PageCursor {
    /// What a cursor looks like, as a regular expression: microseconds since 1970 and a
    /// number of 64 bits, but for those near the ends, which nothing has.
    pub const PATTERN: &str =
        "^[0-9]{1,17}_-?([0-9]{1,18}|[1-8][0-9]{18}|9[01][0-9]{17}|92[01][0-9]{16})$";

    /// Reads what [`fmt::Display`] wrote.
    ///
    /// # Errors
    /// If it is something else.
    pub fn parse(value: &str) -> Result<Self, QueryError> {
        let has_digits = |text: &str, most: usize| {
            text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let parse = || {
            let (micros, id) = value.split_once('_')?;
            let is_plain = has_digits(micros, 17) && has_digits(id.trim_start_matches('-'), 19);
            let created_at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
            let id = id.parse().ok()?;
            is_plain.then_some(Self { created_at, id })
        };
        parse().ok_or_else(|| {
            QueryError::invalid(
                "cursor",
                "must be taken from the X-Next-Cursor header of an answer",
            )
        })
    }

    /// The first moment of which the next page holds nothing.
    pub fn end(self) -> DateTime<Utc> {
        self.created_at + TimeDelta::microseconds(1)
    }
}

impl fmt::Display for PageCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}_{}",
            self.created_at.timestamp_micros(),
            self.id
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_next_one_if_a_row_is_left() {
        let place = |&id: &i64| PageCursor {
            created_at: DateTime::UNIX_EPOCH,
            id,
        };
        let page = Page::cut(vec![3, 2, 1], 2, place);
        assert_eq!((page.rows, page.next.unwrap().id), (vec![3, 2], 2));
        for rows in [vec![], vec![2, 1]] {
            assert_eq!(Page::cut(rows, 2, place).next, None);
        }
    }

    #[test]
    fn cursors_survive_the_way_to_the_asker_and_back() {
        // Numbers that were made up without the database are below zero.
        for id in [1_048_577, -7_942_670_556_748_316_672] {
            let cursor = PageCursor {
                created_at: "2026-11-21T08:02:05.721155Z".parse().unwrap(),
                id,
            };
            assert_eq!(PageCursor::parse(&cursor.to_string()).unwrap(), cursor);
        }
        for text in [
            "",
            "_",
            "1",
            "x_1",
            "1_x",
            "+1_1",
            "-1_1",
            "1_--1",
            "1_+1",
            "1_0000000000000000000001",
            "9223372036854775807_1",
            "1_1_1",
        ] {
            match PageCursor::parse(text) {
                Err(QueryError::Invalid { parameter, .. }) => assert_eq!(parameter, "cursor"),
                other => panic!("{text} was not refused: {other:?}"),
            }
        }
    }
}
