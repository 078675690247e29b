//! The golden files: one of each version of the format, written once. If the form
//! that is written changes after a release, it is a new version with a file of its
//! own; before one, `UPDATE_GOLDEN=1` writes the newest file anew.

use std::time::Instant;

use chrono::{DateTime, Utc};

use super::*;
use crate::ids::{ConnectionId, MessageId, SessionId};
use crate::store::rows::FoundKind;
use crate::store::{Group, NewRow, NodeTime, RowBuffer, RowKind, SessionRow};
use crate::telemetry::NodeFacts;

const V1: &[u8] = include_bytes!("golden/v1.batch");
const V2: &[u8] = include_bytes!("golden/v2.batch");

/// A time at which nothing of interest happened.
fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_700_000_000_000_000 + micros).unwrap()
}

/// What is in the files of `golden/`; in that of the first version without `third`,
/// for which it has no place.
fn golden_batch(kinds: &Kinds, third: NodeTime) -> Batch {
    let row = |micros: i64, session: i64, kind| NewRow {
        created_at: at(micros),
        session: SessionId(session),
        kind,
        node_time: NodeTime::Unknown,
        target: None,
    };
    let mut rows = RowBuffer::default();
    rows.push(&row(0, 7, kinds.find("block.import")), |out| {
        out.extend_from_slice(br#"{"best":"0x01","height":1}"#);
    });
    let with_everything = NewRow {
        node_time: NodeTime::Full(at(-725_846_400_000_000)),
        target: Some("pallet"),
        ..row(1, 7, RowKind::Stored(7))
    };
    rows.push(&with_everything, |out| {
        out.extend_from_slice(r#"{"name":"prägen","time":235760}"#.as_bytes());
    });
    let with_delta = NewRow {
        node_time: third,
        ..row(2, 8, kinds.find("system.interval"))
    };
    rows.push(&with_delta, |out| {
        out.extend_from_slice(br#"{"peers":12}"#);
    });
    let mut audited = RowBuffer::default();
    audited.push(&row(3, 9, kinds.find("block.import")), |out| {
        out.extend_from_slice(b"{}");
    });
    let mut ids = (100..).map(MessageId);
    rows.number(|| ids.next().unwrap());
    audited.number(|| ids.next().unwrap());
    let session = |id: i64| SessionRow {
        id: SessionId(id),
        ip_addr: "192.0.2.1".to_owned(),
        created_at: at(0),
        audit: id == 9,
        node_id: Some(1),
        connection_id: ConnectionId(3),
        server_id: "golden".to_owned(),
        facts: NodeFacts {
            peer_id: Some(format!("peer-{id}")),
            chain: Some("Gold".to_owned()),
            ..Default::default()
        },
        hardware: Default::default(),
        last_seen_at: at(3),
        disconnected_at: None,
        disconnect_reason: None,
        revision: 2,
    };
    let ended = SessionRow {
        disconnected_at: Some(at(4)),
        disconnect_reason: Some("idle".into()),
        ..session(8)
    };
    let group = |rows, sessions, audit| Group {
        rows,
        sessions,
        audit,
        received_at: Instant::now(),
        kept: None,
    };
    Batch::new(vec![
        group(rows, vec![session(7), ended], false),
        group(audited, vec![session(9)], true),
    ])
}

fn kinds() -> Arc<Kinds> {
    Arc::new(Kinds::new(10, Arc::new(Metrics::new().unwrap())))
}

/// What a batch says, with the names of kinds.
fn shown(batch: &Batch, kinds: &Kinds) -> Vec<String> {
    let mut shown = Vec::new();
    for group in &batch.groups {
        for (row, kind) in group.rows.views() {
            let kind = kind.map(|kind| kinds.name_of(kind));
            shown.push(format!("{} {kind:?} {row:?}", group.audit));
        }
    }
    for session in Batch::newest_sessions(&[batch]) {
        shown.push(serde_json::to_string(&session).unwrap());
    }
    shown
}

#[test]
fn each_version_of_the_format_is_read() {
    let delta = NodeTime::Delta(-240_000_000);
    for (file, third) in [(V1, NodeTime::Unknown), (V2, delta)] {
        let kinds = kinds();
        let read = record::decode(file, &kinds).unwrap();
        let expected = shown(&golden_batch(&kinds, third), &kinds);
        assert_eq!(expected.len(), 4 + 3);
        assert_eq!(shown(&read, &kinds), expected);
        assert_eq!(record::header(file).unwrap().rows, 4);
        // Kinds are still filled in at their places.
        let mut rows = read.groups[0].rows.clone();
        rows.fill_in_kinds(|_| FoundKind::Numbered(99));
        let numbers: Vec<i16> = rows.views().map(|(row, _)| row.kind_id).collect();
        assert_eq!(numbers, [99, 7, 99]);
    }
}

#[test]
fn the_newest_version_is_written_as_it_always_was() {
    let kinds = kinds();
    let batch = golden_batch(&kinds, NodeTime::Delta(-240_000_000));
    let file = record::encode(&batch, &kinds);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/spool/golden");
        fs::write(format!("{dir}/v{}.batch", record::VERSION), &file).unwrap();
    }
    assert!(file == V2, "the form on disk has changed");
}

/// A file with the version of its header replaced.
fn with_version(file: &[u8], version: u32) -> Vec<u8> {
    let mut file = file.to_vec();
    file[8..12].copy_from_slice(&version.to_le_bytes());
    let end = record::HEADER_BYTES - 4;
    let checksum = crc32fast::hash(&file[..end]).to_le_bytes();
    file[end..end + 4].copy_from_slice(&checksum);
    file
}

fn open(dir: &Path) -> (Result<Spool, SpoolError>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let opened = Spool::open(dir, 1_000_000, kinds(), metrics.clone());
    (opened, metrics)
}

#[test]
fn a_spool_of_the_version_before_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("0000000000000007.batch"), V1).unwrap();
    let (spool, metrics) = open(dir.path());
    let mut spool = spool.unwrap();
    assert_eq!(metrics.spool_messages.get(), 4);
    let taken = spool.load(1, &[]).unwrap().pop().unwrap();
    assert_eq!(taken.batch.rows(), 4);
    spool.remove(taken.number);
    assert_eq!(metrics.spool_torn.get(), 0);
}

#[test]
fn a_file_of_an_unknown_version_refuses_the_start_and_is_left_as_it_is() {
    for version in [0, record::VERSION + 1, u32::MAX] {
        let dir = tempfile::tempdir().unwrap();
        let (known, unknown) = (dir.path().join("01.batch"), dir.path().join("02.batch"));
        fs::write(&known, V1).unwrap();
        let newer = with_version(V2, version);
        fs::write(&unknown, &newer).unwrap();
        let (refused, metrics) = open(dir.path());
        let message = refused.unwrap_err().to_string();
        for word in [
            "02.batch",
            &format!("version {version} of"),
            "move the file",
        ] {
            assert!(message.contains(word), "{message}");
        }
        assert_eq!(fs::read(&unknown).unwrap(), newer);
        assert_eq!(fs::read(&known).unwrap(), V1);
        assert_eq!(metrics.spool_torn.get(), 0);
        assert_eq!(metrics.messages_received.get(), 0);
        fs::remove_file(&unknown).unwrap();
        open(dir.path()).0.unwrap();
    }
}

#[test]
fn a_section_of_an_unknown_kind_is_an_error() {
    let kinds = kinds();
    let mut file = V2.to_vec();
    file[record::HEADER_BYTES] = 77;
    let (body_at, end) = (record::HEADER_BYTES, record::HEADER_BYTES - 4);
    let body = crc32fast::hash(&file[body_at..]).to_le_bytes();
    file[end - 4..end].copy_from_slice(&body);
    let file = with_version(&file, record::VERSION);
    let error = record::decode(&file, &kinds).unwrap_err();
    assert_eq!(error, RecordError::Section(77));
}

#[test]
fn open_sessions_end_with_the_run_that_left_their_batch() {
    let dir = tempfile::tempdir().unwrap();
    let kinds = kinds();
    let open = || {
        let metrics = Arc::new(Metrics::new().unwrap());
        Spool::open(dir.path(), u64::MAX, kinds.clone(), metrics).unwrap()
    };
    let open_sessions = |spool: &mut Spool| {
        let batch = spool.load(1, &[]).unwrap().remove(0).batch;
        let sessions = batch.groups.iter().flat_map(|group| &group.sessions);
        let is_open = |session: &&SessionRow| session.disconnected_at.is_none();
        sessions.filter(is_open).count()
    };
    let mut spool = open();
    spool
        .push(&golden_batch(&kinds, NodeTime::Unknown))
        .unwrap();
    assert_eq!(open_sessions(&mut spool), 2);
    drop(spool);
    assert_eq!(open_sessions(&mut open()), 0);
}
