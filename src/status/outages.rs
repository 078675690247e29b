//! Outages of our own: while a server or the database is away, silence of a node says
//! nothing about it. Pure: time is passed in.
//!
//! An outage ends some time after its cause, for nodes need some to come back.

use std::collections::HashMap;

use chrono::TimeDelta;

use super::machine::Time;

/// A node that lost its connection tries again after 10 to 19 s, may take 5 s for its
/// request and 10 s more for its first frame: it is late 10 s after this at the earliest.
pub const GRACE: TimeDelta = TimeDelta::seconds(30);

/// A server without a heartbeat for so long is away; they come each second.
const AWAY_AFTER: TimeDelta = TimeDelta::seconds(5);

/// Looks further apart are an outage of the server that looks, or of the database.
const BREAK_MAX: TimeDelta = TimeDelta::seconds(5);

/// Nodes of a server that stays away are judged after this time: they could have gone
/// elsewhere.
const AWAY_MAX: TimeDelta = TimeDelta::seconds(300);

/// Clocks that differ by less are alike: it may be the way to the database.
const OFFSET_MIN: TimeDelta = TimeDelta::seconds(2);

/// A server at one look.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSeen {
    /// Its name.
    pub id: String,
    /// Its start.
    pub started_at: Time,
    /// Its last heartbeat.
    pub heartbeat_at: Time,
    /// It stopped in order.
    pub is_stopped: bool,
    /// When messages of it last waited to be stored.
    pub delayed_at: Option<Time>,
    /// How far its clock is ahead of that of the database.
    pub clock_offset: TimeDelta,
}

/// Why something is an outage of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No server judged: none ran, or the database was away.
    NotJudged,
    /// A projection was built anew.
    Projection,
    /// The server was away, or started again.
    Server,
    /// The server could not store what it received.
    Storage,
}

impl Cause {
    /// Name in the database.
    pub fn label(self) -> &'static str {
        match self {
            Self::NotJudged => "not_judged",
            Self::Projection => "projection",
            Self::Server => "server_away",
            Self::Storage => "storage",
        }
    }
}

/// An outage that began or ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// Of this server; empty for all.
    pub server: String,
    /// Its beginning.
    pub from: Time,
    /// Its end; none while it goes on.
    pub until: Option<Time>,
    /// Why.
    pub cause: Cause,
}

/// The last outage; silence before its end counts for nothing, however long ago it is.
#[derive(Debug, Clone, Copy)]
struct Last {
    from: Time,
    until: Time,
    cause: Cause,
    /// What was told of it: nothing, its beginning, or its end.
    told: Option<Option<Time>>,
}

#[derive(Debug, Clone, Copy)]
struct Server {
    started_at: Time,
    clock_offset: TimeDelta,
    last: Option<Last>,
}

/// The last outage of each server, and of all.
#[derive(Debug, Default)]
pub struct Outages {
    last_look: Option<Time>,
    of_all: Option<Last>,
    servers: HashMap<String, Server>,
}

impl Outages {
    /// Nobody judged since `judged_at`; none if nobody ever did.
    pub fn begin(&mut self, judged_at: Option<Time>, now: Time) {
        *self = Self::default();
        if let Some(judged_at) = judged_at {
            extend(&mut self.of_all, judged_at, now, Cause::NotJudged);
        }
    }

    /// A look succeeded.
    pub fn look(&mut self, now: Time, servers: &[ServerSeen]) {
        if let Some(last) = self.last_look
            && now - last > BREAK_MAX
        {
            extend(&mut self.of_all, last, now, Cause::NotJudged);
        }
        self.last_look = Some(now);
        for seen in servers {
            let known = self.servers.entry(seen.id.clone()).or_insert(Server {
                started_at: seen.started_at,
                clock_offset: TimeDelta::zero(),
                last: None,
            });
            known.clock_offset = match seen.clock_offset.abs() < OFFSET_MIN {
                true => TimeDelta::zero(),
                false => seen.clock_offset,
            };
            let away_for = now - seen.heartbeat_at;
            let is_away = seen.is_stopped || away_for > AWAY_AFTER;
            if is_away && away_for <= AWAY_MAX {
                extend(&mut known.last, seen.heartbeat_at, now, Cause::Server);
            }
            if known.started_at != seen.started_at {
                known.started_at = seen.started_at;
                extend(&mut known.last, now, now, Cause::Server);
            }
            if let Some(delayed_at) = seen.delayed_at
                && now - delayed_at < GRACE
            {
                extend(&mut known.last, delayed_at, delayed_at, Cause::Storage);
            }
        }
        self.servers
            .retain(|id, _| servers.iter().any(|seen| seen.id == *id));
    }

    /// The nodes are not known, because they are being built anew.
    pub fn unknown(&mut self, now: Time) {
        extend(&mut self.of_all, now, now, Cause::Projection);
    }

    /// Silence before this time counts for nothing for the nodes of a server.
    pub fn grace_until(&self, server: Option<&str>) -> Time {
        let own = server.and_then(|server| self.servers.get(server)?.last);
        let ends = [self.of_all, own].into_iter().flatten();
        ends.map(|last| last.until).max().unwrap_or(Time::MIN_UTC)
    }

    /// How far the clock of a server is ahead.
    pub fn clock_offset(&self, server: Option<&str>) -> TimeDelta {
        let known = server.and_then(|server| self.servers.get(server));
        known.map_or(TimeDelta::zero(), |server| server.clock_offset)
    }

    /// Outages that began or ended since the last time, to be kept.
    pub fn take_news(&mut self, now: Time) -> Vec<Outage> {
        let all = std::iter::once((String::new(), &mut self.of_all));
        let of_servers = self.servers.iter_mut();
        let of_servers = of_servers.map(|(id, server)| (id.clone(), &mut server.last));
        let mut news = Vec::new();
        for (server, last) in all.chain(of_servers) {
            let Some(last) = last else { continue };
            let until = (last.until <= now).then_some(last.until);
            if last.told != Some(until) {
                last.told = Some(until);
                news.push(Outage {
                    server,
                    from: last.from,
                    until,
                    cause: last.cause,
                });
            }
        }
        news
    }
}

/// What lasted from then until then is an outage, or a part of the last one.
fn extend(last: &mut Option<Last>, from: Time, until: Time, cause: Cause) {
    let until = until + GRACE;
    match last {
        Some(last) if from <= last.until => last.until = last.until.max(until),
        _ => {
            *last = Some(Last {
                from,
                until,
                cause,
                told: None,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time::from_timestamp(1_000_000 + second, 0).unwrap()
    }

    fn server(id: &str, heartbeat_at: i64) -> ServerSeen {
        ServerSeen {
            id: id.to_owned(),
            started_at: at(-1_000),
            heartbeat_at: at(heartbeat_at),
            is_stopped: false,
            delayed_at: None,
            clock_offset: TimeDelta::zero(),
        }
    }

    fn outage(server: &str, from: i64, until: Option<i64>, cause: Cause) -> Outage {
        Outage {
            server: server.to_owned(),
            from: at(from),
            until: until.map(at),
            cause,
        }
    }

    #[test]
    fn without_an_outage_there_is_no_grace() {
        let mut outages = Outages::default();
        outages.begin(None, at(0));
        for second in 0..100 {
            outages.look(at(second), &[server("a", second)]);
        }
        assert_eq!(outages.grace_until(Some("a")), Time::MIN_UTC);
        assert_eq!(outages.take_news(at(100)), []);
    }

    #[test]
    fn what_nobody_judged_is_an_outage_of_all() {
        let mut outages = Outages::default();
        outages.begin(Some(at(-60)), at(0));
        outages.look(at(0), &[]);
        assert_eq!(outages.grace_until(None), at(30));
        let begun = outage("", -60, None, Cause::NotJudged);
        assert_eq!(outages.take_news(at(0)), [begun]);
        for second in 1..=40 {
            outages.look(at(second), &[]);
        }
        let over = outage("", -60, Some(30), Cause::NotJudged);
        assert_eq!(outages.take_news(at(40)), [over]);
        // A break of a minute is another outage.
        outages.look(at(100), &[]);
        assert_eq!(outages.grace_until(None), at(130));
        let begun = outage("", 40, None, Cause::NotJudged);
        assert_eq!(outages.take_news(at(100)), [begun]);
        for second in 101..=130 {
            outages.look(at(second), &[]);
        }
        let over = outage("", 40, Some(130), Cause::NotJudged);
        assert_eq!(outages.take_news(at(130)), [over]);
        assert_eq!(outages.take_news(at(500)), []);
        assert_eq!(outages.grace_until(None), at(130), "it stays the last one");
    }

    #[test]
    fn a_server_that_is_away_is_an_outage_of_its_nodes_for_some_minutes() {
        let mut outages = Outages::default();
        for second in 0..=600 {
            outages.look(
                at(second),
                &[server("a", second.min(10)), server("b", second)],
            );
            let expected = match second {
                ..=15 => Time::MIN_UTC,
                16..=310 => at(second + 30),
                // It could have gone elsewhere.
                _ => at(340),
            };
            assert_eq!(outages.grace_until(Some("a")), expected, "{second}");
            assert_eq!(outages.grace_until(Some("b")), Time::MIN_UTC);
        }
        let over = outage("a", 10, Some(340), Cause::Server);
        assert_eq!(outages.take_news(at(600)), [over]);
        // It comes back.
        let mut back = server("a", 601);
        back.started_at = at(600);
        outages.look(at(601), &[back]);
        assert_eq!(outages.grace_until(Some("a")), at(631));
    }

    #[test]
    fn a_server_that_stopped_in_order_or_restarted_at_once_gives_its_nodes_time() {
        let mut outages = Outages::default();
        outages.look(at(0), &[server("a", 0)]);
        let stopped = ServerSeen {
            is_stopped: true,
            ..server("a", 0)
        };
        outages.look(at(1), &[stopped]);
        assert_eq!(outages.grace_until(Some("a")), at(31));
        let restarted = ServerSeen {
            started_at: at(2),
            ..server("a", 3)
        };
        outages.look(at(3), &[restarted]);
        assert_eq!(outages.grace_until(Some("a")), at(33));
    }

    #[test]
    fn a_server_that_cannot_store_at_once_is_an_outage_of_its_nodes() {
        let mut outages = Outages::default();
        let delayed = ServerSeen {
            delayed_at: Some(at(7)),
            ..server("a", 10)
        };
        outages.look(at(10), &[delayed]);
        assert_eq!(outages.grace_until(Some("a")), at(37));
        assert_eq!(
            outages.take_news(at(10)),
            [outage("a", 7, None, Cause::Storage)]
        );
    }

    #[test]
    fn clocks_are_compared_where_they_really_differ() {
        let mut outages = Outages::default();
        let ahead = |milliseconds| ServerSeen {
            clock_offset: TimeDelta::milliseconds(milliseconds),
            ..server("a", 0)
        };
        outages.look(at(0), &[ahead(-1_999)]);
        assert_eq!(outages.clock_offset(Some("a")), TimeDelta::zero());
        outages.look(at(1), &[ahead(-20_000)]);
        assert_eq!(outages.clock_offset(Some("a")), TimeDelta::seconds(-20));
        assert_eq!(outages.clock_offset(Some("unknown")), TimeDelta::zero());
    }
}
