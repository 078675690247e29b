//! Tables that are built beside those that readers see, in a schema of their own, and how they
//! replace these: in transactions of at most [`ROWS`] rows, in which only rows that differ are written.
//! What was purged meanwhile may come back, and goes with the next purge.

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz};

/// The schema of the tables that are built.
pub(super) const SCHEMA: &str = "rebuild";

/// Rows of one transaction: a long one holds the change stream back.
const ROWS: i64 = 10_000;

/// A table of a projection, as it is built.
#[derive(Debug)]
pub struct Table {
    name: &'static str,
    kept: Kept,
    /// Columns by which its rows are gone through, where it is not the primary key.
    order: Option<&'static str>,
    /// What has to be there before rows of the table beside it are entered.
    needs: Option<&'static str>,
}

/// What of the rows that readers see is kept by a build.
#[derive(Debug)]
enum Kept {
    Nothing,
    /// Rows of times before its start; messages may change them yet.
    Before {
        time: &'static str,
        /// Those of times before this one are kept in any case.
        at_least: Option<DateTime<Utc>>,
    },
    /// What a statement takes over into the rows that follow from the sessions.
    Values(&'static str),
}

/// Some rows: those after a key, up to another one. Keys are literals.
#[derive(Debug, Clone, Copy)]
struct Range<'a> {
    order: &'a str,
    after: Option<&'a str>,
    until: Option<&'a str>,
}

/// A way through all rows of some tables.
#[derive(Debug)]
pub(super) struct Walk {
    tables: std::vec::IntoIter<Table>,
    table: Option<Table>,
    /// The key up to which the rows of the table are done.
    after: Option<String>,
}

/// Columns and key of a table, as parts of statements.
#[derive(QueryableByName)]
struct Shape {
    #[diesel(sql_type = Text)]
    columns: String,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    is_same: String,
    #[diesel(sql_type = Text)]
    replaced: String,
}

#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = Text)]
    key: String,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Check {
    #[diesel(sql_type = Bool)]
    holds: bool,
}

impl Table {
    /// All of it follows from the messages that are stored.
    pub(super) const fn new(name: &'static str) -> Self {
        Self {
            name,
            kept: Kept::Nothing,
            order: None,
            needs: None,
        }
    }

    /// Its rows outlive the messages: those with a `time` before the start of a build are kept.
    pub(super) const fn of_times(name: &'static str, time: &'static str) -> Self {
        let kept = Kept::Before {
            time,
            at_least: None,
        };
        Self {
            kept,
            ..Self::new(name)
        }
    }

    /// As [`Self::of_times`]; rows before `at_least` are kept in any case.
    pub(super) const fn of_times_from(
        name: &'static str,
        time: &'static str,
        at_least: Option<DateTime<Utc>>,
    ) -> Self {
        Self {
            kept: Kept::Before { time, at_least },
            ..Self::new(name)
        }
    }

    /// Its rows follow from the sessions; `statement` takes over what only messages said that
    /// are not read.
    pub(super) const fn of_values(name: &'static str, statement: &'static str) -> Self {
        Self {
            kept: Kept::Values(statement),
            ..Self::new(name)
        }
    }

    /// Its rows are entered in the `order` in which others follow them; `needs` makes what has to
    /// be there before.
    pub(super) const fn followed(self, order: &'static str, needs: &'static str) -> Self {
        Self {
            order: Some(order),
            needs: Some(needs),
            ..self
        }
    }

    fn beside(&self) -> String {
        format!("{SCHEMA}.{}", self.name)
    }

    /// Copies the next rows of times before `start`; returns the last key, if there are more.
    fn copy(
        &self,
        conn: &mut PgConnection,
        start: Option<DateTime<Utc>>,
        after: Option<&str>,
    ) -> QueryResult<Option<String>> {
        let Kept::Before { time, at_least } = self.kept else {
            return Ok(None);
        };
        let Some(until) = start.max(at_least) else {
            return Ok(None);
        };
        self.with_next(conn, after, |conn, shape, range| {
            let statement = format!(
                "INSERT INTO {{beside}} ({{columns}}) SELECT {{columns}} FROM {{table}} WHERE {{range}} AND {time} < $1"
            );
            diesel::sql_query(self.fill(&statement, shape, range))
                .bind::<Timestamptz, _>(until)
                .execute(conn)?;
            Ok(())
        })
    }

    /// Takes over values of the next rows that are older than `start`; returns the last key, if
    /// there are more.
    fn keep(
        &self,
        conn: &mut PgConnection,
        start: Option<DateTime<Utc>>,
        after: Option<&str>,
    ) -> QueryResult<Option<String>> {
        let Kept::Values(statement) = self.kept else {
            return Ok(None);
        };
        self.with_next(conn, after, |conn, shape, range| {
            diesel::sql_query(self.fill(statement, shape, range))
                .bind::<Nullable<Timestamptz>, _>(start)
                .execute(conn)?;
            Ok(())
        })
    }

    /// Replaces the next rows by those of the table beside it; returns the last key, if there are
    /// more.
    fn replace(&self, conn: &mut PgConnection, after: Option<&str>) -> QueryResult<Option<String>> {
        self.with_next(conn, after, |conn, shape, range| {
            let delete = include_str!("beside_delete.sql");
            let replace = include_str!("beside_replace.sql");
            let statements = [self.needs, Some(delete), Some(replace)];
            for statement in statements.into_iter().flatten() {
                diesel::sql_query(self.fill(statement, shape, range)).execute(conn)?;
            }
            Ok(())
        })
    }

    /// Does something with the next rows; returns the last key, if there are more.
    fn with_next(
        &self,
        conn: &mut PgConnection,
        after: Option<&str>,
        work: impl FnOnce(&mut PgConnection, &Shape, Range<'_>) -> QueryResult<()>,
    ) -> QueryResult<Option<String>> {
        let shape: Shape = diesel::sql_query(include_str!("beside_shape.sql"))
            .bind::<Text, _>(self.name)
            .get_result(conn)?;
        let mut range = Range {
            order: self.order.unwrap_or(&shape.key),
            after,
            until: None,
        };
        let bound = self.fill(include_str!("beside_bound.sql"), &shape, range);
        let last: Option<Key> = diesel::sql_query(bound)
            .bind::<BigInt, _>(ROWS)
            .get_result(conn)
            .optional()?;
        range.until = last.as_ref().map(|last| last.key.as_str());
        work(conn, &shape, range)?;
        Ok(last.map(|last| last.key))
    }

    /// A statement with the names that it leaves open.
    fn fill(&self, statement: &str, shape: &Shape, range: Range<'_>) -> String {
        let columns = range.order.split(", ");
        let literals = columns.map(|column| format!("quote_literal({column}::text)"));
        let literal = literals.collect::<Vec<_>>().join(" || ', ' || ");
        [
            ("{literal}", literal.as_str()),
            ("{table}", self.name),
            ("{beside}", &self.beside()),
            ("{order}", range.order),
            ("{columns}", &shape.columns),
            ("{key}", &shape.key),
            ("{is_same}", &shape.is_same),
            ("{replaced}", &shape.replaced),
            // Nothing is filled into keys, which are of strangers.
            ("{range}", &range.condition()),
        ]
        .iter()
        .fold(statement.to_owned(), |statement, (name, text)| {
            statement.replace(name, text)
        })
    }
}

impl Range<'_> {
    fn condition(self) -> String {
        let order = self.order;
        let bound = |sign, key: Option<&str>| key.map(|key| format!("({order}) {sign} ({key})"));
        let bounds = [bound(">", self.after), bound("<=", self.until)];
        let bounds: Vec<String> = bounds.into_iter().flatten().collect();
        match bounds.is_empty() {
            true => "true".to_owned(),
            false => bounds.join(" AND "),
        }
    }
}

impl Walk {
    /// Through all rows of these.
    pub(super) fn through(tables: Vec<Table>) -> Self {
        let mut tables = tables.into_iter();
        Self {
            table: tables.next(),
            tables,
            after: None,
        }
    }

    /// Copies the next rows of times before the `start` of a build into the tables beside.
    pub(super) fn copy(
        &mut self,
        conn: &mut PgConnection,
        start: Option<DateTime<Utc>>,
    ) -> QueryResult<()> {
        self.step(|table, after| table.copy(conn, start, after))
    }

    /// Takes over values of the next rows that are older than the `start` of a build.
    pub(super) fn keep(
        &mut self,
        conn: &mut PgConnection,
        start: Option<DateTime<Utc>>,
    ) -> QueryResult<()> {
        self.step(|table, after| table.keep(conn, start, after))
    }

    /// Replaces the next rows by those of the tables beside.
    pub(super) fn replace(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        self.step(|table, after| table.replace(conn, after))
    }

    /// Whether nothing is left.
    pub(super) fn is_over(&self) -> bool {
        self.table.is_none()
    }

    fn step(
        &mut self,
        work: impl FnOnce(&Table, Option<&str>) -> QueryResult<Option<String>>,
    ) -> QueryResult<()> {
        let Some(table) = &self.table else {
            return Ok(());
        };
        self.after = work(table, self.after.as_deref())?;
        if self.after.is_none() {
            self.table = self.tables.next();
        }
        Ok(())
    }
}

/// Makes the tables beside, which are empty.
pub(super) fn create(conn: &mut PgConnection, tables: &[Table]) -> QueryResult<()> {
    drop(conn, tables)?;
    for table in tables {
        let (name, beside) = (table.name, table.beside());
        conn.batch_execute(&format!(
            "CREATE TABLE {beside} (LIKE {name} INCLUDING ALL)"
        ))?;
    }
    Ok(())
}

/// Drops the tables beside.
pub(super) fn drop(conn: &mut PgConnection, tables: &[Table]) -> QueryResult<()> {
    for table in tables {
        conn.batch_execute(&format!("DROP TABLE IF EXISTS {}", table.beside()))?;
    }
    Ok(())
}

/// Whether the tables beside are there, with the columns of those that they are to replace.
pub(super) fn fit(conn: &mut PgConnection, tables: &[Table]) -> QueryResult<bool> {
    for table in tables {
        let found: Check = diesel::sql_query(include_str!("beside_fits.sql"))
            .bind::<Text, _>(table.name)
            .bind::<Text, _>(table.beside())
            .get_result(conn)?;
        if !found.holds {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the tables that readers see have no rows.
pub(super) fn are_empty(conn: &mut PgConnection, tables: &[Table]) -> QueryResult<bool> {
    let empty = tables
        .iter()
        .map(|table| format!("NOT EXISTS (SELECT FROM {})", table.name));
    let empty = empty.collect::<Vec<_>>().join(" AND ");
    let found: Check = diesel::sql_query(format!("SELECT {empty} AS holds")).get_result(conn)?;
    Ok(found.holds)
}

/// Until the end of the transaction, names of tables mean those beside, where there are some. A
/// projection names no table of another one.
pub(super) fn enter(conn: &mut PgConnection) -> QueryResult<()> {
    conn.batch_execute(&format!(
        "SELECT set_config('search_path', '{SCHEMA}, ' || current_setting('search_path'), true)"
    ))
}

/// Those of the tables that are being built.
pub(super) fn built(conn: &mut PgConnection) -> QueryResult<Vec<String>> {
    let found: Vec<Name> = diesel::sql_query(
        "SELECT relname::text AS name FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = 'r'",
    )
    .bind::<Text, _>(SCHEMA)
    .load(conn)?;
    Ok(found.into_iter().map(|row| row.name).collect())
}
