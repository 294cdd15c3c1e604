-- grain: one row per accepted document
-- inputs: $signatures, $copies, $pairs, $buckets, $repeats, $families (files), shards (number, name, ...)
-- params: $cap (members above which a bucket is capped), $window_words
-- effective count: copies weighted by rho = exp(-0.113 - 3.50 r), r = 1 - s^(1/5), in integer millionths
with signatures as (
    select row_key, doc_id, source, priority, priority_rest, text_bytes, words, symbols, text_hash
    from read_parquet($signatures)
),

copies as (
    select row_key, representative, exact_count from read_parquet($copies)
),

pairs as (
    select a, b, inter, size_a, size_b from read_parquet($pairs)
),

families as (
    select row_key, family from read_parquet($families)
),

repeats as (
    select row_key, max_window_count, repeated_words from read_parquet($repeats)
),

neighbours as (
    select a as representative, b as neighbour, inter / cast(size_a as double) as share from pairs
    union all
    select b as representative, a as neighbour, inter / cast(size_b as double) as share from pairs
),

sizes as (
    select representative, exact_count from copies where row_key = representative
),

effective as (
    select
        n.representative,
        cast(sum(
            s.exact_count * cast(round(1e6 * exp(-0.113 - 3.50 * (1 - pow(n.share, 0.2)))) as bigint)
        ) as bigint) as millionths
    from neighbours as n
    inner join sizes as s on n.neighbour = s.representative
    group by n.representative
),

capped as (
    select distinct row_key as representative from read_parquet($buckets) where members > $cap
),

sources as (
    select
        count(source) as rows_with_source,
        count(distinct source) as distinct_values,
        count(distinct split_part(source, '/', 1)) as distinct_segments
    from signatures
),

grouping_rule as (
    select
        case
            when rows_with_source = 0 then 'folder'
            when distinct_values <= 1000 and rows_with_source >= 10 * distinct_values then 'value'
            when distinct_segments <= 1000 and rows_with_source >= 10 * distinct_segments then 'segment'
            else 'folder'
        end as by_what
    from sources
)

select
    s.row_key,
    s.doc_id,
    h.name as shard,
    cast(s.row_key & 1099511627775 as bigint) as row,
    s.source,
    h.split,
    case g.by_what
        when 'folder' then h.folder
        when 'value' then coalesce(s.source, '(none)')
        else coalesce(split_part(s.source, '/', 1), '(none)')
    end as source_group,
    s.priority,
    s.priority_rest,
    s.text_bytes,
    s.words,
    s.symbols,
    s.text_hash,
    c.representative,
    c.exact_count,
    c.exact_count + coalesce(e.millionths, 0) / 1e6 as effective_count,
    k.representative is not null as near_capped,
    f.family,
    case when s.words < $window_words then 0 else coalesce(r.max_window_count, 1) end as max_window_count,
    coalesce(r.repeated_words, 0) as repeated_words
from signatures as s
cross join grouping_rule as g
inner join copies as c on s.row_key = c.row_key
inner join shards as h on (s.row_key >> 40) = h.number
inner join families as f on s.row_key = f.row_key
left join effective as e on c.representative = e.representative
left join capped as k on c.representative = k.representative
left join repeats as r on s.row_key = r.row_key
order by s.row_key
