//! The newest messages of some kinds, of all nodes.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Text, Timestamptz};

use super::{MessageRow, Position, Window};
use crate::database::read_unlocked;

/// Which messages are wanted.
#[derive(Debug, Clone, Copy)]
pub struct OfKinds<'a> {
    /// Numbers of their kinds.
    pub kinds: &'a [i16],
    /// Name or genesis hash of the chain of their nodes; none for all.
    pub chain: Option<&'a str>,
    /// Their node; none for all.
    pub peer_id: Option<&'a str>,
}

/// A message, and who sent it.
#[derive(Debug, QueryableByName)]
pub struct NodeMessage {
    /// The message.
    #[diesel(embed)]
    pub message: MessageRow,
    /// libp2p identity of the node.
    #[diesel(sql_type = Text)]
    pub peer_id: String,
    /// Name of the node.
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    /// Name of its chain.
    #[diesel(sql_type = Nullable<Text>)]
    pub chain: Option<String>,
    /// Identity of its chain.
    #[diesel(sql_type = Nullable<Text>)]
    pub genesis_hash: Option<String>,
}

/// Finds messages of some kinds within a window, newest first; those that come after a place in
/// this order. Connections without a peer id are left out.
///
/// # Errors
/// If the database cannot be read.
pub fn newest_of_kinds(
    conn: &mut PgConnection,
    wanted: OfKinds<'_>,
    window: Window,
    after: Option<Position>,
    rows: i64,
) -> QueryResult<Vec<NodeMessage>> {
    read_unlocked(conn, |conn| {
        diesel::sql_query(include_str!("of_kinds.sql"))
            .bind::<Array<SmallInt>, _>(wanted.kinds)
            .bind::<Timestamptz, _>(window.from)
            .bind::<Timestamptz, _>(window.until)
            .bind::<Nullable<Timestamptz>, _>(after.map(|(created_at, _)| created_at))
            .bind::<Nullable<BigInt>, _>(after.map(|(_, id)| id))
            .bind::<Nullable<Text>, _>(wanted.chain)
            .bind::<Nullable<Text>, _>(wanted.peer_id)
            .bind::<BigInt, _>(rows)
            .load(conn)
    })
}
