-- Known kinds have their places from the start, so that nobody's invented ones take them. A merged kind gives its place
-- back: its entry stays for the messages that carry its number.

ALTER TABLE message_kinds ADD COLUMN merged boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN message_kinds.merged IS 'New messages of this kind are stored as (unlisted), with msg among their fields; it takes none of the MESSAGE_KINDS_MAX places.';

-- Servers that give numbers now wait for the end of this transaction.
LOCK TABLE message_kinds IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO message_kinds (id, msg)
SELECT (SELECT max(id) FROM message_kinds) + row_number() OVER (ORDER BY known.place), known.msg
FROM (VALUES
    (1, 'system.interval'),
    (2, 'block.import'),
    (3, 'notify.finalized'),
    (4, 'txpool.import'),
    (5, 'tracing.profiling'),
    (6, 'system.connected'),
    (7, 'sysinfo.hwbench'),
    (8, 'afg.authority_set'),
    (9, 'prepared_block_for_proposing'),
    (10, 'slots.pre_sealed_block'),
    (11, 'slots.discarding_proposal_took_too_long'),
    (12, 'afg.finalized_blocks_up_to'),
    (13, 'afg.generating_new_authority_set'),
    (14, 'afg.voter_command_change_authorities'),
    (15, 'afg.applying_forced_authority_set_change'),
    (16, 'afg.applying_scheduled_authority_set_change'),
    (17, 'afg.received_propose'),
    (18, 'afg.received_prevote'),
    (19, 'afg.received_precommit'),
    (20, 'afg.received_commit'),
    (21, 'slots.unable_fetching_authorities'),
    (22, 'slots.unable_authoring_block'),
    (23, 'slots.err_with_block_built_on'),
    (24, 'slots.skipping_proposal_slot'),
    (25, 'slots.starting_authorship'),
    (26, 'aura.header_too_far_in_future'),
    (27, 'babe.header_too_far_in_future'),
    (28, 'afg.loading_authorities'),
    (29, 'afg.starting_new_voter'),
    (30, 'afg.prevote_issued'),
    (31, 'afg.precommit_issued'),
    (32, 'afg.commit_issued'),
    (33, 'afg.announcing_blocks_to_voted_peers'),
    (34, 'afg.bad_msg_signature'),
    (35, 'afg.bad_commit_msg_signature'),
    (36, 'afg.bad_catch_up_msg_signature'),
    (37, 'afg.malformed_compact_commit'),
    (38, 'afg.err_decoding_msg'),
    (39, 'aura.checked_and_importing'),
    (40, 'babe.checked_and_importing'),
    (41, 'node.start'),
    (42, 'system.network_state'),
    (43, 'aura.halting_for_future_block'),
    (44, 'afg.finalized'),
    (45, 'afg.finality_proof_ok'),
    (46, 'tracing.event')
) AS known (place, msg)
WHERE NOT EXISTS (SELECT FROM message_kinds k WHERE k.msg = known.msg);
