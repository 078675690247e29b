//! What is to be delivered outwards: entered with what it tells of in one transaction,
//! claimed by one server at a time, and done when it was delivered or given up.
//!
//! A claim ends by itself, so what a killed server had in work is delivered by another: at least
//! once, each attempt with the same `message_id`. Days are dropped as a whole.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text, Timestamptz};

/// Days that are kept: attempts take at most four, and dead letters are looked at for some more.
const DAYS_KEPT: i64 = 9;

/// Days that are made ahead.
const DAYS_AHEAD: i64 = 2;

/// What is to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Name of the target.
    pub target: String,
    /// Stable identity.
    pub message_id: String,
    /// The alert that it tells of.
    pub alert_id: Option<i64>,
    /// What is sent, as JSON.
    pub payload: String,
}

/// A delivery that this server has claimed.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Delivery {
    /// Number.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// When it was entered: with the number its key.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// Stable identity.
    #[diesel(sql_type = Text)]
    pub message_id: String,
    /// What is sent, as JSON.
    #[diesel(sql_type = Text)]
    pub payload: String,
    /// Attempts, with the one that begins now.
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
}

/// What waits for a target.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Backlog {
    /// Deliveries that wait.
    #[diesel(sql_type = BigInt)]
    pub pending: i64,
    /// Age of the oldest, seconds.
    #[diesel(sql_type = Double)]
    pub oldest_s: f64,
}

/// Enters deliveries.
///
/// # Errors
/// If the database cannot be written.
pub fn enter(conn: &mut PgConnection, deliveries: &[NewDelivery]) -> QueryResult<()> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let of = |text: fn(&NewDelivery) -> &str| deliveries.iter().map(text).collect::<Vec<_>>();
    diesel::sql_query(
        "INSERT INTO outbox (target, message_id, alert_id, payload) SELECT * FROM unnest($1, $2, $3, $4)",
    )
    .bind::<Array<Text>, _>(of(|one| &one.target))
    .bind::<Array<Text>, _>(of(|one| &one.message_id))
    .bind::<Array<Nullable<BigInt>>, _>(deliveries.iter().map(|one| one.alert_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(of(|one| &one.payload))
    .execute(conn)?;
    Ok(())
}

/// What a receiver refused, when it was first sent to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Stable identity.
    pub message_id: String,
    /// What was sent, as JSON.
    pub payload: String,
    /// Why it was refused.
    pub error: String,
    /// Time until it is tried again; none if it is given up.
    pub wait: Option<Duration>,
}

/// Enters what a target refused: to be tried again, or as given up.
///
/// # Errors
/// If the database cannot be written.
pub fn enter_refused(
    conn: &mut PgConnection,
    target: &str,
    refused: &[Refused],
) -> QueryResult<()> {
    if refused.is_empty() {
        return Ok(());
    }
    let of = |text: fn(&Refused) -> &str| refused.iter().map(text).collect::<Vec<_>>();
    let waits = refused
        .iter()
        .map(|one| one.wait.map(|wait| wait.as_secs_f64()));
    diesel::sql_query(
        "INSERT INTO outbox (target, message_id, payload, error, attempts, due_at, done_at) \
         SELECT $1, r.message_id, r.payload, r.error, 1, now() + make_interval(secs => coalesce(r.wait_s, 0)), CASE WHEN r.wait_s IS NULL THEN now() END \
         FROM unnest($2, $3, $4, $5) AS r (message_id, payload, error, wait_s)",
    )
    .bind::<Text, _>(target)
    .bind::<Array<Text>, _>(of(|one| &one.message_id))
    .bind::<Array<Text>, _>(of(|one| &one.payload))
    .bind::<Array<Text>, _>(of(|one| &one.error))
    .bind::<Array<Nullable<Double>>, _>(waits.collect::<Vec<_>>())
    .execute(conn)?;
    Ok(())
}

/// Claims deliveries of a target that are due, for a while.
///
/// # Errors
/// If the database cannot be written.
pub fn claim(
    conn: &mut PgConnection,
    target: &str,
    claimed_for: Duration,
    rows_max: i64,
) -> QueryResult<Vec<Delivery>> {
    diesel::sql_query(include_str!("claim.sql"))
        .bind::<Text, _>(target)
        .bind::<Double, _>(claimed_for.as_secs_f64())
        .bind::<BigInt, _>(rows_max)
        .load(conn)
}

/// Deliveries are done: delivered, or given up with an error. Nothing happens to one that another
/// server has claimed meanwhile.
///
/// # Errors
/// If the database cannot be written.
pub fn finish(
    conn: &mut PgConnection,
    deliveries: &[&Delivery],
    error: Option<&str>,
) -> QueryResult<()> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let created: Vec<DateTime<Utc>> = deliveries.iter().map(|one| one.created_at).collect();
    let ids: Vec<i64> = deliveries.iter().map(|one| one.id).collect();
    let attempts: Vec<i32> = deliveries.iter().map(|one| one.attempts).collect();
    diesel::sql_query(
        "UPDATE outbox o SET done_at = now(), claimed_until = NULL, error = $4 \
         FROM unnest($1, $2, $3) AS d (created_at, id, attempts) \
         WHERE o.created_at = d.created_at AND o.id = d.id AND o.attempts = d.attempts AND o.done_at IS NULL",
    )
    .bind::<Array<Timestamptz>, _>(created)
    .bind::<Array<BigInt>, _>(ids)
    .bind::<Array<Integer>, _>(attempts)
    .bind::<Nullable<Text>, _>(error)
    .execute(conn)?;
    Ok(())
}

/// A delivery failed, and is tried again after a while.
///
/// # Errors
/// If the database cannot be written.
pub fn put_off(
    conn: &mut PgConnection,
    delivery: &Delivery,
    wait: Duration,
    error: &str,
) -> QueryResult<()> {
    diesel::sql_query(
        "UPDATE outbox SET due_at = now() + make_interval(secs => $4), claimed_until = NULL, error = $5 \
         WHERE created_at = $1 AND id = $2 AND attempts = $3 AND done_at IS NULL",
    )
    .bind::<Timestamptz, _>(delivery.created_at)
    .bind::<BigInt, _>(delivery.id)
    .bind::<Integer, _>(delivery.attempts)
    .bind::<Double, _>(wait.as_secs_f64())
    .bind::<Text, _>(error)
    .execute(conn)?;
    Ok(())
}

/// Gives up all that waits for a target; returns how much.
///
/// # Errors
/// If the database cannot be written.
pub fn give_up(conn: &mut PgConnection, target: &str, error: &str) -> QueryResult<usize> {
    diesel::sql_query(
        "UPDATE outbox SET done_at = now(), claimed_until = NULL, error = $2 WHERE target = $1 AND done_at IS NULL",
    )
    .bind::<Text, _>(target)
    .bind::<Text, _>(error)
    .execute(conn)
}

/// What waits for a target. Index: `outbox_due_idx`.
///
/// # Errors
/// If the database cannot be read.
pub fn backlog(conn: &mut PgConnection, target: &str) -> QueryResult<Backlog> {
    diesel::sql_query(
        "SELECT count(*) AS pending, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_s \
         FROM outbox WHERE target = $1 AND done_at IS NULL",
    )
    .bind::<Text, _>(target)
    .get_result(conn)
}

#[derive(QueryableByName)]
struct Partition {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Makes the partitions of today and the next days, and drops those that are old.
///
/// # Errors
/// If the database cannot be written.
pub fn keep_partitions(conn: &mut PgConnection, today: NaiveDate) -> QueryResult<()> {
    let name = |day: NaiveDate| format!("outbox_p{}", day.format("%Y%m%d"));
    let there: Vec<Partition> = diesel::sql_query(
        "SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
         WHERE i.inhparent = 'outbox'::regclass ORDER BY 1",
    )
    .load(conn)?;
    for ahead in 0..=DAYS_AHEAD {
        let day = today + TimeDelta::days(ahead);
        let name = name(day);
        if there.iter().any(|partition| partition.name == name) {
            continue;
        }
        conn.batch_execute(&format!(
            "CREATE TABLE {name} PARTITION OF outbox FOR VALUES FROM ('{day}T00:00:00Z') TO ('{}T00:00:00Z')",
            day + TimeDelta::days(1)
        ))?;
    }
    let oldest = name(today - TimeDelta::days(DAYS_KEPT));
    for partition in there.iter().filter(|partition| partition.name < oldest) {
        conn.batch_execute(&format!("DROP TABLE {}", partition.name))?;
    }
    Ok(())
}

/// What is known of a target that answered that it is gone.
#[derive(Debug, Clone, QueryableByName)]
pub struct DisabledTarget {
    /// Hash of its address then.
    #[diesel(sql_type = Text)]
    pub address_hash: String,
    /// What it answered.
    #[diesel(sql_type = Text)]
    pub reason: String,
}

/// Whether a target is disabled.
///
/// # Errors
/// If the database cannot be read.
pub fn disabled(conn: &mut PgConnection, target: &str) -> QueryResult<Option<DisabledTarget>> {
    diesel::sql_query("SELECT address_hash, reason FROM notify_targets WHERE name = $1")
        .bind::<Text, _>(target)
        .get_result(conn)
        .optional()
}

/// Disables a target.
///
/// # Errors
/// If the database cannot be written.
pub fn disable(
    conn: &mut PgConnection,
    target: &str,
    address_hash: &str,
    reason: &str,
) -> QueryResult<()> {
    diesel::sql_query(
        "INSERT INTO notify_targets (name, address_hash, disabled_at, reason) VALUES ($1, $2, now(), $3) \
         ON CONFLICT (name) DO UPDATE SET address_hash = excluded.address_hash, disabled_at = excluded.disabled_at, reason = excluded.reason",
    )
    .bind::<Text, _>(target)
    .bind::<Text, _>(address_hash)
    .bind::<Text, _>(reason)
    .execute(conn)?;
    Ok(())
}

/// A target has another address, and counts as gone no more.
///
/// # Errors
/// If the database cannot be written.
pub fn enable(conn: &mut PgConnection, target: &str) -> QueryResult<()> {
    diesel::sql_query("DELETE FROM notify_targets WHERE name = $1")
        .bind::<Text, _>(target)
        .execute(conn)?;
    Ok(())
}
