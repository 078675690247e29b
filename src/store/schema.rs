//! The tables, as diesel knows them. What diesel does not write or read by
//! column is reached by SQL and not listed here. A test compares this file with
//! the migrated database.

diesel::table! {
    /// Messages from `/` and `/submit`.
    telemetry_messages (id) {
        /// Number of the message.
        id -> Int8,
        /// Trustworthy time of the message.
        created_at -> Timestamptz,
        /// Session.
        peer_connection_id -> Int8,
        /// Kind.
        kind_id -> Int2,
        /// What the node claimed, where it differs.
        node_ts -> Nullable<Timestamptz>,
        /// Field `target`.
        target -> Nullable<Text>,
        /// The event's own fields.
        logs -> Jsonb,
    }
}

diesel::table! {
    /// Messages from `/audit`.
    telemetry_messages_audit (id) {
        /// Number of the message.
        id -> Int8,
        /// Trustworthy time of the message.
        created_at -> Timestamptz,
        /// Session.
        peer_connection_id -> Int8,
        /// Kind.
        kind_id -> Int2,
        /// What the node claimed, where it differs.
        node_ts -> Nullable<Timestamptz>,
        /// Field `target`.
        target -> Nullable<Text>,
        /// The event's own fields.
        logs -> Jsonb,
    }
}

diesel::table! {
    /// Batches stored lately.
    ingest_batches (id) {
        /// Number of the batch.
        id -> Int8,
        /// When it was stored.
        stored_at -> Timestamptz,
        /// Messages of it that were refused.
        rejected -> Int8,
        /// Server that received the messages.
        server_id -> Nullable<Text>,
        /// Number of the last message.
        last_id -> Nullable<Int8>,
        /// Earliest time of the messages.
        first_at -> Nullable<Timestamptz>,
        /// Latest time of the messages.
        last_at -> Nullable<Timestamptz>,
        /// Transaction that stored it.
        transaction_id -> Int8,
    }
}

diesel::table! {
    /// Messages that the database refused.
    rejected_messages (id) {
        /// Number that the message would have had.
        id -> Int8,
        /// Trustworthy time of the message.
        created_at -> Timestamptz,
        /// Session.
        peer_connection_id -> Int8,
        /// Name of the kind.
        msg -> Text,
        /// What the database said.
        reason -> Text,
        /// The fields as JSON text.
        logs -> Bytea,
    }
}
