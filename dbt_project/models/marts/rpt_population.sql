{{ config(materialized='view', post_hook="{{ describe_wide_indicators('population') }}") }}
{{ wide_indicators('population') }}
