{{ config(materialized='view') }}

{{ report_indicators('as_delivered') }}
