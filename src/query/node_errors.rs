//! Errors that nodes report, of all nodes, the newest first.

use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::PgConnection;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use super::buckets::Period;
use super::params::{self, TimeRange};
use super::{Limits, Page, PageCursor, QueryError};
use crate::messages::{self, OfKinds, Window, windows};
use crate::telemetry::ERROR_KINDS;

/// Errors in an answer.
const LIMIT: RangeInclusive<i64> = 1..=1_000;
const LIMIT_DEFAULT: i64 = 100;

/// Without `start_time`; and a century, the longest span.
const SPAN_DEFAULT: TimeDelta = TimeDelta::days(1);
const SPAN_MAX: TimeDelta = TimeDelta::days(36_525);

/// The first window that is looked through: those who have many errors have them there.
const FIRST: TimeDelta = TimeDelta::hours(1);

/// Parameters of the errors.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NodeErrorsParams {
    /// Only errors of nodes of this chain: its name or its genesis hash.
    chain: Option<String>,
    /// Only errors of this node.
    peer_id: Option<String>,
    /// Only errors of this kind.
    #[param(
        example = "slots.unable_authoring_block",
        pattern = "^(afg\\.(bad_(catch_up_|commit_)?msg_signature|err_decoding_msg|malformed_compact_commit)|aura\\.(halting_for_future_block|header_too_far_in_future)|babe\\.header_too_far_in_future|slots\\.(discarding_proposal_took_too_long|err_with_block_built_on|unable_(authoring_block|fetching_authorities)))$"
    )]
    msg: Option<String>,
    /// From this time on; a day before `end_time` unless given.
    start_time: Option<String>,
    /// Before this time; now unless given.
    end_time: Option<String>,
    /// Errors in the answer.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 1_000, default = 100)]
    limit: Option<String>,
    /// Goes on after an earlier answer: its header `X-Next-Cursor`.
    #[param(
        pattern = "^[0-9]{1,17}_-?([0-9]{1,18}|[1-8][0-9]{18}|9[01][0-9]{17}|92[01][0-9]{16})$"
    )]
    cursor: Option<String>,
}

/// A query that needs no check again.
#[derive(Debug, Clone)]
pub struct NodeErrorsQuery {
    chain: Option<String>,
    peer_id: Option<String>,
    kinds: Vec<&'static str>,
    period: Period,
    limit: i64,
    cursor: Option<PageCursor>,
}

impl TryFrom<NodeErrorsParams> for NodeErrorsQuery {
    type Error = QueryError;

    fn try_from(asked: NodeErrorsParams) -> Result<Self, QueryError> {
        let kind = |text: &str| {
            let known = ERROR_KINDS.into_iter().find(|kind| *kind == text);
            let names = || format!("must be one of {}", ERROR_KINDS.join(", "));
            known.ok_or_else(|| QueryError::invalid("msg", names()))
        };
        let range = TimeRange::parse(asked.start_time.as_deref(), asked.end_time.as_deref())?;
        Ok(Self {
            chain: params::text("chain", asked.chain.as_deref())?,
            peer_id: params::peer_id_if_any(asked.peer_id.as_deref())?,
            kinds: match asked.msg.as_deref() {
                Some(text) => vec![kind(text)?],
                None => ERROR_KINDS.to_vec(),
            },
            period: Period::of(range, Utc::now(), SPAN_DEFAULT, SPAN_MAX)?,
            limit: params::whole("limit", asked.limit.as_deref(), LIMIT_DEFAULT, LIMIT)?,
            cursor: asked.cursor.as_deref().map(PageCursor::parse).transpose()?,
        })
    }
}

/// An error that a node reported.
#[derive(Debug, Serialize, ToSchema)]
pub struct NodeError {
    /// Number of the message.
    pub id: i64,
    /// When the server received it, by its clock.
    pub created_at: DateTime<Utc>,
    /// libp2p identity of the node.
    pub peer_id: String,
    /// Name of the node.
    pub name: Option<String>,
    /// Name of its chain.
    pub chain: Option<String>,
    /// Identity of its chain.
    pub genesis_hash: Option<String>,
    /// Kind.
    #[schema(example = "slots.unable_authoring_block")]
    pub msg: &'static str,
    /// Fields of the message, such as `err`.
    #[schema(value_type = Object)]
    pub logs: Box<RawValue>,
}

/// A page of errors. Goes back window by window, so that no statement locks the days of a year.
///
/// # Errors
/// If the database cannot be read, or a filter fits so few that it takes too long.
pub fn fetch(
    conn: &mut PgConnection,
    query: &NodeErrorsQuery,
    limits: &Limits,
) -> Result<Page<NodeError>, QueryError> {
    let deadline = limits.deadline();
    let kinds = messages::numbers(conn, &query.kinds)?;
    let numbers: Vec<i16> = kinds.keys().copied().collect();
    let wanted = OfKinds {
        kinds: &numbers,
        chain: query.chain.as_deref(),
        peer_id: query.peer_id.as_deref(),
    };
    let until = query.cursor.map_or(query.period.end, |cursor| {
        query.period.end.min(cursor.end())
    });
    let begin = messages::begin(conn)?.map_or(until, |begin| begin.max(query.period.start));
    let mut rows = Vec::new();
    let first = (until - FIRST).max(begin).min(until);
    let spans = [(first, until), (begin, first)].map(|(from, until)| Window { from, until });
    let spans = spans.into_iter().filter(|_| !numbers.is_empty());
    for window in spans.flat_map(|span| windows(span, limits.window_max)) {
        deadline.check("there are many errors: give a shorter range, a chain or a node")?;
        let more = query.limit + 1 - i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let after = query.cursor.map(|cursor| (cursor.created_at, cursor.id));
        rows.extend(messages::newest_of_kinds(
            conn, wanted, window, after, more,
        )?);
        if rows.len() > usize::try_from(query.limit).unwrap_or(usize::MAX) {
            break;
        }
    }
    let errors = rows.into_iter().map(|row| {
        let logs = RawValue::from_string(row.message.fields().to_owned());
        Ok(NodeError {
            id: row.message.id,
            created_at: row.message.created_at,
            peer_id: row.peer_id,
            name: row.name,
            chain: row.chain,
            genesis_hash: row.genesis_hash,
            msg: kinds.get(&row.message.kind_id).copied().unwrap_or_default(),
            logs: logs.map_err(|error| QueryError::Internal(error.to_string()))?,
        })
    });
    let errors = errors.collect::<Result<Vec<_>, QueryError>>()?;
    Ok(Page::cut(errors, query.limit, |error| PageCursor {
        created_at: error.created_at,
        id: error.id,
    }))
}
