"""The Helm chart's values: values.yaml, its schema and the README's table are made from one declaration."""
