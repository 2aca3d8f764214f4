{{ config(materialized='view') }}

{{ report_observations('as_delivered') }}
