{#
  Before a run: schema `candidate` is as the models' contracts say, and no longer counts as tested.

  dbt keeps an incremental table as it is when its columns' types, keys, checks or indexes change in the yml. So a relation whose
  contract differs from the one it was made from is dropped and made anew, and so is one no model makes any more: nobody but
  the build reads it. Foreign keys are none of the candidate's business, see create_table_as.sql.
#}
{% macro prepare_candidate() %}
    {% if not execute or flags.WHICH not in ('build', 'run') %}{{ return('select 1') }}{% endif %}
    {% set contracts = {} %}
    {% for node in graph.nodes.values() if node.resource_type == 'model' and node.schema == 'candidate' %}
        {% set columns = [] %}
        {% for column in node.columns.values() %}
            {% set rules = column.constraints | rejectattr('type', 'equalto', 'foreign_key') | list %}
            {% do columns.append([column.name, column.data_type, rules]) %}
        {% endfor %}
        {% set constraints = node.constraints | rejectattr('type', 'equalto', 'foreign_key') | list %}
        {% do contracts.update({node.name: local_md5(
            node.config.materialized ~ columns ~ constraints ~ node.config.get('indexes', []) ~ node.config.get('unlogged')
        )}) %}
    {% endfor %}
    {% do run_query(
        'create unlogged table if not exists intermediate.candidate_contract (model text primary key, digest text not null)'
    ) %}
    {% set known = {} %}
    {% for row in run_query('select model, digest from intermediate.candidate_contract').rows %}
        {% do known.update({row[0]: row[1]}) %}
    {% endfor %}
    {% set made = run_query(
        "select relname, case relkind when 'v' then 'view' else 'table' end from pg_catalog.pg_class"
        ~ " where relnamespace = 'candidate'::regnamespace and relkind in ('r', 'v')"
    ).rows %}
    {% for name, type in made if contracts.get(name, 'none') != known.get(name) %}
        {% do log('candidate.' ~ name ~ ' is made anew: its contract has changed', info=true) %}
        {% do adapter.drop_relation(
            api.Relation.create(database=target.database, schema='candidate', identifier=name, type=type)
        ) %}
    {% endfor %}
    drop table if exists intermediate.audited_candidate;
    truncate intermediate.candidate_contract;
    {% if contracts %}
        insert into intermediate.candidate_contract (model, digest)
        values {% for model, digest in contracts.items() %}('{{ model }}', '{{ digest }}'){{ ', ' if not loop.last }}{% endfor %};
    {% endif %}
    delete from {{ build_state() }}
    where not exists (
        select 1 from pg_catalog.pg_class
        where relname = model and relnamespace in ('candidate'::regnamespace, 'intermediate'::regnamespace, 'staging'::regnamespace)
    )
{% endmacro %}
