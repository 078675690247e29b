//! Alerts, what is silenced, and where they are delivered.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Double, Nullable, Text, Timestamptz};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::params;
use super::{Page, PageCursor, QueryError};
use crate::config::Severity;
use crate::store::alerts::SILENCES_MAX;

/// Alerts in an answer.
const LIMIT: RangeInclusive<i64> = 1..=10_000;
const LIMIT_DEFAULT: i64 = 100;

/// Parameters of the list of alerts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AlertsParams {
    /// Whether they are open: `true`, `false`, or both if it is not given.
    #[param(value_type = Option<bool>)]
    open: Option<String>,
    /// Only alerts of this rule.
    rule: Option<String>,
    /// Only alerts that are as grave as this, or graver.
    #[param(inline, value_type = Option<SeverityName>)]
    severity: Option<String>,
    /// Only alerts of this chain and its nodes: its name or its genesis hash.
    chain: Option<String>,
    /// Only alerts of this node.
    peer_id: Option<String>,
    /// Alerts in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 10_000, default = 100)]
    limit: Option<String>,
    /// Goes on after an earlier answer: its header `X-Next-Cursor`.
    cursor: Option<String>,
}

/// How grave an alert is: the names of `Severity`, for the description.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
pub enum SeverityName {
    /// Worth knowing.
    Info,
    /// Somebody should look today.
    Warning,
    /// Somebody should look now.
    Critical,
}

/// A query of alerts that needs no check again.
#[derive(Debug, Clone)]
pub struct AlertsQuery {
    open: Option<bool>,
    rule: Option<String>,
    severities: Vec<&'static str>,
    chain: Option<String>,
    peer_id: Option<String>,
    limit: i64,
    cursor: Option<PageCursor>,
}

impl TryFrom<AlertsParams> for AlertsQuery {
    type Error = QueryError;

    fn try_from(asked: AlertsParams) -> Result<Self, QueryError> {
        let least = match asked.severity.as_deref() {
            Some(text) => text
                .parse::<Severity>()
                .map_err(|problem| QueryError::invalid("severity", problem))?,
            None => Severity::Info,
        };
        let peer_id = asked.peer_id.as_deref();
        let peer_id = peer_id.map(|peer_id| params::peer_id(Some(peer_id)));
        let severities = Severity::ALL.into_iter().filter(|one| *one >= least);
        Ok(Self {
            open: params::flag("open", asked.open.as_deref())?,
            rule: params::text("rule", asked.rule.as_deref())?,
            severities: severities.map(Severity::label).collect(),
            chain: params::text("chain", asked.chain.as_deref())?,
            peer_id: peer_id.transpose()?,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
            cursor: asked.cursor.as_deref().map(PageCursor::parse).transpose()?,
        })
    }
}

/// An alert.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Alert {
    /// Number.
    #[diesel(sql_type = BigInt)]
    pub id: i64,
    /// Rule that it follows from.
    #[diesel(sql_type = Text)]
    #[schema(example = "node_missing")]
    pub rule: String,
    /// How grave it is.
    #[diesel(sql_type = Text)]
    #[schema(value_type = SeverityName)]
    pub severity: String,
    /// What it is about: `node`, `chain`, `server`, `projection` or `service`.
    #[diesel(sql_type = Text)]
    #[schema(example = "node")]
    pub subject: String,
    /// libp2p identity of the node; null if it is not about one.
    #[diesel(sql_type = Nullable<Text>)]
    pub peer_id: Option<String>,
    /// Identity of the chain; null if it is not known, or not about one.
    #[diesel(sql_type = Nullable<Text>)]
    pub genesis_hash: Option<String>,
    /// Name of the node, the server or the projection.
    #[diesel(sql_type = Nullable<Text>)]
    pub name: Option<String>,
    /// Name of the chain.
    #[diesel(sql_type = Nullable<Text>)]
    pub chain: Option<String>,
    /// The server of this program; null if it is not about one.
    #[diesel(sql_type = Nullable<Text>)]
    pub server_id: Option<String>,
    /// What is wrong.
    #[diesel(sql_type = Text)]
    #[schema(example = "is silent")]
    pub summary: String,
    /// Since when it is so.
    #[diesel(sql_type = Timestamptz)]
    pub began_at: DateTime<Utc>,
    /// When the rule had held for long enough.
    #[diesel(sql_type = Timestamptz)]
    pub fired_at: DateTime<Utc>,
    /// When it was over; null while it is open.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub resolved_at: Option<DateTime<Utc>>,
    /// How often the same fired in the hour before; from 2 on it is one alert until it is calm for ten minutes.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0)]
    pub flaps: i64,
    /// Whether it is silenced now.
    #[diesel(sql_type = Bool)]
    pub silenced: bool,
}

/// The alerts, those that fired last first.
///
/// # Errors
/// If the database cannot be read.
pub fn list(conn: &mut PgConnection, query: &AlertsQuery) -> Result<Page<Alert>, QueryError> {
    let rows = diesel::sql_query(include_str!("alerts.sql"))
        .bind::<Nullable<Bool>, _>(query.open)
        .bind::<Nullable<Text>, _>(&query.rule)
        .bind::<Array<Text>, _>(&query.severities)
        .bind::<Nullable<Text>, _>(&query.chain)
        .bind::<Nullable<Text>, _>(&query.peer_id)
        .bind::<Nullable<BigInt>, _>(query.cursor.map(|cursor| cursor.id))
        .bind::<BigInt, _>(query.limit + 1)
        .load(conn)?;
    let place = |alert: &Alert| PageCursor {
        created_at: alert.fired_at,
        id: alert.id,
    };
    Ok(Page::cut(rows, query.limit, place))
}

/// What is not delivered for a while: alerts that fit all that is given.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct Silence {
    /// Number.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 1)]
    pub id: i64,
    /// Only this rule; null for all.
    #[diesel(sql_type = Nullable<Text>)]
    pub rule: Option<String>,
    /// Only this node; null for all.
    #[diesel(sql_type = Nullable<Text>)]
    pub peer_id: Option<String>,
    /// Only this chain, by name or genesis hash; null for all.
    #[diesel(sql_type = Nullable<Text>)]
    pub chain: Option<String>,
    /// Why, and who asked for it.
    #[diesel(sql_type = Text)]
    pub comment: String,
    /// When it was entered.
    #[diesel(sql_type = Timestamptz)]
    pub created_at: DateTime<Utc>,
    /// When it ends.
    #[diesel(sql_type = Timestamptz)]
    pub ends_at: DateTime<Utc>,
}

/// The silences in force, that which ends first before the others.
///
/// # Errors
/// If the database cannot be read.
pub fn silences(conn: &mut PgConnection) -> Result<Vec<Silence>, QueryError> {
    let silences = diesel::sql_query(
        "SELECT id, rule, peer_id, chain, comment, created_at, ends_at FROM alert_silences \
         WHERE ends_at > now() ORDER BY ends_at, id LIMIT $1",
    )
    .bind::<BigInt, _>(SILENCES_MAX)
    .load(conn)?;
    Ok(silences)
}

/// Where alerts are delivered, and how that goes.
#[derive(Debug, Serialize, QueryableByName, ToSchema)]
pub struct AlertTarget {
    /// Its name: its kind, and its place in the settings.
    #[diesel(sql_type = Text)]
    #[schema(example = "webhook-1")]
    pub name: String,
    /// Deliveries that wait.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0)]
    pub pending: i64,
    /// Age of the oldest of them, seconds.
    #[diesel(sql_type = Double)]
    pub oldest_pending_s: f64,
    /// Deliveries that were given up within the last days.
    #[diesel(sql_type = BigInt)]
    #[schema(minimum = 0)]
    pub dead: i64,
    /// What the last attempt that failed within the last days failed with.
    #[diesel(sql_type = Nullable<Text>)]
    pub last_error: Option<String>,
    /// Since when nothing is sent, for the receiver answered that it is gone; null if it did not.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub disabled_at: Option<DateTime<Utc>>,
}

/// How deliveries to some targets go.
///
/// # Errors
/// If the database cannot be read.
pub fn targets(conn: &mut PgConnection, names: &[String]) -> Result<Vec<AlertTarget>, QueryError> {
    let targets = diesel::sql_query(include_str!("alert_targets.sql"))
        .bind::<Array<Text>, _>(names)
        .load(conn)?;
    Ok(targets)
}
