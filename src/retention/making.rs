//! Makes partitions, and moves strays out of the default ones.
//!
//! While everything is read (`pg_dump`, a notebook), no partition can be
//! made, and messages go to the default one. Afterwards those of the future come
//! first, for the default one has no message of them. Of the present, what is
//! about to come gets its partition at once; the rest follows when it is past:
//! moved if it is little, otherwise the default partition itself becomes the one
//! of that span.

use chrono::{DateTime, TimeDelta, Utc};

use super::policy::Policy;
use super::purger::Steps;
use crate::cluster::LeaseError;
use crate::store::partitions::{self, Made, Partition, PartitionBounds};

/// Spans of the default partition that one run takes care of.
const SPANS_MAX: usize = 16;

/// A partition for what is about to come begins at a full ten seconds, so many from
/// now on: what is on its way, and clocks of other servers, are not further ahead.
const AHEAD_S: i64 = 5;
const GRID_S: i64 = 10;

/// Makes the partitions that are missing between now and some widths ahead. One
/// that fails keeps none of the others from being made.
///
/// # Errors
/// The first failure.
pub(super) fn make_missing(
    steps: &mut Steps<'_>,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<(), LeaseError> {
    let existing = of_kind(steps, false)?;
    let mut spans = policy.missing(&existing.iter().collect::<Vec<_>>(), now);
    spans.reverse();
    let mut result = Ok(());
    for span in spans {
        result = result.and(make(steps, (false, span), now));
    }
    result
}

/// Makes partitions for the strays.
///
/// # Errors
/// The first failure.
pub(super) fn empty_default(
    steps: &mut Steps<'_>,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Result<(), LeaseError> {
    let mut result = Ok(());
    for audit in [false, true] {
        let strays = steps.step(|conn| partitions::strays(conn, audit))?;
        let (Some(first_at), Some(last_at)) = (strays.first_at, strays.last_at) else {
            continue;
        };
        let expired = policy.cutoff(now).filter(|_| !audit);
        let existing = of_kind(steps, audit)?;
        let cell = |at| match audit {
            true => partitions::month(at),
            false => policy.cell(at),
        };
        let from = expired.map_or(first_at, |cutoff| first_at.max(cutoff));
        let until = last_at.min(now) + TimeDelta::microseconds(1);
        let existing: Vec<&Partition> = existing.iter().collect();
        let gaps = partitions::gaps(&existing, from, until, cell);
        for gap in gaps.into_iter().take(SPANS_MAX) {
            // From the beginning of its cell, or what comes late would fall beside it.
            let start = existing
                .iter()
                .map(|one| one.end)
                .filter(|end| *end <= gap.start)
                .max()
                .map_or(cell(gap.start).start, |end| end.max(cell(gap.start).start));
            let span = PartitionBounds { start, ..gap };
            let made = make(steps, (audit, span), now);
            let is_busy = made.is_err();
            result = result.and(made);
            if is_busy {
                // Others wait behind each try, and the next would meet the same query.
                break;
            }
        }
    }
    result
}

fn of_kind(steps: &mut Steps<'_>, audit: bool) -> Result<Vec<Partition>, LeaseError> {
    let mut existing = steps.step(partitions::list)?;
    existing.retain(|partition| partition.audit == audit);
    Ok(existing)
}

/// Makes a partition, or the part of it that can be made now.
fn make(
    steps: &mut Steps<'_>,
    (audit, span): (bool, PartitionBounds),
    now: DateTime<Utc>,
) -> Result<(), LeaseError> {
    let made = steps.step(|conn| partitions::create(conn, audit, span))?;
    if made == Made::Whole {
        return Ok(());
    }
    if span.end <= now {
        return steps.step(|conn| partitions::adopt_default(conn, audit, span));
    }
    let start = soon(now);
    if span.start < start && start < span.end {
        let rest = PartitionBounds { start, ..span };
        steps.step(|conn| partitions::create(conn, audit, rest))?;
    }
    Ok(())
}

fn soon(now: DateTime<Utc>) -> DateTime<Utc> {
    let at = (now.timestamp() + AHEAD_S).div_euclid(GRID_S) * GRID_S + GRID_S;
    DateTime::from_timestamp(at, 0).unwrap_or(now)
}
