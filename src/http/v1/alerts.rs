//! `/api/v1/alerts`: what is wrong for long enough, what is silenced, and where it is delivered.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::alerts::{self, RULES};
use crate::config::RuleOverrides;
use crate::http::answer::Answer;
use crate::http::benchmarks::Body;
use crate::http::error::{EntryErrors, ErrorBody, ReadErrors};
use crate::http::extractors::{Fields, NoParams, required};
use crate::http::{AppError, AppState, paging};
use crate::notify::target_names;
use crate::query::alerts::{
    Alert, AlertTarget, AlertsParams, AlertsQuery, SeverityName, Silence, list as fetch,
    silences as fetch_silences, targets as fetch_targets,
};
use crate::query::{QueryError, params};
use crate::store::alerts::{SILENCES_MAX, end_silence, silence};

/// Longest silence.
const SILENCE_MAX: TimeDelta = TimeDelta::days(366);

/// A rule of alerts, as it is in force.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct AlertRule {
    /// Its name.
    #[schema(example = "node_missing")]
    name: &'static str,
    /// Whether it is used.
    enabled: bool,
    /// How grave it is; of rules of nodes one more for an authority.
    #[schema(value_type = SeverityName)]
    severity: &'static str,
    /// How long it has to hold before it fires, seconds.
    #[schema(minimum = 0)]
    for_s: u64,
    /// What may be behind it.
    cause: &'static str,
    /// What to do.
    action: &'static str,
}

/// A silence to enter.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only describes; see read_silence")]
struct NewSilence {
    /// Only this rule.
    rule: Option<String>,
    /// Only this node.
    peer_id: Option<String>,
    /// Only this chain, by name or genesis hash.
    chain: Option<String>,
    /// Why, and who asks for it.
    comment: String,
    /// When it ends, at most a year from now.
    ends_at: DateTime<Utc>,
}

/// The alerts, those that fired last first.
#[utoipa::path(
    get, operation_id = "list_alerts", path = "/api/v1/alerts", tag = "alerts", params(AlertsParams),
    responses(
        (
            status = 200, description = "The alerts.", body = [Alert],
            headers(
                ("X-Next-Cursor" = Option<String>, description = "`cursor` of the next page; absent on the last."),
                ("Link" = Option<String>, description = "Address of the next page, as RFC 8288 `rel=\"next\"`; absent on the last."),
            )
        ),
        ReadErrors,
    )
)]
pub(in crate::http) async fn list(
    state: web::Data<AppState>,
    request: HttpRequest,
    asked: web::Query<AlertsParams>,
) -> Result<HttpResponse, AppError> {
    let query = AlertsQuery::try_from(asked.into_inner())?;
    let (answer, next) = state
        .ask(move |conn| {
            let page = fetch(conn, &query)?;
            Ok((Answer::of(&page.rows)?, page.next))
        })
        .await?;
    Ok(paging::respond(&request, answer, next))
}

/// The rules of alerts, as they are in force.
#[utoipa::path(
    get, operation_id = "list_alert_rules", path = "/api/v1/alerts/rules", tag = "alerts",
    responses((status = 200, description = "The rules.", body = [AlertRule]), ReadErrors)
)]
pub(in crate::http) async fn rules(
    state: web::Data<AppState>,
    _none: web::Query<NoParams>,
) -> Result<web::Json<Vec<AlertRule>>, AppError> {
    Ok(web::Json(in_force(&state.config.notify.rules)))
}

fn in_force(overrides: &RuleOverrides) -> Vec<AlertRule> {
    let rules = RULES.iter().map(|rule| {
        let own = overrides.of(rule.name);
        AlertRule {
            name: rule.name,
            enabled: own.is_on.unwrap_or(rule.is_on),
            severity: own.severity.unwrap_or(rule.severity).label(),
            for_s: own.hold.unwrap_or(rule.hold).as_secs(),
            cause: rule.cause,
            action: rule.action,
        }
    });
    rules.collect()
}

/// The silences in force, that which ends first before the others; at most 1,000.
#[utoipa::path(
    get, operation_id = "list_alert_silences", path = "/api/v1/alerts/silences", tag = "alerts",
    responses((status = 200, description = "The silences.", body = [Silence]), ReadErrors)
)]
pub(in crate::http) async fn silences(
    state: web::Data<AppState>,
    _none: web::Query<NoParams>,
) -> Result<Answer, AppError> {
    state.answer(fetch_silences).await
}

/// Enters a silence: alerts that fit all that is given are kept and shown, and not delivered
/// until it ends.
#[utoipa::path(
    post, operation_id = "enter_alert_silence", path = "/api/v1/alerts/silences", tag = "alerts", request_body = NewSilence,
    responses(
        (status = 200, description = "The silence with its number.", body = Silence),
        (status = 409, description = "There are 1,000 silences in force, which is the most.", body = ErrorBody),
        EntryErrors,
    )
)]
pub(in crate::http) async fn enter_silence(
    state: web::Data<AppState>,
    body: Body,
) -> Result<web::Json<Silence>, AppError> {
    let mut fields = Fields::new(body.into_inner());
    let now = Utc::now();
    let new = Silence {
        id: 0,
        rule: fields.text("rule")?,
        peer_id: fields.text("peer_id")?,
        chain: fields.text("chain")?,
        comment: required("comment", fields.text("comment")?)?,
        created_at: now,
        ends_at: required("ends_at", fields.time("ends_at")?)?,
    };
    fields.end()?;
    if new.ends_at <= now || new.ends_at > now + SILENCE_MAX {
        return Err(
            QueryError::invalid("ends_at", "must be later than now, and within a year").into(),
        );
    }
    if let Some(rule) = &new.rule
        && alerts::find(rule).is_none()
    {
        return Err(
            QueryError::invalid("rule", "is no rule: /api/v1/alerts/rules lists them").into(),
        );
    }
    let entered = state
        .enter(move |conn| {
            let what = (
                new.rule.as_deref(),
                new.peer_id.as_deref(),
                new.chain.as_deref(),
            );
            match silence(conn, what, &new.comment, new.ends_at)? {
                Some(id) => Ok(Silence { id, ..new }),
                None => Err(QueryError::Full(format!(
                    "there are {SILENCES_MAX} silences in force, which is the most: end some with DELETE /api/v1/alerts/silences/{{id}}, \
                     or silence a rule or a chain instead of its nodes"
                ))),
            }
        })
        .await?;
    Ok(web::Json(entered))
}

/// Ends a silence now.
#[utoipa::path(
    delete, operation_id = "end_alert_silence", path = "/api/v1/alerts/silences/{id}", tag = "alerts",
    params(("id" = i64, Path, description = "Number of the silence.")),
    responses(
        (status = 204, description = "It has ended."),
        (status = 404, description = "There is no such silence.", body = ErrorBody),
        EntryErrors,
    )
)]
pub(in crate::http) async fn end(
    state: web::Data<AppState>,
    id: web::Path<String>,
) -> Result<HttpResponse, AppError> {
    let id = params::row_id("id", &id)?;
    state
        .enter(move |conn| match end_silence(conn, id)? {
            true => Ok(()),
            false => Err(QueryError::NotFound { parameter: "id" }),
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Where alerts are delivered, and how that goes.
#[utoipa::path(
    get, operation_id = "list_alert_targets", path = "/api/v1/alerts/targets", tag = "alerts",
    responses((status = 200, description = "The targets.", body = [AlertTarget]), ReadErrors)
)]
pub(in crate::http) async fn targets(
    state: web::Data<AppState>,
    _none: web::Query<NoParams>,
) -> Result<Answer, AppError> {
    let (mut names, alertmanagers) = target_names(&state.config.notify);
    names.extend(alertmanagers);
    state.answer(move |conn| fetch_targets(conn, &names)).await
}
