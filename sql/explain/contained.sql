-- grain: one row, the proof that a text is contained in another; none when they were never compared
-- inputs: contained
-- params: document, container (representatives)
select
    inter,
    size as total,
    containment
from read_parquet($contained)
where document = $document and container = $container
order by document, container
