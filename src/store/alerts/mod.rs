//! Alerts from when they fire until they are resolved, and what is silenced.

use chrono::{DateTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};

use crate::database::statement;

/// An alert that is kept.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct AlertRow {
    /// Number.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Rule that it follows from.
    #[diesel(sql_type = Text)]
    pub rule: String,
    /// What it is about, for the rule.
    #[diesel(sql_type = Text)]
    pub key: String,
    /// `info`, `warning` or `critical`.
    #[diesel(sql_type = Text)]
    pub severity: String,
    /// `node`, `chain`, `server` or `projection`.
    #[diesel(sql_type = Text)]
    pub subject: String,
    /// The node.
    #[diesel(sql_type = Nullable<Text>)]
    pub peer_id: Option<String>,
    /// Identity of the chain.
    #[diesel(sql_type = Nullable<Text>)]
    pub genesis_hash: Option<String>,
    /// Name of the node, the server or the projection.
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    /// Name of the chain.
    #[diesel(sql_type = Nullable<Text>)]
    pub chain: Option<String>,
    /// The server of this program.
    #[diesel(sql_type = Nullable<Text>)]
    pub server_id: Option<String>,
    /// What is wrong, in a sentence.
    #[diesel(sql_type = Text)]
    pub summary: String,
    /// Since when it is so.
    #[diesel(sql_type = Timestamptz)]
    pub began_at: DateTime<Utc>,
    /// When the rule had held for long enough.
    #[diesel(sql_type = Timestamptz)]
    pub fired_at: DateTime<Utc>,
    /// Of one that flaps: since when it is not so.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub absent_since: Option<DateTime<Utc>>,
    /// When it was over.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub resolved_at: Option<DateTime<Utc>>,
    /// How often the same fired in the hour before.
    #[diesel(sql_type = BigInt)]
    pub flaps: i64,
    /// Whether it went to the outbox.
    #[diesel(sql_type = Bool)]
    pub delivered: bool,
    /// Whether it is silenced now.
    #[diesel(sql_type = Bool)]
    pub silenced: bool,
}

/// An alert that fires.
#[derive(Debug, Clone)]
pub struct NewAlert {
    /// Rule that it follows from.
    pub rule: String,
    /// What it is about, for the rule.
    pub key: String,
    /// `info`, `warning` or `critical`.
    pub severity: &'static str,
    /// `node`, `chain`, `server` or `projection`.
    pub subject: String,
    /// The node.
    pub peer_id: Option<String>,
    /// Identity of the chain.
    pub genesis_hash: Option<String>,
    /// Name of the node, the server or the projection.
    pub name: Option<String>,
    /// Name of the chain.
    pub chain: Option<String>,
    /// The server of this program.
    pub server_id: Option<String>,
    /// What is wrong, in a sentence.
    pub summary: String,
    /// Since when it is so.
    pub began_at: DateTime<Utc>,
}

/// Open alerts that are looked at.
const OPEN_MAX: i64 = 20_000;

/// The alerts that are open. Index: `alerts_open_idx`.
///
/// # Errors
/// If the database cannot be read.
pub fn open(conn: &mut PgConnection) -> QueryResult<Vec<AlertRow>> {
    statement(include_str!("open.sql"))
        .bind::<BigInt, _>(OPEN_MAX)
        .load(conn)
}

/// Keeps alerts that fire; one that is open already is left as it is.
///
/// # Errors
/// If the database cannot be written.
pub fn fire(conn: &mut PgConnection, alerts: &[NewAlert], now: DateTime<Utc>) -> QueryResult<()> {
    if alerts.is_empty() {
        return Ok(());
    }
    let of = |text: fn(&NewAlert) -> &str| alerts.iter().map(text).collect::<Vec<_>>();
    let or = |text: fn(&NewAlert) -> Option<&str>| alerts.iter().map(text).collect::<Vec<_>>();
    diesel::sql_query(include_str!("fire.sql"))
        .bind::<Array<Text>, _>(of(|one| &one.rule))
        .bind::<Array<Text>, _>(of(|one| &one.key))
        .bind::<Array<Text>, _>(of(|one| one.severity))
        .bind::<Array<Text>, _>(of(|one| &one.subject))
        .bind::<Array<Nullable<Text>>, _>(or(|one| one.peer_id.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(or(|one| one.genesis_hash.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(or(|one| one.name.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(or(|one| one.chain.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(or(|one| one.server_id.as_deref()))
        .bind::<Array<Text>, _>(of(|one| &one.summary))
        .bind::<Array<Timestamptz>, _>(alerts.iter().map(|one| one.began_at).collect::<Vec<_>>())
        .bind::<Timestamptz, _>(now)
        .execute(conn)?;
    Ok(())
}

/// Keeps an alert that began and ended while there was no database, and gives its number; none if it is
/// kept already.
///
/// # Errors
/// If the database cannot be written.
pub fn keep_past(conn: &mut PgConnection, alert: &AlertRow) -> QueryResult<Option<i64>> {
    let kept: Option<Number> = diesel::sql_query(
        "INSERT INTO alerts (rule, key, severity, subject, name, server_id, summary, began_at, fired_at, resolved_at, delivered) \
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 \
         WHERE NOT EXISTS (SELECT FROM alerts WHERE rule = $1 AND key = $2 AND began_at = $8) RETURNING id",
    )
    .bind::<Text, _>(&alert.rule)
    .bind::<Text, _>(&alert.key)
    .bind::<Text, _>(&alert.severity)
    .bind::<Text, _>(&alert.subject)
    .bind::<Nullable<Text>, _>(&alert.name)
    .bind::<Nullable<Text>, _>(&alert.server_id)
    .bind::<Text, _>(&alert.summary)
    .bind::<Timestamptz, _>(alert.began_at)
    .bind::<Timestamptz, _>(alert.fired_at)
    .bind::<Nullable<Timestamptz>, _>(alert.resolved_at)
    .bind::<Bool, _>(alert.delivered)
    .get_result(conn)
    .optional()?;
    Ok(kept.map(|row| row.id))
}

/// Until when alerts of a rule that are about no node and no chain are silenced; none if they
/// are not. Index: `alert_silences_end_idx`.
///
/// # Errors
/// If the database cannot be read.
pub fn silenced_until(conn: &mut PgConnection, rule: &str) -> QueryResult<Option<DateTime<Utc>>> {
    let last: Option<End> = diesel::sql_query(
        "SELECT ends_at FROM alert_silences WHERE ends_at > now() AND (rule IS NULL OR rule = $1) \
         AND peer_id IS NULL AND chain IS NULL ORDER BY ends_at DESC LIMIT 1",
    )
    .bind::<Text, _>(rule)
    .get_result(conn)
    .optional()?;
    Ok(last.map(|row| row.ends_at))
}

/// Alerts are over.
///
/// # Errors
/// If the database cannot be written.
pub fn resolve(conn: &mut PgConnection, ids: &[i64], now: DateTime<Utc>) -> QueryResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    // One that flapped has been over for a while.
    diesel::sql_query(
        "UPDATE alerts SET resolved_at = coalesce(absent_since, $2) WHERE id = ANY($1) AND resolved_at IS NULL",
    )
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Timestamptz, _>(now)
    .execute(conn)?;
    Ok(())
}

/// Alerts that flap are absent since then, or are back.
///
/// # Errors
/// If the database cannot be written.
pub fn set_absent(
    conn: &mut PgConnection,
    ids: &[i64],
    since: Option<DateTime<Utc>>,
) -> QueryResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    diesel::sql_query("UPDATE alerts SET absent_since = $2 WHERE id = ANY($1)")
        .bind::<Array<BigInt>, _>(ids)
        .bind::<Nullable<Timestamptz>, _>(since)
        .execute(conn)?;
    Ok(())
}

/// Alerts went to the outbox.
///
/// # Errors
/// If the database cannot be written.
pub fn set_delivered(conn: &mut PgConnection, ids: &[i64]) -> QueryResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    diesel::sql_query("UPDATE alerts SET delivered = true WHERE id = ANY($1)")
        .bind::<Array<BigInt>, _>(ids)
        .execute(conn)?;
    Ok(())
}

/// Deletes alerts that were over, and silences that ended, before `cutoff`; at most `rows_max`
/// of each. Returns how many of the table with more of them.
///
/// # Errors
/// If the database cannot be written.
pub fn purge(conn: &mut PgConnection, cutoff: DateTime<Utc>, rows_max: i64) -> QueryResult<usize> {
    let alerts = diesel::sql_query(
        "DELETE FROM alerts WHERE id = ANY(ARRAY(SELECT id FROM alerts WHERE resolved_at < $1 ORDER BY resolved_at LIMIT $2))",
    )
    .bind::<Timestamptz, _>(cutoff)
    .bind::<BigInt, _>(rows_max)
    .execute(conn)?;
    let silences = diesel::sql_query(
        "DELETE FROM alert_silences WHERE id = ANY(ARRAY(SELECT id FROM alert_silences WHERE ends_at < $1 ORDER BY ends_at LIMIT $2))",
    )
    .bind::<Timestamptz, _>(cutoff)
    .bind::<BigInt, _>(rows_max)
    .execute(conn)?;
    Ok(alerts.max(silences))
}

/// Silences in force; each alert is compared with all of them.
pub const SILENCES_MAX: i64 = 1_000;

/// Enters a silence; returns its number, and none if there are [`SILENCES_MAX`] in force.
///
/// # Errors
/// If the database cannot be written.
pub fn silence(
    conn: &mut PgConnection,
    what: (Option<&str>, Option<&str>, Option<&str>),
    comment: &str,
    ends_at: DateTime<Utc>,
) -> QueryResult<Option<i64>> {
    // One after the other, or two could take the last place.
    conn.batch_execute("LOCK TABLE alert_silences IN SHARE ROW EXCLUSIVE MODE")?;
    let entered: Option<Number> = diesel::sql_query(
        "INSERT INTO alert_silences (rule, peer_id, chain, comment, ends_at) SELECT $1, $2, $3, $4, $5 \
         WHERE (SELECT count(*) FROM alert_silences WHERE ends_at > now()) < $6 RETURNING id",
    )
    .bind::<Nullable<Text>, _>(what.0)
    .bind::<Nullable<Text>, _>(what.1)
    .bind::<Nullable<Text>, _>(what.2)
    .bind::<Text, _>(comment)
    .bind::<Timestamptz, _>(ends_at)
    .bind::<BigInt, _>(SILENCES_MAX)
    .get_result(conn)
    .optional()?;
    Ok(entered.map(|row| row.id))
}

/// Ends a silence now; whether there was one.
///
/// # Errors
/// If the database cannot be written.
pub fn end_silence(conn: &mut PgConnection, id: i64) -> QueryResult<bool> {
    let ended = diesel::sql_query(
        "UPDATE alert_silences SET ends_at = least(ends_at, now()) WHERE id = $1",
    )
    .bind::<BigInt, _>(id)
    .execute(conn)?;
    Ok(ended > 0)
}

#[derive(QueryableByName)]
struct End {
    #[diesel(sql_type = Timestamptz)]
    ends_at: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    id: i64,
}
