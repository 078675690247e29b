//! The kinds that the catalogue of the repository lists; a test compares them, and the
//! migrations that give each a number.

/// The kinds that nodes are known to send, in alphabetical order.
pub const KNOWN_KINDS: [&str; 46] = [
    "afg.announcing_blocks_to_voted_peers",
    "afg.applying_forced_authority_set_change",
    "afg.applying_scheduled_authority_set_change",
    "afg.authority_set",
    "afg.bad_catch_up_msg_signature",
    "afg.bad_commit_msg_signature",
    "afg.bad_msg_signature",
    "afg.commit_issued",
    "afg.err_decoding_msg",
    "afg.finality_proof_ok",
    "afg.finalized",
    "afg.finalized_blocks_up_to",
    "afg.generating_new_authority_set",
    "afg.loading_authorities",
    "afg.malformed_compact_commit",
    "afg.precommit_issued",
    "afg.prevote_issued",
    "afg.received_commit",
    "afg.received_precommit",
    "afg.received_prevote",
    "afg.received_propose",
    "afg.starting_new_voter",
    "afg.voter_command_change_authorities",
    "aura.checked_and_importing",
    "aura.halting_for_future_block",
    "aura.header_too_far_in_future",
    "babe.checked_and_importing",
    "babe.header_too_far_in_future",
    "block.import",
    "node.start",
    "notify.finalized",
    "prepared_block_for_proposing",
    "slots.discarding_proposal_took_too_long",
    "slots.err_with_block_built_on",
    "slots.pre_sealed_block",
    "slots.skipping_proposal_slot",
    "slots.starting_authorship",
    "slots.unable_authoring_block",
    "slots.unable_fetching_authorities",
    "sysinfo.hwbench",
    "system.connected",
    "system.interval",
    "system.network_state",
    "tracing.event",
    "tracing.profiling",
    "txpool.import",
];

/// The kinds by which nodes say that something failed: most come from level 4 on, those of bad
/// signatures and of headers from level 5 on.
pub const ERROR_KINDS: [&str; 12] = [
    "afg.bad_catch_up_msg_signature",
    "afg.bad_commit_msg_signature",
    "afg.bad_msg_signature",
    "afg.err_decoding_msg",
    "afg.malformed_compact_commit",
    "aura.halting_for_future_block",
    "aura.header_too_far_in_future",
    "babe.header_too_far_in_future",
    "slots.discarding_proposal_took_too_long",
    "slots.err_with_block_built_on",
    "slots.unable_authoring_block",
    "slots.unable_fetching_authorities",
];

/// Whether nodes are known to send this kind; any other may be a stranger's invention.
pub fn is_known_kind(kind: &str) -> bool {
    KNOWN_KINDS.binary_search(&kind).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_of_kinds_that_are_known() {
        assert!(ERROR_KINDS.into_iter().all(is_known_kind));
        assert!(ERROR_KINDS.is_sorted());
    }
}
