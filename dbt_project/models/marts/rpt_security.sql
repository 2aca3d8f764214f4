{{ config(materialized='view', post_hook="{{ describe_wide_indicators('security') }}") }}
{{ wide_indicators('security') }}
