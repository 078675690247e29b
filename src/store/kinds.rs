//! The dictionary of kinds: a message carries two bytes instead of its `msg`.
//!
//! Known kinds always have an entry; the limit is for the others, which any client can
//! invent. An operator merges invented ones into [`UNLISTED`], which gives their
//! places back.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, SmallInt, Text};

use super::RowKind;
use super::rows::FoundKind;
use crate::database::Connection;
use crate::ids::KindIndex;
use crate::metrics::Metrics;
use crate::telemetry::{KNOWN_KINDS, is_known_kind};

/// Number of the entry that stands for all kinds beyond the limit.
pub const UNLISTED: i16 = 0;

/// Its name.
pub const UNLISTED_NAME: &str = "(unlisted)";

/// Longest name that gets an entry, bytes; the longest of a node known has 47.
const NAME_BYTES_MAX: usize = 200;

/// Last number for a kind that is not known; those beyond, up to 32,767, are for kinds
/// that become known in later versions.
const UNKNOWN_ID_MAX: i16 = 32_000;

/// The kinds that this server has met: the known ones, and at most `MESSAGE_KINDS_MAX`
/// others. The database holds that limit for all servers together.
#[derive(Debug)]
pub struct Kinds {
    known: RwLock<Known>,
    max: usize,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Known {
    by_name: HashMap<Box<str>, KindIndex>,
    entries: Vec<Entry>,
    /// Entries that count towards the limit.
    limited: usize,
}

#[derive(Debug)]
struct Entry {
    name: Box<str>,
    stored: Option<i16>,
    /// New messages of it are stored as [`UNLISTED`].
    is_merged: bool,
    /// So they are because the database had no room for it.
    is_refused: bool,
}

/// An entry as the database has it.
#[derive(Debug, QueryableByName)]
pub struct StoredKind {
    /// Its number.
    #[diesel(sql_type = SmallInt)]
    pub id: i16,
    /// Its name.
    #[diesel(sql_type = Text)]
    pub msg: String,
    /// New messages of it are stored as [`UNLISTED`].
    #[diesel(sql_type = Bool)]
    pub merged: bool,
}

impl Kinds {
    /// An empty dictionary for the known kinds and at most `max` others.
    pub fn new(max: usize, metrics: Arc<Metrics>) -> Self {
        metrics
            .kinds_max
            .set(i64::try_from(max).unwrap_or(i64::MAX));
        Self {
            known: RwLock::default(),
            max,
            metrics,
        }
    }

    /// The number of a kind; a kind that is new gets an entry if it is known or there
    /// is room, and is [`UNLISTED`] otherwise.
    pub fn find(&self, name: &str) -> RowKind {
        if let Ok(known) = self.known.read()
            && let Some(kind) = known.find(name)
        {
            return kind;
        }
        let Ok(mut known) = self.known.write() else {
            return RowKind::Stored(UNLISTED);
        };
        if let Some(kind) = known.find(name) {
            return kind;
        }
        let may_add = is_known_kind(name) || known.limited < self.max;
        if !may_add || name.len() > NAME_BYTES_MAX {
            return RowKind::Stored(UNLISTED);
        }
        let kind = known
            .add(name, None, false)
            .map_or(RowKind::Stored(UNLISTED), RowKind::Pending);
        self.show_size(&known);
        kind
    }

    /// Takes over the entries of the database.
    ///
    /// # Errors
    /// If the database cannot be read.
    pub fn load(&self, conn: &mut PgConnection) -> QueryResult<()> {
        self.take_over(list_kinds(conn)?);
        if let Ok(mut known) = self.known.write() {
            known.forget_refusals(self.max);
        }
        Ok(())
    }

    /// The numbers of these kinds in the database, given there if they are new.
    ///
    /// # Errors
    /// If the database cannot be written.
    pub(super) fn store(&self, conn: &mut Connection, indices: &[KindIndex]) -> QueryResult<()> {
        let names: Vec<String> = {
            let Ok(known) = self.known.read() else {
                return Ok(());
            };
            let entries = indices.iter().filter_map(|index| known.entry(*index));
            let missing = entries.filter(|entry| entry.stored.is_none());
            missing.map(|entry| entry.name.to_string()).collect()
        };
        for name in names {
            let (stored, is_refused) = conn.transaction(|conn| {
                // Servers that add kinds at the same time take turns, so that numbers stay dense.
                diesel::sql_query("LOCK TABLE message_kinds IN SHARE ROW EXCLUSIVE MODE")
                    .execute(conn)?;
                let stored: Vec<StoredKind> = diesel::sql_query(include_str!("add_kind.sql"))
                    .bind::<Text, _>(&name)
                    .bind::<SmallInt, _>(last_number(&name))
                    .bind::<Nullable<BigInt>, _>(self.limit_of(&name))
                    .bind::<Array<Text>, _>(KNOWN_KINDS.as_slice())
                    .load(conn)?;
                QueryResult::Ok(match stored.is_empty() {
                    // What others have added, so that no further kind is tried.
                    true => (list_kinds(conn)?, true),
                    false => (stored, false),
                })
            })?;
            if is_refused {
                self.refuse(&name);
            }
            self.take_over(stored);
        }
        Ok(())
    }

    /// What the database has for a kind, once it was stored.
    pub(super) fn found(&self, index: KindIndex) -> FoundKind {
        let known = self.known.read().ok();
        let stored = known.and_then(|known| known.entry(index)?.stored);
        stored.map_or_else(
            || FoundKind::Unlisted(self.name_of(index)),
            FoundKind::Numbered,
        )
    }

    /// Entries beside the known ones that there may be; none for a known one.
    fn limit_of(&self, name: &str) -> Option<i64> {
        let max = i64::try_from(self.max).unwrap_or(i64::MAX);
        (!is_known_kind(name)).then_some(max)
    }

    /// The database has no room for a kind.
    fn refuse(&self, name: &str) {
        if let Ok(mut known) = self.known.write() {
            known.refuse(name);
            self.show_size(&known);
        }
    }

    /// The name of a kind by its number in this process.
    pub fn name_of(&self, index: KindIndex) -> String {
        let known = self.known.read().ok();
        let name = known.and_then(|known| Some(known.entry(index)?.name.to_string()));
        name.unwrap_or_default()
    }

    /// The name of a kind by its number in the database.
    pub fn name(&self, kind_id: i16) -> String {
        let known = self.known.read().ok();
        let name = known.and_then(|known| {
            let mut entries = known.entries.iter();
            let entry = entries.find(|entry| entry.stored == Some(kind_id))?;
            Some(entry.name.to_string())
        });
        name.unwrap_or_else(|| UNLISTED_NAME.to_owned())
    }

    fn take_over(&self, stored: Vec<StoredKind>) {
        let Ok(mut known) = self.known.write() else {
            return;
        };
        for kind in stored {
            let index = known.by_name.get(kind.msg.as_str()).copied();
            match index {
                Some(index) => known.update(index, &kind),
                None => {
                    known.add(&kind.msg, Some(kind.id), kind.merged);
                }
            }
        }
        self.show_size(&known);
    }

    fn show_size(&self, known: &Known) {
        let size = i64::try_from(known.limited).unwrap_or(i64::MAX);
        self.metrics.kinds.set(size);
    }
}

impl Known {
    fn find(&self, name: &str) -> Option<RowKind> {
        let index = *self.by_name.get(name)?;
        let entry = self.entry(index)?;
        if entry.is_merged || entry.is_refused {
            return Some(RowKind::Stored(UNLISTED));
        }
        Some(
            entry
                .stored
                .map_or(RowKind::Pending(index), RowKind::Stored),
        )
    }

    fn entry(&self, index: KindIndex) -> Option<&Entry> {
        self.entries.get(usize::from(index.0))
    }

    fn add(&mut self, name: &str, stored: Option<i16>, is_merged: bool) -> Option<KindIndex> {
        let index = KindIndex(u16::try_from(self.entries.len()).ok()?);
        self.by_name.insert(name.into(), index);
        let entry = Entry {
            name: name.into(),
            stored,
            is_merged,
            is_refused: false,
        };
        self.limited += usize::from(entry.is_limited());
        self.entries.push(entry);
        Some(index)
    }

    fn update(&mut self, index: KindIndex, kind: &StoredKind) {
        self.change(index, |entry| {
            entry.stored = Some(kind.id);
            entry.is_merged = kind.merged;
            entry.is_refused = false;
        });
    }

    fn refuse(&mut self, name: &str) {
        if let Some(index) = self.by_name.get(name).copied() {
            self.change(index, |entry| entry.is_refused = true);
        }
    }

    fn change(&mut self, index: KindIndex, change: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.entries.get_mut(usize::from(index.0)) else {
            return;
        };
        let was_limited = entry.is_limited();
        change(entry);
        self.limited += usize::from(entry.is_limited());
        self.limited -= usize::from(was_limited);
    }

    /// Lets kinds that were refused be tried again, as far as there is room now.
    fn forget_refusals(&mut self, max: usize) {
        let room = max.saturating_sub(self.limited);
        let refused = self.entries.iter_mut().filter(|entry| entry.is_refused);
        for entry in refused.take(room) {
            entry.is_refused = false;
            self.limited += 1;
        }
    }
}

impl Entry {
    fn is_limited(&self) -> bool {
        !self.is_merged && !self.is_refused && !is_known_kind(&self.name)
    }
}

fn last_number(name: &str) -> i16 {
    if is_known_kind(name) {
        i16::MAX
    } else {
        UNKNOWN_ID_MAX
    }
}

/// All entries of the dictionary, by number.
///
/// # Errors
/// If the database cannot be read.
pub fn list_kinds(conn: &mut PgConnection) -> QueryResult<Vec<StoredKind>> {
    diesel::sql_query("SELECT id, msg, merged FROM message_kinds WHERE id <> 0 ORDER BY id")
        .load(conn)
}

/// Merges these kinds into [`UNLISTED`], known ones excepted: their new messages are
/// stored there. What is stored already stays as it is.
///
/// # Errors
/// If the database cannot be written.
pub fn merge_kinds(conn: &mut PgConnection, names: &[&str]) -> QueryResult<usize> {
    let unknown: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| !is_known_kind(name))
        .collect();
    diesel::sql_query("UPDATE message_kinds SET merged = true WHERE msg = ANY($1) AND id <> 0")
        .bind::<Array<Text>, _>(unknown)
        .execute(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_beyond_the_limit_share_one_entry() {
        let kinds = Kinds::new(2, Arc::new(Metrics::new().unwrap()));
        assert_eq!(kinds.find("a"), RowKind::Pending(KindIndex(0)));
        assert_eq!(kinds.find("b"), RowKind::Pending(KindIndex(1)));
        assert_eq!(kinds.find("a"), RowKind::Pending(KindIndex(0)));
        assert_eq!(kinds.find("c"), RowKind::Stored(UNLISTED));
        kinds.take_over(vec![StoredKind {
            id: 9,
            msg: "b".to_owned(),
            merged: false,
        }]);
        assert_eq!(kinds.find("b"), RowKind::Stored(9));
        assert_eq!(kinds.name(9), "b");
    }

    #[test]
    fn known_kinds_need_no_place_and_merged_ones_give_theirs_back() {
        let kinds = Kinds::new(1, Arc::new(Metrics::new().unwrap()));
        assert_eq!(kinds.find("invented"), RowKind::Pending(KindIndex(0)));
        assert_eq!(kinds.find("of.ours"), RowKind::Stored(UNLISTED));
        assert_eq!(kinds.find("block.import"), RowKind::Pending(KindIndex(1)));
        kinds.take_over(vec![StoredKind {
            id: 60,
            msg: "invented".to_owned(),
            merged: true,
        }]);
        assert_eq!(kinds.find("invented"), RowKind::Stored(UNLISTED));
        assert_eq!(kinds.name(60), "invented");
        assert_eq!(kinds.found(KindIndex(0)), FoundKind::Numbered(60));
        assert_eq!(kinds.find("of.ours"), RowKind::Pending(KindIndex(2)));
    }

    #[test]
    fn what_the_database_refused_is_unlisted_until_there_is_room() {
        let kinds = Kinds::new(2, Arc::new(Metrics::new().unwrap()));
        kinds.find("a");
        let refused = RowKind::Pending(KindIndex(1));
        assert_eq!(kinds.find("b"), refused);
        kinds.refuse("b");
        assert_eq!(kinds.find("b"), RowKind::Stored(UNLISTED));
        let name = FoundKind::Unlisted("b".to_owned());
        assert_eq!(kinds.found(KindIndex(1)), name);
        let of_others = |merged| StoredKind {
            id: 60,
            msg: "of others".to_owned(),
            merged,
        };
        for (merged, expected) in [(false, RowKind::Stored(UNLISTED)), (true, refused)] {
            kinds.take_over(vec![of_others(merged)]);
            kinds.known.write().unwrap().forget_refusals(2);
            assert_eq!(kinds.find("b"), expected);
        }
    }

    #[test]
    fn overlong_names_are_unlisted() {
        let kinds = Kinds::new(10, Arc::new(Metrics::new().unwrap()));
        let name = "x".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(kinds.find(&name), RowKind::Stored(UNLISTED));
    }
}
