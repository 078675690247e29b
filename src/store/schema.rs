//! The tables, as diesel knows them. What diesel does not write or read by
//! column is reached by SQL and not listed here. A test compares this file with
//! the migrated database.

diesel::table! {
    /// Messages from `/` and `/submit`.
    telemetry_messages (id) {
        /// Number of the message.
        id -> Int8,
        /// When it was read from the socket.
        created_at -> Timestamptz,
        /// Session.
        peer_connection_id -> Int8,
        /// Kind.
        kind_id -> Int2,
        /// Time that the node claimed, where `node_delta_us` is too small for it.
        node_ts -> Nullable<Timestamptz>,
        /// Field `target`.
        target -> Nullable<Text>,
        /// The event's own fields.
        logs -> Jsonb,
        /// Time that the node claimed, microseconds after `created_at`.
        node_delta_us -> Nullable<Int4>,
    }
}

diesel::table! {
    /// Messages from `/audit`.
    telemetry_messages_audit (id) {
        /// Number of the message.
        id -> Int8,
        /// When it was read from the socket.
        created_at -> Timestamptz,
        /// Session.
        peer_connection_id -> Int8,
        /// Kind.
        kind_id -> Int2,
        /// Time that the node claimed, where `node_delta_us` is too small for it.
        node_ts -> Nullable<Timestamptz>,
        /// Field `target`.
        target -> Nullable<Text>,
        /// The event's own fields.
        logs -> Jsonb,
        /// Time that the node claimed, microseconds after `created_at`.
        node_delta_us -> Nullable<Int4>,
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
        /// When the first of the messages arrived.
        first_at -> Nullable<Timestamptz>,
        /// When the last of the messages arrived.
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
        /// When the message was read from the socket.
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
