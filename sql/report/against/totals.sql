-- grain: one row per run: before (now is false), and now
-- inputs: documents, decisions, documents_before, decisions_before
-- params: none
with both_runs as (
    select true as now, documents.*, decisions.action, decisions.reason
    from read_parquet($documents) as documents
    inner join read_parquet($decisions) as decisions on documents.row_key = decisions.row_key
    union all by name
    select false as now, documents.*, decisions.action, decisions.reason
    from read_parquet($documents_before) as documents
    inner join read_parquet($decisions_before) as decisions on documents.row_key = decisions.row_key
)

select
    now,
    cast(count(*) as bigint) as documents,
    cast(count(distinct text_hash) as bigint) as distinct_texts,
    cast(sum(text_bytes) as bigint) as text_bytes,
    cast(sum(words) as bigint) as words,
    cast(sum(repeated_words) as bigint) as repeated_words,
    cast(count(*) filter (where action <> 'drop') as bigint) as kept,
    cast(count(*) filter (where action = 'drop' and reason = 'exact_copy') as bigint) as exact_copies_removed,
    cast(count(*) filter (where action = 'drop' and reason = 'near_copy') as bigint) as near_copies_removed,
    cast(count(*) filter (
        where action = 'drop' and reason not in ('exact_copy', 'near_copy')
    ) as bigint) as otherwise_removed
from both_runs
group by now
order by now
