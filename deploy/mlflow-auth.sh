#!/bin/sh
# Write MLflow's basic_auth.ini from the environment, then start what is given as arguments.
set -eu
cat > "$MLFLOW_AUTH_CONFIG_PATH" <<INI
[mlflow]
default_permission = READ
database_uri = sqlite:///$HOME/mlflow-users.db
admin_username = ${MLFLOW_TRACKING_USERNAME:?}
admin_password = ${MLFLOW_TRACKING_PASSWORD:?}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
INI
exec "$@"
