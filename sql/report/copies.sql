-- grain: one row per measure and power-of-two bucket; bucket k holds values in (2^(k-1), 2^k], -1 holds 0
-- inputs: documents
-- params: none
with documents as (
    select text_hash, text_bytes, exact_count, near_count, max_window_count
    from read_parquet($documents)
),

measured as (
    select 'exact_count' as measure, exact_count as value, text_bytes
    from documents
    union all
    select 'near_count' as measure, near_count as value, text_bytes
    from documents
    union all
    select 'max_window_count' as measure, max_window_count as value, text_bytes
    from documents
),

bucketed as (
    select
        measure,
        case when value <= 0 then -1 else cast(ceil(log2(value)) as bigint) end as bucket,
        value,
        text_bytes
    from measured
)

select
    measure,
    bucket,
    cast(count(*) as bigint) as documents,
    cast(sum(text_bytes) as bigint) as text_bytes,
    max(value) as largest
from bucketed
group by measure, bucket
order by measure, bucket
