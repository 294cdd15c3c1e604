-- grain: one row per wanted window that occurs more than once
-- inputs: wanted (hash), $windows (files of windows)
-- params: none
with windows as (
    select hash, occurrences from read_parquet($windows)
)

select windows.hash, windows.occurrences
from windows
semi join wanted on windows.hash = wanted.hash
order by windows.hash
