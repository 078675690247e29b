//! The newest message of a kind that each peer sent.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Text, Timestamptz};

use super::Window;
use crate::database::read_unlocked;

/// The newest message of a peer.
#[derive(Debug, QueryableByName)]
pub struct ByPeer {
    /// The peer.
    #[diesel(sql_type = Text)]
    pub peer_id: String,
    /// Arrival.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// What is at the path that was asked for, as JSON.
    #[diesel(sql_type = Nullable<Text>)]
    pub part: Option<String>,
}

/// Finds the newest message of a kind of each peer but `except`, within a window;
/// of its fields what is at `path`. At most `rows`, newest first.
///
/// # Errors
/// If the database cannot be read.
pub fn newest_by_peer(
    conn: &mut PgConnection,
    (kind, window): (i16, Window),
    path: &[&str],
    except: &[String],
    rows: i64,
) -> QueryResult<Vec<ByPeer>> {
    read_unlocked(conn, |conn| {
        diesel::sql_query(include_str!("newest_by_peer.sql"))
            .bind::<SmallInt, _>(kind)
            .bind::<Timestamptz, _>(window.from)
            .bind::<Timestamptz, _>(window.until)
            .bind::<Array<Text>, _>(path)
            .bind::<Array<Text>, _>(except)
            .bind::<BigInt, _>(rows)
            .load(conn)
    })
}
