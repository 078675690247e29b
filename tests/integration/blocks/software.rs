//! The projections `software_hours` and `hardware_hours` have what the sessions say.

use crate::support::TestApp;

/// The hours by plain SQL, each session in each of its hours.
const BY_SQL: &str = "
    SELECT concat_ws(' ', p.genesis_hash, h.hour, coalesce(p.implementation, ''), coalesce(p.version, ''),
               EXISTS (SELECT FROM peer_connections o WHERE o.connection_id = p.connection_id AND o.genesis_hash <> p.genesis_hash), count(DISTINCT p.peer_id)) AS value
    FROM peer_connections p
    CROSS JOIN LATERAL generate_series(date_trunc('hour', p.created_at, 'UTC'), coalesce(p.disconnected_at, p.last_seen_at), interval '1 hour') AS h (hour)
    WHERE p.peer_id IS NOT NULL
    GROUP BY p.genesis_hash, h.hour, p.implementation, p.version, EXISTS (SELECT FROM peer_connections o WHERE o.connection_id = p.connection_id AND o.genesis_hash <> p.genesis_hash)
    ORDER BY 1";

const BY_PROJECTION: &str = "SELECT concat_ws(' ', genesis_hash, hour, implementation, version, shares_process, nodes) AS value FROM software_hours ORDER BY 1";

/// The machines by plain SQL, fact by fact.
const MACHINES_BY_SQL: &str = "
    SELECT concat_ws(' ', p.genesis_hash, h.hour, m.key, m.value, count(DISTINCT p.peer_id)) AS value
    FROM peer_connections p
    CROSS JOIN LATERAL generate_series(date_trunc('hour', p.created_at, 'UTC'), coalesce(p.disconnected_at, p.last_seen_at), interval '1 hour') AS h (hour)
    CROSS JOIN LATERAL json_each_text(json_build_object('cpu', p.cpu, 'core_count', p.core_count, 'memory_gib', round(p.memory_bytes / 1024.0 / 1024 / 1024)::bigint,
        'linux_kernel', p.linux_kernel, 'linux_distro', p.linux_distro, 'target_os', p.target_os, 'target_arch', p.target_arch, 'is_virtual_machine', p.is_virtual_machine)) AS m
    WHERE p.peer_id IS NOT NULL AND m.value IS NOT NULL
    GROUP BY p.genesis_hash, h.hour, m.key, m.value
    ORDER BY 1";

const MACHINES_BY_PROJECTION: &str = "SELECT concat_ws(' ', genesis_hash, hour, fact, value, nodes) AS value FROM hardware_hours ORDER BY 1";

#[test]
fn software_and_machines_are_counted_by_hours_and_relay_chain_nodes_within_others_are_told_apart() {
    let app = TestApp::start();
    // What a build finds counts from the first partition on.
    app.wait_projected();
    // Ten nodes over half a day, of which one is a collator with a node of the relay chain in its process, and one is
    // upgraded.
    app.db.execute(
        "INSERT INTO peer_connections (id, ip_addr, peer_id, genesis_hash, chain, implementation, version, created_at, connection_id, server_id, last_seen_at, disconnected_at, disconnect_reason)
         SELECT i, '::1', 'n' || i % 10, '0xrelay', 'Relay', 'node', '1.' || i / 10, now() - interval '12 hours' + i * interval '37 minutes', i, 's',
                now() - interval '12 hours' + i * interval '37 minutes' + interval '3 hours', now() - interval '12 hours' + i * interval '37 minutes' + interval '3 hours', 'closed'
         FROM generate_series(1, 12) i
         UNION ALL
         SELECT 100, '::1', 'collator', '0xpara', 'Para', 'collator', '9', now() - interval '11 hours', 2, 's', now(), NULL, NULL",
    );
    // Nine of them say what they run on.
    app.db.execute(
        "UPDATE peer_connections SET cpu = 'CPU ' || id % 3, core_count = 4 * (1 + id % 2), memory_bytes = 33600000000 * (1 + id % 3), linux_kernel = '6.' || id,
             linux_distro = 'Debian', target_os = 'linux', target_arch = 'x86_64', is_virtual_machine = id % 2 = 0, transaction_id = pg_current_xact_id()::text::bigint
         WHERE id <> 4",
    );
    app.wait_projected();
    let expected = app.db.texts(BY_SQL);
    assert!(expected.len() > 20, "{expected:?}");
    assert_eq!(app.db.texts(BY_PROJECTION), expected);
    let expected = app.db.texts(MACHINES_BY_SQL);
    assert!(expected.len() > 100, "{expected:?}");
    assert_eq!(app.db.texts(MACHINES_BY_PROJECTION), expected);
    assert!(
        app.db.count(
            "SELECT count(*) FROM software_hours WHERE shares_process AND genesis_hash = '0xrelay'"
        ) >= 3
    );
    // The session goes on, and another one is upgraded.
    app.db.execute(
        "UPDATE peer_connections SET revision = 2, last_seen_at = now() + interval '1 second', transaction_id = pg_current_xact_id()::text::bigint WHERE id = 100; \
         INSERT INTO peer_connections (id, ip_addr, peer_id, genesis_hash, implementation, version, cpu, created_at, connection_id, server_id, last_seen_at) \
         VALUES (101, '::1', 'n1', '0xrelay', 'node', '2.0', 'CPU 7', now() - interval '1 hour', 101, 's', now())",
    );
    app.wait_projected();
    let by_sql = [app.db.texts(BY_SQL), app.db.texts(MACHINES_BY_SQL)];
    let by_projection = || {
        [
            app.db.texts(BY_PROJECTION),
            app.db.texts(MACHINES_BY_PROJECTION),
        ]
    };
    assert_eq!(by_projection(), by_sql);
    app.rebuild_projections();
    // Hours before the first partition are kept as they are.
    for (found, expected) in by_projection().iter().zip(&by_sql) {
        assert!(
            !found.is_empty() && found.iter().all(|row| expected.contains(row)),
            "{found:?}"
        );
    }
}

#[test]
fn invented_versions_and_machines_are_counted_together() {
    let app = TestApp::start();
    app.db.execute(
        "INSERT INTO peer_connections (id, ip_addr, peer_id, genesis_hash, implementation, version, cpu, created_at, connection_id, server_id, last_seen_at) \
         SELECT i, '::1', 'n' || i, '0x1', 'node', CASE WHEN i <= 50 THEN 'real' ELSE 'invented ' || i END, CASE WHEN i <= 50 THEN 'real' ELSE 'invented ' || i END, now(), i, 's', now() FROM generate_series(1, 500) i",
    );
    app.wait_projected();
    let hours = app
        .db
        .count("SELECT count(DISTINCT hour) FROM software_hours");
    assert_eq!(
        app.db.count("SELECT count(*) FROM software_hours"),
        101 * hours
    );
    assert_eq!(
        app.db
            .count("SELECT max(nodes) FROM software_hours WHERE version = 'real'"),
        50
    );
    assert_eq!(
        app.db
            .count("SELECT max(nodes) FROM software_hours WHERE version = '(other)'"),
        351
    );
    assert_eq!(
        app.db.texts(
            "SELECT DISTINCT concat_ws(' ', count(*), max(nodes) FILTER (WHERE value = 'real'), max(nodes) FILTER (WHERE value = '(other)')) AS value \
             FROM hardware_hours WHERE fact = 'cpu' GROUP BY hour"
        ),
        ["31 50 421"]
    );
}
