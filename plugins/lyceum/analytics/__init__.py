"""From pending hours to published numbers: dbt builds candidates, audits guard them, one transaction publishes them."""
