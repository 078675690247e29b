use super::*;

const REQUEST_TIME: Duration = Duration::from_secs(30);

fn connections(values: &[(&str, &str)]) -> Arc<Connections> {
    let lookup = |name: &str| {
        let found = values.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let config = Config::from_lookup(&lookup).unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let max = config.http.connections_max;
    Arc::new(Connections::new(&config, max, metrics))
}

fn address(number: u32) -> IpAddr {
    IpAddr::V4(number.into())
}

fn is_cut(connection: &HttpConnection) -> bool {
    connection.is_cut(Waker::noop())
}

fn open(connections: &Connections) -> i64 {
    connections.metrics.http.connections.get()
}

#[test]
fn a_first_request_has_to_come_in_time() {
    let connections = connections(&[]);
    let start = Instant::now();
    let connection = connections.admit(address(1), start).unwrap();
    // A byte now and then does not extend the deadline.
    connection.has_read(1);
    connections.sweep(start + REQUEST_TIME / 2);
    connection.has_read(1);
    assert!(!is_cut(&connection));
    connections.sweep(start + REQUEST_TIME);
    assert!(is_cut(&connection));
    assert_eq!(open(&connections), 0);
    drop(connection);
    assert_eq!(open(&connections), 0);
}

#[test]
fn a_later_request_has_its_time_from_its_first_byte_on() {
    let connections = connections(&[]);
    let start = Instant::now();
    let connection = connections.admit(address(1), start).unwrap();
    connection.has_read(1);
    connection.request_received(false, start);
    connections.sweep(start + REQUEST_TIME * 100);
    connection.response_made(start + REQUEST_TIME * 100);
    let answered = start + REQUEST_TIME * 100;
    connections.sweep(answered + KEEP_ALIVE);
    connection.has_read(1);
    connections.sweep(answered + IDLE_MAX);
    connections.sweep(answered + IDLE_MAX + REQUEST_TIME / 2);
    assert!(
        !is_cut(&connection),
        "the server may take as long as it needs"
    );
    connections.sweep(answered + IDLE_MAX + REQUEST_TIME);
    assert!(is_cut(&connection));
}

#[test]
fn a_body_has_to_come_in_time_and_a_long_answer_may_take_its_own() {
    let connections = connections(&[]);
    let start = Instant::now();
    let body = connections.admit(address(1), start).unwrap();
    body.request_received(true, start + REQUEST_TIME / 2);
    let answer = connections.admit(address(1), start).unwrap();
    answer.response_made(start);
    connections.sweep(start + REQUEST_TIME);
    assert!(!is_cut(&body));
    connections.sweep(start + REQUEST_TIME * 3 / 2);
    assert!(is_cut(&body));
    for round in 1..10 {
        answer.has_written();
        connections.sweep(start + IDLE_MAX * round);
    }
    assert!(!is_cut(&answer));
    connections.sweep(start + IDLE_MAX * 10);
    assert!(is_cut(&answer), "nobody takes it");
}

#[test]
fn a_websocket_is_free() {
    let connections = connections(&[]);
    let start = Instant::now();
    let connection = connections.admit(address(1), start).unwrap();
    connection.became_websocket();
    connections.sweep(start + REQUEST_TIME * 100);
    assert!(!is_cut(&connection));
    assert_eq!(open(&connections), 0);
}

#[test]
fn without_a_limit_requests_may_take_for_ever() {
    let connections = connections(&[("UPGRADE_TIMEOUT_S", "0")]);
    let start = Instant::now();
    let connection = connections.admit(address(1), start).unwrap();
    connections.sweep(start + REQUEST_TIME * 1_000);
    assert!(!is_cut(&connection));
}

#[test]
fn the_address_with_the_most_connections_loses_its_oldest() {
    let connections = connections(&[("CONNECTIONS_MAX", "10")]);
    let now = Instant::now();
    let enter = |number| connections.admit(address(number), now).unwrap();
    let others: Vec<_> = (2..6).map(enter).collect();
    let group: Vec<_> = (0..100).map(|_| enter(1)).collect();
    assert_eq!(open(&connections), 10);
    assert!(!others.iter().any(|other| is_cut(other)));
    assert!(group[..94].iter().all(|in_group| is_cut(in_group)));
    let late = enter(7);
    assert!(is_cut(&group[94]) && !is_cut(&late));
    // Once all have one, the oldest of all goes.
    let many: Vec<_> = (10..20).map(enter).collect();
    assert!(is_cut(&others[0]) && !is_cut(&many[0]));
    assert_eq!(open(&connections), 10);
    drop((others, group, late, many));
    let registry = connections.registry();
    assert_eq!((registry.connections.len(), registry.groups.len()), (0, 0));
    assert_eq!((registry.grouped, open(&connections)), (0, 0));
}

#[test]
fn an_address_has_a_limit_and_a_trusted_proxy_has_none() {
    let connections = connections(&[
        ("CONNECTIONS_PER_IP_MAX", "2"),
        ("CONNECTIONS_MAX", "4"),
        ("TRUSTED_PROXIES", "0.0.0.1"),
    ]);
    let now = Instant::now();
    let enter = |number| connections.admit(address(number), now);
    let of_proxy: Vec<_> = (0..100).filter_map(|_| enter(1)).collect();
    let mut others: Vec<_> = (0..100).filter_map(|_| enter(2)).collect();
    assert_eq!((of_proxy.len(), others.len()), (100, 2));
    others.extend((3..10).filter_map(enter));
    assert_eq!(open(&connections), 104);
    assert!(!of_proxy.iter().any(|of_proxy| is_cut(of_proxy)));
}

#[test]
fn heads_share_one_bound_and_short_ones_are_spared() {
    let connections = connections(&[("QUEUE_BYTES_MAX", "1048576")]);
    let now = Instant::now();
    let enter = |number| connections.admit(address(number), now).unwrap();
    let short = enter(1);
    let long: Vec<_> = (2..12).map(enter).collect();
    long.iter().for_each(|long| long.has_read(100_000));
    assert!(!long.iter().any(|long| is_cut(long)));
    // A body does not count.
    let body = enter(20);
    body.request_received(true, now);
    body.has_read(1_000_000);
    long[0].has_read(50_000);
    short.has_read(HEAD_BYTES);
    assert!(is_cut(&long[0]) && !is_cut(&long[1]) && !is_cut(&short) && !is_cut(&body));
    long[1].request_received(false, now);
    drop((long, short, body));
    assert_eq!(connections.held.load(Ordering::Relaxed), 0);
}

#[test]
fn all_addresses_of_a_line_have_one_limit() {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let now = Instant::now();
    let settings = [
        ("CONNECTIONS_PER_IP_MAX", "1"),
        ("TRUSTED_PROXIES", "2001:db8:9::/48"),
    ];
    let connections = connections(&settings);
    let _first = connections.admit(address("2001:db8:1:2::1"), now).unwrap();
    assert!(connections.admit(address("2001:db8:1:2::2"), now).is_none());
    assert!(connections.admit(address("2001:db8:1:3::1"), now).is_some());
    let proxies =
        ["2001:db8:9::1", "2001:db8:9::2"].map(|proxy| connections.admit(address(proxy), now));
    assert!(proxies.iter().all(Option::is_some));
}
