-- grain: one row, a scored sequence of the document with what was counted and what proxies say of it
-- inputs: sequences
-- params: representative (of its exact copies: sequences are listed once a text), start_byte
select
    start_token,
    sequence_count,
    suffix_count,
    rarest_count,
    continuation_share,
    suffix_entropy_bits,
    suffix_in_prefix,
    template_share,
    rare_token_share,
    token_bits,
    rarest_token_bits,
    redaction_share,
    non_latin_share,
    zlib_bits_per_byte,
    gap_bits,
    proxies
from read_parquet($sequences)
where row_key = $representative and start_byte = $start_byte
order by start_token
