{{ config(severity=var('repaired_corrections', 'error')) }}
-- The guard of the corrections: fails, naming the correction, once the office has repaired its file. A build of the product
-- only tells (`repaired_corrections: warn`), because the correction has stepped aside and no number is wrong.
select
    correction_id,
    message_de
from {{ ref('int_correction__repaired') }}
