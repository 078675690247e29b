#!/bin/sh
# A job that tells how it does, in shell: examples/service.sh COMMAND...
#
# It runs the command, and posts a heartbeat and the events of the job: started, then finished or failed with its exit
# code. SERVER is the address, TOKEN one of TELEMETRY_TOKENS if the server has any. Run it from cron each five minutes:
# the heartbeat announces the next one, so the server tells when it stays away.
set -u
SERVER=${SERVER:-http://127.0.0.1:8080}
SERVICE=${SERVICE:-backup}
INTERVAL_S=${INTERVAL_S:-300}
run=$(date +%s)-$$

post() { # PATH TYPE BODY
    # It is sent again when the server is away; what has an _id is stored once.
    curl --silent --show-error --fail --retry 5 --retry-all-errors --max-time 60 --output /dev/null \
        --header "Content-Type: $2" ${TOKEN:+--header "Authorization: Bearer $TOKEN"} --data-binary "$3" "$SERVER$1"
}

event() { # NAME MORE
    post /events application/x-ndjson \
        "{\"_e\":1,\"_id\":\"$run $1\",\"name\":\"$1\",\"service_id\":\"$SERVICE\",\"job_id\":\"${JOB:-$SERVICE}\",\"timestamp\":$(date +%s)$2}"
}

event job.started ""
began=$(date +%s)
"$@"
code=$?
duration_ms=$((($(date +%s) - began) * 1000))
if [ "$code" -eq 0 ]; then
    event job.finished ",\"duration_ms\":$duration_ms"
else
    event job.failed ",\"severity\":\"error\",\"duration_ms\":$duration_ms,\"error\":\"exit $code\""
fi
# Heartbeats over HTTP need one of API_TOKENS where there are tokens.
post /api/v1/heartbeats application/json "{\"service\":\"$SERVICE\",\"interval_s\":$INTERVAL_S,\"metrics\":{\"exit_code\":$code}}"
exit "$code"
