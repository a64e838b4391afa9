#!/usr/bin/env bash
# Drives a broker with mosquitto_pub and mosquitto_sub:
#   mosquitto_clients.sh HOST PORT [mqttv31|mqttv311|mqttv5 ...]
# Prints a line per check and exits 1 if one failed. A subscriber's output is read line by line, so
# every wait is for an event, with a deadline.
set -u
shopt -s extglob

readonly HOST=$1 PORT=$2
shift 2
VERSIONS=("$@")
[ ${#VERSIONS[@]} -gt 0 ] || VERSIONS=(mqttv31 mqttv311 mqttv5)
readonly DEADLINE_SECONDS=20
VERSION='' CHECK='' EARLY=()

fail() {
    echo "FAILED mosquitto $VERSION $CHECK: $*"
    exit 1
}

publish() { # OPTIONS...
    timeout $DEADLINE_SECONDS mosquitto_pub -h "$HOST" -p "$PORT" -V "$VERSION" "$@" ||
        fail "mosquitto_pub $* ended with $?"
}

# Opens a subscriber as file descriptor $SUB, process $SUB_PID, and returns once it has its SUBACK.
subscribe() { # OPTIONS...
    exec {SUB}< <(exec stdbuf -oL mosquitto_sub -h "$HOST" -p "$PORT" -V "$VERSION" -d \
        -F 'MESSAGE %q %r %t %p' "$@" 2>&1)
    SUB_PID=$!
    EARLY=()
    while wait_line "$SUB" '@(Subscribed|MESSAGE) *' && [[ $LINE == MESSAGE* ]]; do
        EARLY+=("$LINE") # a broker may send messages before the SUBACK
    done
}

wait_line() { # FD GLOB: reads up to a line that matches, which becomes $LINE
    while IFS= read -r -t $DEADLINE_SECONDS -u "$1" LINE; do
        # shellcheck disable=SC2053 # the right side is a pattern
        [[ $LINE == $2 ]] && return
    done
    fail "no line like '$2'"
}

expect() { # FD QOS RETAIN TOPIC PAYLOAD: the next message is exactly this
    if [ "$1" = "$SUB" ] && [ ${#EARLY[@]} -gt 0 ]; then
        LINE=${EARLY[0]}
        EARLY=("${EARLY[@]:1}")
    else
        wait_line "$1" 'MESSAGE *'
    fi
    [ "$LINE" = "MESSAGE $2 $3 $4 $5" ] || fail "got '$LINE', wanted '$2 $3 $4 $5'"
}

stop_subscriber() {
    kill -TERM "$SUB_PID" 2>/dev/null
    exec {SUB}<&-
}

min() { echo $(($1 < $2 ? $1 : $2)); }

qos_both_ways() {
    for granted in 0 1 2; do
        subscribe -q $granted -t "$NAME/qos"
        for qos in 0 1 2; do
            publish -q $qos -t "$NAME/qos" -m "$qos to $granted"
            expect "$SUB" "$(min $qos $granted)" 0 "$NAME/qos" "$qos to $granted"
        done
        stop_subscriber
    done
}

order_of_many() {
    for qos in 0 1 2; do
        subscribe -q $qos -t "$NAME/order"
        seq 1 200 | publish -q $qos -t "$NAME/order" -l
        for number in $(seq 1 200); do expect "$SUB" $qos 0 "$NAME/order" "$number"; done
        stop_subscriber
    done
}

retained() {
    publish -q 1 -r -t "$NAME/retained" -m old
    publish -q 1 -r -t "$NAME/retained" -m new
    subscribe -q 1 -t "$NAME/#"
    expect "$SUB" 1 1 "$NAME/retained" new
    publish -q 1 -r -t "$NAME/retained" -n
    expect "$SUB" 1 0 "$NAME/retained" ''
    stop_subscriber
    subscribe -q 1 -t "$NAME/#"
    publish -q 1 -t "$NAME/fence" -m fence
    expect "$SUB" 1 0 "$NAME/fence" fence
    stop_subscriber
}

wills() {
    subscribe -q 1 -t "$NAME/will"
    local watcher=$SUB watcher_pid=$SUB_PID
    subscribe -t "$NAME/other" --will-topic "$NAME/will" --will-payload gone --will-qos 1
    kill -KILL "$SUB_PID"
    expect "$watcher" 1 0 "$NAME/will" gone
    publish -q 1 -t "$NAME/will" -m fence --will-topic "$NAME/will" --will-payload never
    expect "$watcher" 1 0 "$NAME/will" fence
    publish -q 1 -t "$NAME/will" -m 'second fence'
    expect "$watcher" 1 0 "$NAME/will" 'second fence'
    kill -TERM "$watcher_pid"
}

persistent_session() {
    local keep=(-c -i "$NAME" -q 1 -t "$NAME/kept")
    [ "$VERSION" = mqttv5 ] && keep+=(-x 600)
    # -E: leave at once when the subscription is acknowledged.
    timeout $DEADLINE_SECONDS mosquitto_sub -h "$HOST" -p "$PORT" -V "$VERSION" -E "${keep[@]}" ||
        fail "the first mosquitto_sub ended with $?"
    for number in 1 2 3; do publish -q 1 -t "$NAME/kept" -m "$number"; done
    exec {SUB}< <(exec stdbuf -oL mosquitto_sub -h "$HOST" -p "$PORT" -V "$VERSION" -d \
        -F 'MESSAGE %q %r %t %p' "${keep[@]}" 2>&1)
    SUB_PID=$!
    for number in 1 2 3; do expect "$SUB" 1 0 "$NAME/kept" "$number"; done
    stop_subscriber
}

takeover() {
    subscribe -i "$NAME" -t "$NAME/alive"
    local first=$SUB first_pid=$SUB_PID
    subscribe -i "$NAME" -t "$NAME/alive"
    # The first leaves when it is told why (version 5), or connects again: then the two would
    # throw each other out for ever.
    local line status
    while true; do
        IFS= read -r -t $DEADLINE_SECONDS -u "$first" line
        status=$?
        [ $status -le 128 ] || fail 'the first client stays connected'
        if [ $status -ne 0 ] || [[ $line == *'sending CONNECT'* ]]; then break; fi
    done
    publish -t "$NAME/alive" -m yes -q 1
    kill -TERM "$SUB_PID" "$first_pid" 2>/dev/null
}

wildcards_and_dollar_topics() {
    subscribe -q 1 -t "$NAME/+/b" -t "$NAME/c/#"
    publish -q 1 -t "$NAME/x/b/c" -m unwanted
    publish -q 1 -t "$NAME/x/b" -m plus
    expect "$SUB" 1 0 "$NAME/x/b" plus
    publish -q 1 -t "$NAME/c" -m parent
    expect "$SUB" 1 0 "$NAME/c" parent
    stop_subscriber
    subscribe -q 1 -t '#'
    publish -q 1 -t "\$interop/$NAME" -m hidden
    publish -q 1 -t "$NAME" -m seen
    expect "$SUB" 1 0 "$NAME" seen
    stop_subscriber
    subscribe -q 1 -t "\$interop/+"
    publish -q 1 -t "\$interop/$NAME" -m seen
    expect "$SUB" 1 0 "\$interop/$NAME" seen
    stop_subscriber
}

large_payload() {
    local payload
    payload=$(head -c 100000 /dev/zero | tr '\0' x)
    subscribe -q 2 -t "$NAME/large"
    printf %s "$payload" | publish -q 2 -t "$NAME/large" -s
    expect "$SUB" 2 0 "$NAME/large" "$payload"
    stop_subscriber
}

shared_subscription() {
    subscribe -q 1 -t "\$share/group/$NAME/job"
    publish -q 1 -t "$NAME/job" -m work
    expect "$SUB" 1 0 "$NAME/job" work
    stop_subscriber
}

main() {
    local failed=0
    for VERSION in "${VERSIONS[@]}"; do
        for CHECK in qos_both_ways order_of_many retained wills persistent_session takeover \
            wildcards_and_dollar_topics large_payload shared_subscription; do
            NAME="m${VERSION#mqttv}${CHECK:0:9}"
            if ("$CHECK"); then echo "ok     mosquitto $VERSION $CHECK"; else failed=1; fi
        done
    done
    exit $failed
}

main
