($1::text IS NULL OR source = $1)
  AND ($2::text IS NULL OR peer_id = $2)
  AND ($3::text IS NULL OR name = $3)
  AND severity = ANY($4::text[])
  AND (cardinality($5::text[]) = 0 OR NOT EXISTS (
      SELECT FROM unnest($5::text[], $6::text[]) AS c (field, value)
      WHERE data #>> string_to_array(c.field, '.') IS DISTINCT FROM c.value))
  AND ($7::text IS NULL OR strpos(lower(data::text), lower($7)) > 0)
