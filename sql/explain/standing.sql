-- grain: one row per removed row that a document stays in the place of, by row_key
-- inputs: decisions
-- params: row_key (of the document that stays), most (rows returned)
select row_key
from read_parquet($decisions)
where keeper = $row_key
order by row_key
limit $most
