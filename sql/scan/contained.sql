-- grain: one row per text and longer text that hold one of the windows chosen for the first
-- inputs: met (stream of document, container)
-- params: none
select distinct
    document,
    container
from met
order by document, container
