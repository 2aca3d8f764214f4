{{ config(materialized='view') }}

{{ report_indicators('as_delivered', with_default=true) }}
