#!/usr/bin/env bash
# A team's MLflow server on PostgreSQL, behind a password, by plain commands: what compose.yaml does in containers.
# Usage: DATABASE=postgresql://USER:PASSWORD@HOST/NAME ADMIN_PASSWORD=... scripts/server/start.sh [--port 5000 ...]
# Needs: pip install "halfscan[server]". More words are handed on to `mlflow server`.
set -euo pipefail
: "${DATABASE:?set DATABASE=postgresql://USER:PASSWORD@HOST/NAME}"
: "${FOLDER:=$PWD/mlflow-server}"         # artifacts, users, secret
: "${ALLOWED_HOSTS:=localhost:*,127.0.0.1:*}"   # names by which clients call it, with :* for any port; others get 403
mkdir -p "$FOLDER" && chmod 700 "$FOLDER"
[ -s "$FOLDER/secret" ] || (umask 077; head -c 32 /dev/urandom | base64 >"$FOLDER/secret")
if [ ! -s "$FOLDER/basic_auth.ini" ]; then
  : "${ADMIN_PASSWORD:?set ADMIN_PASSWORD (12 characters or more) for the first start}"
  # MLflow would refuse a short one at every start, this file being there then.
  [ "${#ADMIN_PASSWORD}" -ge 12 ] || { echo "ADMIN_PASSWORD has ${#ADMIN_PASSWORD} characters and needs 12 or more" >&2; exit 1; }
  (umask 077; printf '%s\n' '[mlflow]' 'default_permission = EDIT' "database_uri = sqlite:///$FOLDER/users.db" 'admin_username = admin' \
    "admin_password = ${ADMIN_PASSWORD//%/%%}" 'authorization_function = mlflow.server.auth:authenticate_request_basic_auth' >"$FOLDER/basic_auth.ini")
fi
export MLFLOW_AUTH_CONFIG_PATH="$FOLDER/basic_auth.ini" MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
MLFLOW_FLASK_SERVER_SECRET_KEY=$(cat "$FOLDER/secret")
export MLFLOW_FLASK_SERVER_SECRET_KEY
exec mlflow server --app-name basic-auth --backend-store-uri "$DATABASE" --artifacts-destination "$FOLDER/artifacts" \
  --allowed-hosts "$ALLOWED_HOSTS" --cors-allowed-origins "${ORIGINS:-http://localhost:5000}" --host "${HOST:-127.0.0.1}" "$@"
