{# Every model goes to the schema of the target, whatever folder it stands in: dbt can reach no other schema. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ target.schema }}
{%- endmacro %}
