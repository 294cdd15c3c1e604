-- grain: one row for the corpus
-- inputs: windows
-- params: none
-- a window that occurs n times is at n places: so many of those that occur n times are one window
with numbers as (
    select occurrences, documents, sum(windows) as places
    from read_parquet($windows)
    group by occurrences, documents
)

select
    cast(coalesce(sum(places // occurrences), 0) as bigint) as repeated_windows,
    cast(coalesce(sum(places), 0) as bigint) as occurrences,
    cast(coalesce(max(occurrences), 0) as bigint) as largest,
    cast(coalesce(sum(places // occurrences) filter (where documents > 1), 0) as bigint) as across_documents
from numbers
order by repeated_windows
