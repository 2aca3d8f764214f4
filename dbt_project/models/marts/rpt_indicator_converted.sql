{{ config(materialized='view') }}

{{ report_indicators('converted') }}
