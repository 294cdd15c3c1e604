-- grain: one row per number that probes measured on a sequence of the document
-- inputs: probes
-- params: representative (of its exact copies: sequences are listed once a text)
select
    start_token,
    proxy,
    seen,
    signal,
    name,
    value
from read_parquet($probes)
where row_key = $representative
order by start_token, proxy, signal, name
