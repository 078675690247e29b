//! Brings the schema up to date: the migrations are in the binary.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Connection, DatabaseError};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

/// Key of the advisory lock under which one server migrates at a time: "tetcore" in ASCII.
const LOCK_KEY: i64 = 0x0074_6574_636f_7265;

/// Runs the pending migrations; servers that start at the same time take turns.
///
/// # Errors
/// If a migration fails; it is rolled back.
pub fn run(conn: &mut Connection) -> Result<(), DatabaseError> {
    while let Some(version) = conn.transaction(run_next)? {
        log::info!("database schema: migration {version} applied");
    }
    Ok(())
}

/// Runs the first of the migrations that are pending, if there is any.
fn run_next(conn: &mut PgConnection) -> Result<Option<String>, DatabaseError> {
    let failed = |error| DatabaseError::Refused(format!("a migration failed: {error}"));
    diesel::sql_query("SELECT pg_advisory_xact_lock($1)")
        .bind::<BigInt, _>(LOCK_KEY)
        .execute(conn)?;
    let pending = conn.pending_migrations(MIGRATIONS).map_err(failed)?;
    let Some(next) = pending.first() else {
        return Ok(None);
    };
    let version = conn.run_migration(next).map_err(failed)?;
    Ok(Some(version.to_string()))
}

/// Reverts all migrations, newest first. For tests.
///
/// # Errors
/// If a migration cannot be reverted.
pub fn revert_all(conn: &mut PgConnection) -> Result<(), DatabaseError> {
    conn.revert_all_migrations(MIGRATIONS)
        .map(|_versions| ())
        .map_err(|error| {
            DatabaseError::Refused(format!("a migration could not be reverted: {error}"))
        })
}
