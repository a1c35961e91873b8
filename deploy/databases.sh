#!/bin/sh
# Run by PostgreSQL's image when its volume is empty: a database for each server.
set -eu
for name in prefect mlflow; do
    createdb --username "$POSTGRES_USER" "$name"
done
