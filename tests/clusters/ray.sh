#!/usr/bin/env bash
# A real Ray cluster on this machine, for tests: a head with no CPU and two nodes with one each.
#
#   eval "$(tests/clusters/ray.sh up DIR PORT)"  start it; sets RAY_ADDRESS and the token for the caller
#   tests/clusters/ray.sh kill DIR 1             node 1 loses power: SIGKILL to its raylet and workers
#   tests/clusters/ray.sh revive DIR 1           start node 1 again
#   tests/clusters/ray.sh down DIR               stop it, and remove its files
#
# PORT is the head's; Ray's client server takes the one after it. `ray` is the one on the PATH, or
# else the one of this checkout's .venv.
set -euo pipefail

usage() { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[[ $# -ge 2 ]] || usage
dir=$(realpath -m "$2")
arg=${3:-}
ray=$(command -v ray || realpath "$(dirname "$0")/../../.venv/bin/ray")

# Ray listens on all interfaces, so a token keeps strangers out. Set here, both variables keep it
# from writing one to ~/.ray, where later clusters of this user would find it and ask for it.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$dir/token
export RAY_USAGE_STATS_ENABLED=0
# A dead node is noticed within about 3 seconds instead of 15.
export RAY_health_check_initial_delay_ms=1000 RAY_health_check_period_ms=1000
export RAY_health_check_timeout_ms=1000 RAY_health_check_failure_threshold=3

# Each node gets an address of its own: Ray turns 127.0.0.1 into that of the network card. It also
# gets a session of its own, by which kill finds its processes: a worker's command line says only
# "ray::IDLE". Ray's Unix sockets add some 75 characters to --temp-dir, of 107 that a path may have,
# so these folders are in the system's short temporary one rather than in DIR.
start_node() {
    local name=$1
    shift
    setsid --wait bash -c 'echo $$ >"$1"; shift; exec "$@"' - "$dir/$name.session" \
        "$ray" start "$@" --disable-usage-stats --object-store-memory 100000000 \
        --min-worker-port 0 --max-worker-port 0 --temp-dir "$(<"$dir/tmp")/$name" \
        >"$dir/$name.log" 2>&1 </dev/null
}

start_head() {
    start_node head --head --node-ip-address 127.0.0.2 --port "$1" --ray-client-server-port $(($1 + 1)) \
        --num-cpus 0 --include-dashboard false
}

start_worker() {
    start_node "$1" --address "127.0.0.2:$(<"$dir/port")" --node-ip-address "127.0.0.$((2 + $1))" --num-cpus 1
}

kill_node() {
    local session
    session=$(cat "$dir/$1.session" 2>/dev/null) || return 0
    # The folder's name guards against a session that is long gone and whose number is in use again.
    pgrep -s "$session" -f "$(<"$dir/tmp")/" >/dev/null || return 0
    pkill -KILL -s "$session" || true
}

up() {
    [[ ! -e $dir/tmp ]] || { echo "$dir has a cluster already; run: $0 down $dir" >&2; exit 1; }
    mkdir -p "$dir"
    mktemp -d -t ray-XXXXXX >"$dir/tmp"
    echo "$1" >"$dir/port"
    trap 'tail -n 20 "$dir"/*.log >&2; down' EXIT  # unless all goes well
    (umask 077; head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$dir/token")
    start_head "$1"
    start_worker 1 &
    start_worker 2
    wait $!
    trap - EXIT
    echo "export RAY_ADDRESS=127.0.0.2:$1 RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$RAY_AUTH_TOKEN_PATH"
}

down() {
    kill_node 1
    kill_node 2
    kill_node head
    [[ ! -e $dir/tmp ]] || rm -rf "$(<"$dir/tmp")"
    rm -f "$dir"/{tmp,port,token,*.session,*.log}
    rmdir "$dir" 2>/dev/null || true  # unless the caller keeps files of its own in it
}

case $1:$arg in
    up:[1-9]*) up "$arg" ;;
    down:) down ;;
    kill:[12]) kill_node "$arg" ;;
    revive:[12]) start_worker "$arg" ;;
    *) usage ;;
esac
