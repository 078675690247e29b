//! Series of long ranges, whose buckets are whole hours: from the projection
//! `node_hours`, so that a year costs what a day does.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Double, Integer, Nullable, Text, Timestamptz};

use super::buckets::Buckets;
use super::series::Point;
use crate::projections;

/// Buckets that `node_hours` can answer are multiples of it.
const HOUR_S: i64 = 3_600;

#[derive(QueryableByName)]
struct HourPoint {
    #[diesel(sql_type = Integer)]
    place: i32,
    #[diesel(sql_type = Nullable<BigInt>)]
    height: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    chain_height: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    finalized_height: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    peers: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    transactions: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    ready: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    future: Option<i64>,
    #[diesel(sql_type = Nullable<Double>)]
    download_bytes_per_s: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    upload_bytes_per_s: Option<f64>,
    #[diesel(sql_type = Nullable<Double>)]
    state_cache_bytes: Option<f64>,
}

/// Whether buckets are whole hours and the projection has all of them: while it is
/// built, and for hours that were purged, only the messages have all.
pub(super) fn can_answer(conn: &mut PgConnection, buckets: &Buckets) -> QueryResult<bool> {
    if buckets.step().num_seconds() % HOUR_S != 0 {
        return Ok(false);
    }
    projections::covers(conn, "node_hours", buckets.all().start)
}

/// The points of a node on a chain (an empty hash where unknown), beside `others` of it.
pub(super) fn points(
    conn: &mut PgConnection,
    (peer_id, genesis_hash): (&str, &str),
    others: &[&str],
    buckets: &Buckets,
) -> QueryResult<Vec<Point>> {
    let points: Vec<HourPoint> = diesel::sql_query(include_str!("series_hours.sql"))
        .bind::<Text, _>(peer_id)
        .bind::<Text, _>(genesis_hash)
        .bind::<Timestamptz, _>(buckets.all().start)
        .bind::<Double, _>(buckets.step().as_seconds_f64())
        .bind::<Integer, _>(buckets.count())
        .bind::<Array<Text>, _>(others)
        .load(conn)?;
    let point = |point: HourPoint| Point {
        created_at: buckets.span(point.place).start,
        height: point.height,
        chain_height: point.chain_height,
        finalized_height: point.finalized_height,
        peers: point.peers,
        transactions: point.transactions,
        ready: point.ready,
        future: point.future,
        download_bytes_per_s: point.download_bytes_per_s,
        upload_bytes_per_s: point.upload_bytes_per_s,
        state_cache_bytes: point.state_cache_bytes,
    };
    Ok(points.into_iter().map(point).collect())
}
