//! Alerts from when they fire until they are resolved, and what is silenced.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text, Timestamptz};

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
    diesel::sql_query(include_str!("open.sql"))
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

/// Enters a silence; returns its number.
///
/// # Errors
/// If the database cannot be written.
pub fn silence(
    conn: &mut PgConnection,
    what: (Option<&str>, Option<&str>, Option<&str>),
    comment: &str,
    ends_at: DateTime<Utc>,
) -> QueryResult<i64> {
    let entered: Number = diesel::sql_query(
        "INSERT INTO alert_silences (rule, peer_id, chain, comment, ends_at) VALUES ($1, $2, $3, $4, $5) RETURNING id",
    )
    .bind::<Nullable<Text>, _>(what.0)
    .bind::<Nullable<Text>, _>(what.1)
    .bind::<Nullable<Text>, _>(what.2)
    .bind::<Text, _>(comment)
    .bind::<Timestamptz, _>(ends_at)
    .get_result(conn)?;
    Ok(entered.id)
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
struct Number {
    #[diesel(sql_type = BigInt)]
    id: i64,
}
