-- grain: one row per piece of personal data of the document, in order, with how many there are in all
-- inputs: $personal (files)
-- params: $row_key, $most (rows returned)
select
    kind,
    start_byte,
    end_byte,
    cast(count(*) over () as bigint) as finds
from read_parquet($personal)
where row_key = $row_key
order by start_byte
limit $most
