-- grain: one row per text that both runs have byte for byte, with its first row in the other one
-- inputs: counts (files of this run), signatures (files of the other one)
-- params: none
with ours as (
    select distinct representative, text_hash
    from read_parquet($counts)
),

theirs as (
    select text_hash, row_key
    from read_parquet($signatures)
)

select
    ours.representative,
    min(theirs.row_key) as their_row_key
from ours
inner join theirs on ours.text_hash = theirs.text_hash
group by ours.representative
order by ours.representative
