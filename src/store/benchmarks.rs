//! Benchmark runs, their phases, and the machines they ran on, as people enter
//! them. The `query` room reads them.

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{BigInt, Nullable, Text, Timestamptz};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// JSON as it was sent: numbers keep all their digits.
#[derive(Debug, Clone, Serialize, FromSqlRow)]
#[serde(transparent)]
pub struct JsonText(pub Box<RawValue>);

impl JsonText {
    fn text(&self) -> &str {
        self.0.get()
    }
}

impl FromSql<Text, Pg> for JsonText {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        let text = <String as FromSql<Text, Pg>>::from_sql(value)?;
        Ok(Self(RawValue::from_string(text)?))
    }
}

/// A machine under test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, QueryableByName, ToSchema)]
pub struct HostSystem {
    /// Number of the machine.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 1)]
    pub id: i64,
    /// What the machine is.
    #[diesel(sql_type = Text)]
    pub description: String,
    /// Operating system with its version.
    #[diesel(sql_type = Text)]
    pub os: String,
    /// Number of processors.
    #[diesel(sql_type = BigInt)]
    pub cpu_qty: i64,
    /// Clock of the processors, MHz.
    #[diesel(sql_type = BigInt)]
    pub cpu_clock: i64,
    /// Memory, MiB.
    #[diesel(sql_type = BigInt)]
    pub ram_mb: i64,
    /// Disks, in words.
    #[diesel(sql_type = Text)]
    pub disk_info: String,
}

/// A machine to enter.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
pub struct NewHostSystem {
    /// What the machine is.
    pub description: String,
    /// Operating system with its version.
    pub os: String,
    /// Number of processors.
    #[schema(minimum = 1)]
    pub cpu_qty: i64,
    /// Clock of the processors, MHz.
    #[schema(minimum = 1)]
    pub cpu_clock: i64,
    /// Memory, MiB.
    #[schema(minimum = 1)]
    pub ram_mb: i64,
    /// Disks, in words.
    pub disk_info: String,
}

/// A benchmark run.
#[derive(Debug, Clone, Serialize, QueryableByName, ToSchema)]
pub struct Benchmark {
    /// Number of the run.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 1)]
    pub id: i64,
    /// Free description in the form of the first version.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(value_type = Option<Object>)]
    pub setup: Option<JsonText>,
    /// Start of the run.
    #[diesel(sql_type = Timestamptz)]
    pub ts_start: DateTime<Utc>,
    /// End of the run.
    #[diesel(sql_type = Timestamptz)]
    pub ts_end: DateTime<Utc>,
    /// What was tried.
    #[diesel(sql_type = Nullable<Text>)]
    pub description: Option<String>,
    /// Chain specification of the node under test.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(value_type = Option<Object>)]
    pub chain_spec: Option<JsonText>,
    /// What the benchmark did.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(value_type = Option<Object>)]
    pub benchmark_spec: Option<JsonText>,
    /// Machine of the run.
    #[diesel(sql_type = Nullable<BigInt>)]
    #[schema(minimum = 1)]
    pub host_system_id: Option<i64>,
    /// When the run was entered.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
}

/// A run to enter.
#[derive(Debug, Clone, ToSchema)]
pub struct NewBenchmark {
    /// Free description in the form of the first version.
    #[schema(value_type = Option<Object>)]
    pub setup: Option<JsonText>,
    /// Start of the run; may be left out if there is a `setup`, and is now then.
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub ts_start: DateTime<Utc>,
    /// End of the run; may be left out if there is a `setup`, and is the start then.
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub ts_end: DateTime<Utc>,
    /// What was tried.
    pub description: Option<String>,
    /// Chain specification of the node under test.
    #[schema(value_type = Option<Object>)]
    pub chain_spec: Option<JsonText>,
    /// What the benchmark did.
    #[schema(value_type = Option<Object>)]
    pub benchmark_spec: Option<JsonText>,
    /// Machine of the run.
    #[schema(minimum = 1)]
    pub host_system_id: Option<i64>,
}

/// A phase of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, QueryableByName, ToSchema)]
pub struct BenchmarkEvent {
    /// Number of the event.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 1)]
    pub id: i64,
    /// Run.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 1)]
    pub benchmark_id: i64,
    /// Name of the phase.
    #[diesel(sql_type = Text)]
    pub name: String,
    /// What happened to it, for instance `start`.
    #[diesel(sql_type = Text)]
    pub phase: String,
    /// When it happened.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
}

/// A phase to enter.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
pub struct NewBenchmarkEvent {
    /// Run.
    #[schema(minimum = 1)]
    pub benchmark_id: i64,
    /// Name of the phase.
    pub name: String,
    /// What happened to it, for instance `start`.
    #[schema(example = "start")]
    pub phase: String,
    /// When it happened; now, if it is left out.
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub created_at: DateTime<Utc>,
}

/// Enters a machine.
///
/// # Errors
/// If the database cannot be written.
pub fn insert_host_system(conn: &mut PgConnection, new: &NewHostSystem) -> QueryResult<HostSystem> {
    diesel::sql_query(include_str!("insert_host_system.sql"))
        .bind::<Text, _>(&new.description)
        .bind::<Text, _>(&new.os)
        .bind::<BigInt, _>(new.cpu_qty)
        .bind::<BigInt, _>(new.cpu_clock)
        .bind::<BigInt, _>(new.ram_mb)
        .bind::<Text, _>(&new.disk_info)
        .get_result(conn)
}

/// Enters a run; none if its machine is unknown.
///
/// # Errors
/// If the database cannot be written.
pub fn insert_benchmark(
    conn: &mut PgConnection,
    new: &NewBenchmark,
) -> QueryResult<Option<Benchmark>> {
    let inserted = diesel::sql_query(include_str!("insert_benchmark.sql"))
        .bind::<Nullable<Text>, _>(new.setup.as_ref().map(JsonText::text))
        .bind::<Timestamptz, _>(new.ts_start)
        .bind::<Timestamptz, _>(new.ts_end)
        .bind::<Nullable<Text>, _>(&new.description)
        .bind::<Nullable<Text>, _>(new.chain_spec.as_ref().map(JsonText::text))
        .bind::<Nullable<Text>, _>(new.benchmark_spec.as_ref().map(JsonText::text))
        .bind::<Nullable<BigInt>, _>(new.host_system_id)
        .get_result(conn);
    none_if_unknown(inserted)
}

/// Deletes a run with its phases; `false` if there is no such run.
///
/// # Errors
/// If the database cannot be written.
pub fn delete_benchmark(conn: &mut PgConnection, id: i64) -> QueryResult<bool> {
    let deleted = diesel::sql_query("DELETE FROM benchmarks WHERE id = $1")
        .bind::<BigInt, _>(id)
        .execute(conn)?;
    Ok(deleted > 0)
}

/// Enters a phase of a run; none if the run is unknown.
///
/// # Errors
/// If the database cannot be written.
pub fn insert_benchmark_event(
    conn: &mut PgConnection,
    new: &NewBenchmarkEvent,
) -> QueryResult<Option<BenchmarkEvent>> {
    let inserted = diesel::sql_query(include_str!("insert_benchmark_event.sql"))
        .bind::<BigInt, _>(new.benchmark_id)
        .bind::<Text, _>(&new.name)
        .bind::<Text, _>(&new.phase)
        .bind::<Timestamptz, _>(new.created_at)
        .get_result(conn);
    none_if_unknown(inserted)
}

fn none_if_unknown<T>(inserted: QueryResult<T>) -> QueryResult<Option<T>> {
    match inserted {
        Err(Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => Ok(None),
        inserted => inserted.map(Some),
    }
}
