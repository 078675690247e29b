//! The reasons by which metrics and sessions are labelled: closed lists, each
//! with the name that stands in metrics and in `disconnect_reason`.

/// An enum of reasons with their names, and the list of all of them.
macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// All of them, for metrics that show each from the start.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            /// Name in metrics and in the database.
            pub fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }

            /// The one of that name.
            pub fn from_label(label: &str) -> Option<Self> {
                Self::ALL.into_iter().find(|known| known.label() == label)
            }
        }
    };
}

reasons! {
    /// Why a telemetry connection or a session ended.
    DisconnectReason {
        /// The node ended the TCP connection, as nodes do when they stop.
        ClosedByNode => "closed_by_node",
        /// The node sent a close frame (old nodes).
        CloseFrame => "close_frame",
        /// Nothing came for `NODE_IDLE_TIMEOUT_S`.
        Idle => "idle",
        /// A peer that used to answer pings no longer does.
        PingTimeout => "ping_timeout",
        /// A message was so large that not even its end was waited for (64 MiB).
        TooLarge => "message_too_large",
        /// It stayed over a limit: bytes, frames, node ids, or the size of messages.
        OverLimit => "over_limit",
        /// It held a large part of a message while many others did.
        TooManyParts => "too_many_parts",
        /// What came is no websocket.
        Protocol => "protocol_error",
        /// The TCP connection broke.
        ConnectionLost => "connection_lost",
        /// Another node took the same id of the connection.
        Replaced => "replaced",
        /// No node of the connection is of a chain that may send.
        ChainRefused => "chain_refused",
        /// The server stopped.
        ServerStopped => "server_stopped",
        /// The server was gone without having closed its sessions.
        ServerLost => "server_lost",
    }
}

reasons! {
    /// Why a telemetry connection was not let in.
    RefuseReason {
        /// `CONNECTIONS_MAX` are open.
        TooManyConnections => "too_many_connections",
        /// The address has `CONNECTIONS_PER_IP_MAX` open.
        TooManyFromAddress => "too_many_from_address",
        /// A connection of the address stayed over a limit, less than `BLOCK_S` ago.
        Blocked => "blocked",
        /// The server stops.
        Stopping => "stopping",
        /// A token is needed, and the path has none that is good.
        Token => "token",
        /// The address is not in `ALLOWED_NETWORKS`.
        Network => "network",
        /// The request is no proper websocket upgrade.
        Handshake => "handshake",
    }
}

reasons! {
    /// Why an HTTP connection was cut.
    CutReason {
        /// It brought no whole request for `UPGRADE_TIMEOUT_S`, or did not take its answer.
        TooSlow => "too_slow",
        /// `CONNECTIONS_MAX` were open, and its address had the most.
        TooMany => "too_many",
        /// Its address had `CONNECTIONS_PER_IP_MAX` open.
        TooManyFromAddress => "too_many_from_address",
        /// It held a large part of the head of a request while many others did.
        TooLarge => "too_large",
    }
}

reasons! {
    /// Why messages were lost.
    DropReason {
        /// The queue was full for longer than `HOLD_BACK_MS`.
        QueueFull => "queue_full",
        /// The connection has `NODES_PER_CONNECTION_MAX` node ids already.
        TooManyNodes => "too_many_nodes",
        /// The message is over `WS_MAX_PAYLOAD`.
        TooLarge => "too_large",
        /// The connection is over `NODE_BYTES_PER_S_MAX`.
        TooManyBytes => "too_many_bytes",
        /// The connection is over `NODE_FRAMES_PER_S_MAX`.
        TooManyFrames => "too_many_frames",
        /// A file of the spool was torn by a crash or by the disk.
        SpoolTorn => "spool_torn",
        /// The node is of a chain that may not send, or did not say its chain.
        ChainRefused => "chain_refused",
        /// The server stopped before they could be stored.
        Shutdown => "shutdown",
    }
}

reasons! {
    /// Why the database refused a message.
    RejectReason {
        /// The content cannot be stored (SQLSTATE class 22).
        Data => "data",
        /// A constraint or a trigger of the database forbids it (class 23, P0).
        Constraint => "constraint",
        /// It exceeds a limit of the database (class 54).
        Limit => "limit",
    }
}

reasons! {
    /// What made a batch leave for the database.
    FlushReason {
        /// It was full.
        Size => "size",
        /// Its oldest message was waiting for `DB_SAVE_LATENCY_MS`.
        Age => "age",
        /// The server stops.
        Shutdown => "shutdown",
    }
}

reasons! {
    /// Status of a node, or of what else sends heartbeats; `docs/STATUS.md` has the rules.
    NodeState {
        /// It sends messages, and nothing is wrong with it.
        Online => "online",
        /// It sends messages, and is far behind its chain and catching up.
        Syncing => "syncing",
        /// Its finalized block is far behind that of its chain.
        Lagging => "lagging",
        /// Its best block stands still while that of its chain moves.
        Stalled => "stalled",
        /// Two machines use its peer id at once.
        Conflict => "conflict",
        /// One heartbeat is missed.
        Late => "late",
        /// `NODE_MISSED_BEATS` heartbeats are missed.
        Missing => "missing",
        /// Silent for `NODE_OFFLINE_S`.
        Offline => "offline",
        /// Silent since more than half of the nodes of its chain fell silent within a minute.
        TelemetryLost => "telemetry_lost",
        /// Out of service on purpose; for services, which can say so.
        Down => "down",
    }
}

reasons! {
    /// Why the status of a node changed.
    StatusReason {
        /// It was never seen before.
        FirstSeen => "first_seen",
        /// What was wrong is over.
        Recovered => "recovered",
        /// Nothing arrives over its open connection.
        Silent => "silent",
        /// Its end closed the connection: it stopped, or was killed.
        Disconnected => "disconnected",
        /// Its connection broke, or was ended because of a limit or a timeout.
        ConnectionLost => "connection_lost",
        /// The server that it was connected to stopped or was lost.
        ServerLost => "server_lost",
        /// Its best block stands still while that of its chain moves.
        BestBlockStands => "best_block_stands",
        /// Its finalized block is more than `NODE_FINALITY_LAG` behind that of its chain.
        FinalityBehind => "finality_behind",
        /// Its best block is far behind that of its chain, and moves.
        CatchingUp => "catching_up",
        /// Two machines use its peer id at once.
        TwoMachines => "two_machines",
        /// More than half of the nodes of its chain fell silent within a minute.
        TelemetryLost => "telemetry_lost",
        /// It said so itself.
        Announced => "announced",
    }
}

reasons! {
    /// Why an event is not sent by a transport.
    UnsentReason {
        /// The backlog had more than `EVENT_BACKLOG_MAX_BYTES`.
        BacklogFull => "backlog_full",
        /// It expired (`EVENT_EXPIRY_H`) before the receiver was there again.
        Expired => "expired",
        /// Delivery is at most once, and the attempt failed.
        Failed => "failed",
    }
}

reasons! {
    /// What came of a line of the log.
    ShippedLine {
        /// The receiver took it.
        Sent => "sent",
        /// Too many waited.
        Lost => "lost",
        /// The receiver refused it.
        Refused => "refused",
    }
}
