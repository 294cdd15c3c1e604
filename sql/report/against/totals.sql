-- grain: one row per run: before (now is false), and now; also of a run without a row
-- inputs: documents, decisions, documents_before, decisions_before
-- params: none
with sides as (
    select unnest([true, false]) as now
),

both_runs as (
    select true as now, documents.*, decisions.action, decisions.reason
    from read_parquet($documents) as documents
    inner join read_parquet($decisions) as decisions on documents.row_key = decisions.row_key
    union all by name
    select false as now, documents.*, decisions.action, decisions.reason
    from read_parquet($documents_before) as documents
    inner join read_parquet($decisions_before) as decisions on documents.row_key = decisions.row_key
)

select
    s.now,
    cast(count(b.row_key) as bigint) as documents,
    cast(count(distinct text_hash) as bigint) as distinct_texts,
    cast(coalesce(sum(text_bytes), 0) as bigint) as text_bytes,
    cast(coalesce(sum(words), 0) as bigint) as words,
    cast(coalesce(sum(repeated_words), 0) as bigint) as repeated_words,
    cast(count(*) filter (where action <> 'drop') as bigint) as kept,
    cast(count(*) filter (where action = 'drop' and reason = 'exact_copy') as bigint) as exact_copies_removed,
    cast(count(*) filter (where action = 'drop' and reason = 'near_copy') as bigint) as near_copies_removed,
    cast(count(*) filter (
        where action = 'drop' and reason not in ('exact_copy', 'near_copy')
    ) as bigint) as otherwise_removed
from sides as s
left join both_runs as b on s.now = b.now
group by s.now
order by s.now
