{# Monday of the ISO week of a date, in integer arithmetic (1900-01-01 was a Monday): date_trunc would go through timestamptz. #}
{% macro week_start(day) -%}
    ({{ day }} - mod({{ day }} - date '1900-01-01', 7))
{%- endmacro %}
