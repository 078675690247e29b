//! How many files the system allows, and what they are for.

use crate::config::Config;

/// Files beside those of sockets: connections to the database, the spool, pages, the log.
const OWN_FILES: u64 = 1_024;

/// What is left for the server itself where the system allows few files.
const OWN_FRACTION: u64 = 4;

/// Connections that there are files for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionLimits {
    /// Of nodes.
    pub(super) telemetry: usize,
    /// Of the live feed.
    pub(super) feed: usize,
    /// Others, and those of nodes before their upgrade.
    pub(super) http: usize,
}

/// Raises the limit of open files to one for each telemetry connection, as many for HTTP,
/// those of the feed and the server's own. With fewer files the server keeps its own, so that
/// spool, database and health work, and three quarters of the others but the feed's are for
/// nodes at least: a node has an HTTP connection only until its upgrade.
pub(super) fn raise_limit(config: &Config) -> ConnectionLimits {
    let (connections, feed) = (config.http.connections_max, config.feed.connections_max);
    let wanted = ConnectionLimits {
        telemetry: connections,
        feed,
        http: connections,
    };
    let allowed = rlimit::increase_nofile_limit(wanted.files()).or_else(|error| {
        log::warn!("the limit of open files could not be raised: {error}");
        rlimit::Resource::NOFILE.get_soft()
    });
    let Ok(allowed) = allowed else {
        return wanted;
    };
    let limits = wanted.within(allowed);
    if limits.telemetry < connections && connections != usize::MAX {
        log::warn!(
            "the system allows {allowed} open files: {} nodes can connect, fewer than CONNECTIONS_MAX; raise `ulimit -n`",
            limits.telemetry
        );
    }
    limits
}

impl ConnectionLimits {
    fn files(self) -> u64 {
        [self.telemetry, self.feed, self.http]
            .into_iter()
            .map(|connections| u64::try_from(connections).unwrap_or(u64::MAX))
            .fold(OWN_FILES, u64::saturating_add)
    }

    /// As many of them as there are files for.
    fn within(self, allowed: u64) -> Self {
        let own = OWN_FILES.min(allowed / OWN_FRACTION);
        let for_connections = usize::try_from(allowed.saturating_sub(own)).unwrap_or(usize::MAX);
        let feed = self.feed.min(for_connections / 8);
        let rest = for_connections - feed;
        let telemetry = self.telemetry.min(rest - self.http.min(rest / 4));
        let http = self.http.min(rest - telemetry);
        Self {
            telemetry,
            feed,
            http,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(telemetry: usize, feed: usize, http: usize) -> ConnectionLimits {
        ConnectionLimits {
            telemetry,
            feed,
            http,
        }
    }

    #[test]
    fn the_server_keeps_files_for_itself() {
        let wanted = limits(8_192, 1_000, 8_192);
        assert_eq!(wanted.within(wanted.files()), wanted);
        assert_eq!(wanted.within(1_024), limits(504, 96, 168));
        assert_eq!(wanted.within(256), limits(126, 24, 42));
        assert_eq!(limits(10, 5, 10).within(1_024), limits(10, 5, 10));
        let unlimited = limits(usize::MAX, 1_000, usize::MAX);
        assert_eq!(unlimited.files(), u64::MAX);
        assert_eq!(unlimited.within(1_048_576), limits(784_914, 1_000, 261_638));
    }
}
