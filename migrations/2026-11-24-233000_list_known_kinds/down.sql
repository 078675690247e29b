ALTER TABLE message_kinds DROP COLUMN merged;
