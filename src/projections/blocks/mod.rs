//! The projection `blocks`: each block of each chain, who reported it first, how long
//! the other nodes took, and when it was finalized.
//!
//! A block is made of the earliest report of each node, so the order of messages does
//! not matter. These reports are kept for an hour beside the block; afterwards only
//! what they add up to is, and later messages leave it as it is. Finality is one of
//! heights: a block is finalized with the first report of its height or a higher one.
//!
//! ```text
//! messages ──► reports ──► Admission ──► Block ──► blocks, block_arrivals
//!                              └──► block_finalities ──► blocks.finalized_at
//! ```
//!
//! | file | holds |
//! | --- | --- |
//! | `admission` | which reports are taken |
//! | `block` | one block and the reports of it |
//! | `registry` | the numbers of chains, and of nodes that were first |
//! | `rows` | the tables |

mod admission;
mod block;
mod registry;
mod rows;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, SmallInt, Timestamptz};

use super::beside::Table;
use super::hours::{Hour, hour_of};
use super::identities::Identities;
use super::{Message, NumberMap, Occasion, Projection};
use crate::cluster::Job;
use crate::ids::SessionId;
use crate::store::SessionRow;
use crate::telemetry::{self, BlockHash, FinalizedUpTo, Origin, Reading, block_hash};
use admission::{Admission, LeftOut, NodeHeights};
use block::{Block, BlockKey, Reporter, Sighting, Taken, node_number};
use registry::Registry;

/// Longest time until what was read is written.
const INTERVAL_MAX: Duration = Duration::from_secs(10);

/// A block that no report came of for so long is read back when one comes.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Reports in memory, of all blocks: some 30 MB.
const ARRIVALS_MAX: usize = 500_000;

/// Finalities that are known to be written.
const FINALITIES_MAX: usize = 20_000;

/// Blocks that wait for the node of one session.
const WAITING_MAX: i64 = 1_000;

/// Between two deletions of what is not kept any more, and two additions of an hour.
const TIDY_INTERVAL: Duration = Duration::from_secs(10);

/// What a session reported of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Report {
    session: SessionId,
    height: i64,
    hash: BlockHash,
    /// None if it is finalized.
    origin: Option<Origin>,
}

/// A node as reports are counted.
#[derive(Debug, Clone)]
struct Known {
    chain_id: i32,
    node: u64,
    reporter: Reporter,
}

/// What was left out of a chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Losses {
    behind: i64,
    ahead: i64,
    excess: i64,
    late: i64,
    malformed: i64,
}

/// A report that waited for the node of its session.
#[derive(QueryableByName)]
struct Waited {
    #[diesel(sql_type = BigInt)]
    session_id: i64,
    #[diesel(sql_type = BigInt)]
    height: i64,
    #[diesel(sql_type = Binary)]
    hash: Vec<u8>,
    #[diesel(sql_type = SmallInt)]
    origin: i16,
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
}

/// The projection.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// The first arrival of each report.
    reports: HashMap<Report, DateTime<Utc>>,
    /// The highest blocks of each session in a slot of ten seconds.
    heights: NumberMap<(SessionId, i64), (i64, NodeHeights)>,
    malformed: HashMap<SessionId, i64>,
    changed: HashSet<SessionId>,
    waiting: HashMap<SessionId, i64>,
    identities: Identities,
    registry: Registry,
    admission: Admission,
    blocks: BTreeMap<BlockKey, Block>,
    finalities: HashMap<BlockKey, DateTime<Utc>>,
    /// Hours that are marked as stale.
    stale: BTreeSet<(i32, Hour)>,
    /// Hours of others wait to be added up.
    has_more: bool,
    tidied_at: Option<Instant>,
}

impl Projection for Blocks {
    fn name(&self) -> &'static str {
        "blocks"
    }

    fn job(&self) -> Job {
        Job::Blocks
    }

    fn kinds(&self) -> &'static [&'static str] {
        &[
            Reading::INTERVAL,
            Reading::IMPORT,
            Reading::FINALIZED,
            FinalizedUpTo::KIND,
        ]
    }

    fn interval_max(&self) -> Duration {
        INTERVAL_MAX
    }

    fn fold(&mut self, message: Message<'_>) {
        if let Some(reading) = message.reading {
            let height =
                |block: &Option<telemetry::Block<'_>>| block.as_ref().map(|block| block.height);
            let said = (height(&reading.best), height(&reading.finalized));
            if said != (None, None) && reading.origin != Some(Origin::Sync) {
                self.hear(&message, said);
            }
            if let (Some(best), Some(origin)) = (&reading.best, reading.origin)
                && origin != Origin::Sync
            {
                self.report(&message, best, Some(origin));
            }
            if let Some(finalized) = &reading.finalized {
                self.report(&message, finalized, None);
            }
        } else if let Some(FinalizedUpTo(block)) =
            FinalizedUpTo::from_fields(message.kind, message.fields.as_bytes())
        {
            self.report(&message, &block, None);
        }
    }

    fn session(&mut self, session: &SessionRow, _occasion: Occasion) {
        self.changed.insert(session.id);
        self.identities.learn(session);
        self.registry.learn(session);
    }

    fn pending(&self) -> usize {
        self.reports.len() + self.heights.len() + self.changed.len()
    }

    fn reported(&self) -> usize {
        self.reports.len()
    }

    /// Hours are added up as time passes, whatever was reported.
    fn is_idle(&self) -> bool {
        false
    }

    fn write(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let reports = std::mem::take(&mut self.reports);
        let heights = std::mem::take(&mut self.heights);
        let malformed = std::mem::take(&mut self.malformed);
        let changed = std::mem::take(&mut self.changed);
        let sessions: HashSet<SessionId> = reports
            .keys()
            .map(|report| report.session)
            .chain(heights.keys().map(|(session, _)| *session))
            .chain(malformed.keys().copied())
            .collect();
        self.identities.look_up(conn, sessions.iter().copied())?;
        let waited = self.take_waited(conn, &changed)?;
        let all = sessions
            .iter()
            .chain(waited.keys().map(|report| &report.session));
        let known = self.know(conn, all.copied())?;
        let mut heights: Vec<_> = heights.into_iter().collect();
        heights.sort_unstable_by_key(|(_, (at, _))| *at);
        for ((session, _), (at, said)) in heights {
            if let Some(known) = known.get(&session) {
                self.admission.hear(known.chain_id, known.node, at, said);
            }
        }
        let mut losses: HashMap<i32, Losses> = HashMap::new();
        for (session, count) in malformed {
            if let Some(known) = known.get(&session) {
                losses.entry(known.chain_id).or_default().malformed += count;
            }
        }
        let mut imports = Vec::new();
        let mut finals: BTreeMap<BlockKey, DateTime<Utc>> = BTreeMap::new();
        let mut waiting = Vec::new();
        for (report, at) in reports.into_iter().chain(waited) {
            let Some(known) = known.get(&report.session) else {
                if self.identities.of(report.session).is_none() {
                    waiting.push((report, at));
                }
                continue;
            };
            let admitted = self.admission.admits(
                known.chain_id,
                known.node,
                at.timestamp_micros(),
                report.height,
                report.origin.is_none(),
            );
            if let Err(reason) = admitted {
                losses.entry(known.chain_id).or_default().count(reason);
                continue;
            }
            let key = BlockKey {
                chain_id: known.chain_id,
                height: report.height,
                hash: report.hash,
            };
            match report.origin {
                Some(origin) => imports.push((key, at, origin, known)),
                None => {
                    let first = finals.entry(key).or_insert(at);
                    *first = at.min(*first);
                }
            }
        }
        imports.sort_unstable_by_key(|import| (import.0, import.1));
        let touched = self.take_imports(conn, imports, &mut losses)?;
        self.wait(conn, &waiting)?;
        let mut hours = rows::put(conn, &mut self.registry, &mut self.blocks, &touched)?;
        finals.retain(|key, at| self.finalities.get(key).is_none_or(|known| *at < *known));
        hours.extend(rows::settle(conn, &finals)?);
        self.finalities.extend(finals);
        rows::count(conn, &losses)?;
        rows::mark_stale(conn, &mut self.stale, &hours)?;
        self.tidy(conn)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn tables(&self) -> Vec<Table> {
        vec![
            Table::of_times("blocks", "first_at"),
            Table::of_times("chain_hours", "hour"),
            Table::new("block_arrivals"),
            Table::new("block_finalities"),
            Table::new("session_blocks"),
        ]
    }

    fn build_begins(&self, conn: &mut PgConnection) -> QueryResult<()> {
        rows::forget_losses(conn)
    }
}

impl Blocks {
    /// Takes the heights of a message.
    fn hear(&mut self, message: &Message<'_>, (best, finalized): NodeHeights) {
        let at = message.created_at.timestamp_micros();
        let slot = (message.session, at.div_euclid(10_000_000));
        let (_, known) = self.heights.entry(slot).or_insert((at, (None, None)));
        *known = (known.0.max(best), known.1.max(finalized));
    }

    fn report(
        &mut self,
        message: &Message<'_>,
        block: &telemetry::Block<'_>,
        origin: Option<Origin>,
    ) {
        let Some(hash) = block.hash.as_deref().and_then(block_hash) else {
            *self.malformed.entry(message.session).or_default() += i64::from(origin.is_some());
            return;
        };
        let report = Report {
            session: message.session,
            height: block.height,
            hash,
            origin,
        };
        let first = self.reports.entry(report).or_insert(message.created_at);
        *first = message.created_at.min(*first);
    }

    /// The sessions whose node and chain are known.
    fn know(
        &mut self,
        conn: &mut PgConnection,
        sessions: impl Iterator<Item = SessionId>,
    ) -> QueryResult<NumberMap<SessionId, Known>> {
        let identities = &self.identities;
        let of = |session| identities.of(session).map(|identity| (session, identity));
        let found: NumberMap<SessionId, _> = sessions.filter_map(of).collect();
        let chains = found
            .values()
            .map(|identity| identity.node.genesis_hash.as_str());
        let chains = self.registry.chains(conn, chains.collect())?;
        let known = found.into_iter().filter_map(|(session, identity)| {
            let known = Known {
                chain_id: *chains.get(identity.node.genesis_hash.as_str())?,
                node: node_number(&identity.node.peer_id),
                reporter: Reporter {
                    peer_id: identity.node.peer_id.as_str().into(),
                    server_id: identity.server_id.clone(),
                },
            };
            Some((session, known))
        });
        Ok(known.collect())
    }

    /// Takes reports of blocks as best; returns the blocks that changed.
    fn take_imports(
        &mut self,
        conn: &mut PgConnection,
        imports: Vec<(BlockKey, DateTime<Utc>, Origin, &Known)>,
        losses: &mut HashMap<i32, Losses>,
    ) -> QueryResult<BTreeSet<BlockKey>> {
        let unknown = imports.iter().map(|import| import.0);
        let unknown: BTreeSet<BlockKey> = unknown
            .filter(|key| !self.blocks.contains_key(key))
            .collect();
        let written = rows::load(conn, &unknown)?;
        self.blocks.extend(written);
        let mut touched = BTreeSet::new();
        for (key, at, origin, known) in imports {
            if !self.blocks.contains_key(&key) {
                let at = at.timestamp_micros();
                let admitted = self.admission.admits_fresh(key.chain_id, known.node, at);
                if let Err(reason) = admitted {
                    losses.entry(key.chain_id).or_default().count(reason);
                    continue;
                }
            }
            let block = self.blocks.entry(key).or_insert_with(Block::new);
            let reporter = known.reporter.clone();
            let taken = block.take(known.node, origin, Sighting { at, reporter });
            match taken {
                Taken::Yes => {
                    block.touched_at = Instant::now();
                    touched.insert(key);
                }
                Taken::Known => {}
                Taken::Behind => losses.entry(key.chain_id).or_default().behind += 1,
                Taken::Late => losses.entry(key.chain_id).or_default().late += 1,
            }
        }
        Ok(touched)
    }

    /// Takes what waited for sessions whose node is known now.
    fn take_waited(
        &mut self,
        conn: &mut PgConnection,
        changed: &HashSet<SessionId>,
    ) -> QueryResult<HashMap<Report, DateTime<Utc>>> {
        let take = "DELETE FROM session_blocks WHERE session_id = ANY($1) RETURNING session_id, height, hash, origin, at";
        let waited: Vec<Waited> = self.identities.take_waiting(conn, changed, take)?;
        let reports = waited.into_iter().filter_map(|row| {
            self.waiting.remove(&SessionId(row.session_id));
            let report = Report {
                session: SessionId(row.session_id),
                height: row.height,
                hash: row.hash.try_into().ok()?,
                origin: (row.origin > 0).then(|| block::origin(row.origin)),
            };
            Some((report, row.at))
        });
        Ok(reports.collect())
    }

    /// Keeps reports of sessions whose node is not known, up to a limit.
    fn wait(
        &mut self,
        conn: &mut PgConnection,
        reports: &[(Report, DateTime<Utc>)],
    ) -> QueryResult<()> {
        let within = reports.iter().filter(|(report, _)| {
            let count = self.waiting.entry(report.session).or_default();
            *count += 1;
            *count <= WAITING_MAX
        });
        rows::wait(conn, &within.collect::<Vec<_>>())
    }

    /// Forgets what is known for long, and now and then deletes what is not kept any more
    /// and adds up hours.
    fn tidy(&mut self, conn: &mut PgConnection) -> QueryResult<()> {
        let is_first = self.tidied_at.is_none();
        if self
            .tidied_at
            .is_some_and(|at| at.elapsed() < TIDY_INTERVAL)
        {
            let arrivals: usize = self.blocks.values().map(Block::len).sum();
            if arrivals > ARRIVALS_MAX {
                self.blocks.clear();
            }
            return Ok(());
        }
        self.tidied_at = Some(Instant::now());
        self.blocks
            .retain(|_, block| block.touched_at.elapsed() < REMEMBERED);
        if self.finalities.len() > FINALITIES_MAX {
            self.finalities.clear();
        }
        if self.waiting.len() > FINALITIES_MAX {
            self.waiting.clear();
        }
        rows::forget(conn)?;
        let current = hour_of(Utc::now());
        let past: BTreeSet<(i32, Hour)> = self
            .stale
            .iter()
            .copied()
            .filter(|(_, hour)| *hour < current)
            .collect();
        if is_first || self.has_more || !past.is_empty() {
            self.has_more = rows::add_up(conn, current)?;
            self.stale.retain(|hour| !past.contains(hour));
        }
        Ok(())
    }
}

impl Losses {
    fn count(&mut self, reason: LeftOut) {
        match reason {
            LeftOut::Behind => self.behind += 1,
            LeftOut::Ahead => self.ahead += 1,
            LeftOut::Excess => self.excess += 1,
        }
    }
}
