//! Rows are written, filled in and read back.

use super::*;

fn row() -> NewRow<'static> {
    NewRow {
        created_at: Utc.timestamp_micros(1_700_000_000_123_456).unwrap(),
        session: SessionId(7),
        kind: RowKind::Stored(3),
        node_time: NodeTime::Delta(-7),
        target: None,
    }
}

#[test]
fn rows_are_read_back_as_they_were_written() {
    let mut rows = RowBuffer::default();
    rows.push(&row(), |out| out.extend_from_slice(b"{\"a\":1}"));
    let second = NewRow {
        node_time: NodeTime::Full(Utc.timestamp_micros(-5).unwrap()),
        target: Some("pallet"),
        kind: RowKind::Pending(KindIndex(4)),
        ..row()
    };
    rows.push(&second, |out| out.extend_from_slice(b"{}"));
    let mut ids = (1..).map(MessageId);
    rows.number(|| ids.next().unwrap());
    let kinds: Vec<_> = rows.views().map(|(row, kind)| (row.id, kind)).collect();
    assert_eq!(
        kinds,
        [(MessageId(1), None), (MessageId(2), Some(KindIndex(4)))]
    );
    assert_eq!(rows.pending_kinds().collect::<Vec<_>>(), [KindIndex(4)]);
    rows.fill_in_kinds(|index| FoundKind::Numbered(i16::try_from(index.0).unwrap() + 100));
    let slices = rows.slices();
    assert_eq!(slices.len(), rows.count());
    assert_eq!(slices.concat(), rows.bytes());
    let first = RowView::read(slices[0]).unwrap();
    assert_eq!(
        (first.id, first.session, first.kind_id),
        (MessageId(1), SessionId(7), 3)
    );
    assert_eq!(first.created_at, row().created_at);
    assert_eq!(
        (first.node_time, first.target, first.logs),
        (NodeTime::Delta(-7), None, b"{\"a\":1}".as_slice())
    );
    let second_read = RowView::read(slices[1]).unwrap();
    assert_eq!(second_read.node_time, second.node_time);
    assert_eq!(
        (second_read.kind_id, second_read.target),
        (104, Some("pallet"))
    );
}

#[test]
fn some_rows_can_be_kept() {
    let pending = NewRow {
        kind: RowKind::Pending(KindIndex(4)),
        ..row()
    };
    let mut rows = RowBuffer::default();
    for row in [pending, row(), pending, row()] {
        rows.push(&row, |out| out.extend_from_slice(b"{}"));
    }
    let mut ids = (1..).map(MessageId);
    rows.number(|| ids.next().unwrap());
    rows.keep(&[1, 2]);
    assert_eq!((rows.count(), rows.pending().len()), (2, 1));
    rows.fill_in_kinds(|_| FoundKind::Numbered(9));
    let kept: Vec<_> = rows
        .views()
        .map(|(row, _)| (row.id.0, row.kind_id))
        .collect();
    assert_eq!(kept, [(2, 3), (3, 9)]);
    rows.keep(&[]);
    assert!(rows.is_empty());
}

#[test]
fn a_kind_without_a_number_is_named_in_its_messages() {
    let mut rows = RowBuffer::default();
    for (number, logs) in [(1, "{\"a\":1}"), (2, "{}"), (1, "{\"b\":2}")] {
        let row = NewRow {
            kind: RowKind::Pending(KindIndex(number)),
            target: Some("t"),
            ..row()
        };
        rows.push(&row, |out| out.extend_from_slice(logs.as_bytes()));
    }
    rows.fill_in_kinds(|index| match index.0 {
        1 => FoundKind::Unlisted("a\"b".to_owned()),
        _ => FoundKind::Numbered(7),
    });
    let found: Vec<_> = rows.views().map(|(row, _)| (row.kind_id, row)).collect();
    let logs: Vec<_> = found.iter().map(|(kind, row)| (*kind, row.logs)).collect();
    assert_eq!(
        logs,
        [
            (UNLISTED, br#"{"msg":"a\"b","a":1}"#.as_slice()),
            (7, b"{}"),
            (UNLISTED, br#"{"msg":"a\"b","b":2}"#)
        ]
    );
    for (_, read) in &found {
        assert_eq!(read.node_time, NodeTime::Delta(-7));
        assert_eq!((read.session, read.target), (SessionId(7), Some("t")));
    }
    assert_eq!(rows.slices().concat(), rows.bytes());
}

#[test]
fn torn_rows_are_not_read() {
    let mut rows = RowBuffer::default();
    rows.push(&row(), |out| out.extend_from_slice(b"{}"));
    for end in 0..rows.len() {
        assert!(split_row(&rows.bytes()[..end]).is_none());
        assert!(RowView::read(&rows.bytes()[..end]).is_none());
    }
}
