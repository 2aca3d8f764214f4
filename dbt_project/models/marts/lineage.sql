{{ config(materialized='view', post_hook='{{ create_lineage_of() }}') }}

{{ lineage_query("'infinity'::timestamptz") }}
