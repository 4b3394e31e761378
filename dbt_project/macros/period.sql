{# First day of the period of the given type that holds a day. #}
{% macro period_start(period_type, day) -%}
    {%- if period_type == 'week' -%}
        {{ week_start(day) }}
    {%- elif period_type == 'month' -%}
        make_date(extract(year from {{ day }})::integer, extract(month from {{ day }})::integer, 1)
    {%- else -%}
        make_date(extract(year from {{ day }})::integer, 1, 1)
    {%- endif -%}
{%- endmacro %}

{# Last day of the period of the given type that begins on a day. #}
{% macro period_end(period_type, start) -%}
    {%- if period_type == 'week' -%}
        ({{ start }} + 6)
    {%- elif period_type == 'month' -%}
        (({{ start }} + interval '1 month')::date - 1)
    {%- else -%}
        (({{ start }} + interval '1 year')::date - 1)
    {%- endif -%}
{%- endmacro %}
