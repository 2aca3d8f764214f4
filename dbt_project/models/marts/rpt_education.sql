{{ config(materialized='view', post_hook="{{ describe_wide_indicators('education') }}") }}
{{ wide_indicators('education') }}
