#!/usr/bin/env bash
# A real Slurm of one controller and two one-CPU nodes on this machine, for tests.
#
#   eval "$(tests/clusters/slurm.sh up DIR)"   start it; sets SLURM_CONF for the caller
#   tests/clusters/slurm.sh kill DIR 1         node 1 loses power: SIGKILL to its slurmd and its jobs
#   tests/clusters/slurm.sh revive DIR 1       start the slurmd of node 1 again
#   tests/clusters/slurm.sh down DIR           stop it, jobs included, and remove its files
#
# All of it, munge's key and socket included, lies in DIR, so that the machine's own Slurm is left
# alone, and clusters in several DIRs live side by side, each with a SLURM_PORT of its own (the
# controller's; the nodes take the next two). DIR/munge.sock is a Unix socket, whose path may
# have 107 characters, here without blanks. Only installing the packages needs root.
set -euo pipefail

usage() { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[[ $# -ge 2 ]] || usage
dir=$(realpath -m "$2")
node=${3:-}
port=${SLURM_PORT:-16817}
export SLURM_CONF=$dir/slurm.conf
PATH=$PATH:/usr/sbin:/sbin  # where Debian keeps the daemons

install_packages() {
    type munged slurmctld slurmd sbatch >/dev/null 2>&1 && return
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y slurm-wlm munge; } >&2
}

# Jobs are told apart by process group, so no cgroups are needed; CPUs and memory are declared, not
# enforced. cred_expire is also how long a requeued job waits before it may start again (otherwise
# two minutes), and the timeouts let a dead node be noticed within ten seconds. There is no
# accounting, as slurmdbd needs a MySQL server: sacct fails, and squeue and scontrol know a job until
# MinJobAge seconds after its end.
configure() {
    cat >"$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$port
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$dir/munge.sock,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool.%n
SlurmctldPidFile=$dir/ctld.pid
SlurmdPidFile=$dir/%n.pid
SlurmctldLogFile=$dir/ctld.log
SlurmdLogFile=$dir/%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SlurmdParameters=config_overrides
JobRequeue=1
ReturnToService=2
SlurmdTimeout=3
MessageTimeout=3
KillWait=2
MinJobAge=300
NodeName=node1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((port + 1)) CPUs=1 RealMemory=2000
NodeName=node2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((port + 2)) CPUs=1 RealMemory=2000
PartitionName=main Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
CONF
}

# The daemons keep standard output open otherwise, and $(slurm.sh up DIR) would wait for them.
start_node() { slurmd -N "$1" >/dev/null </dev/null; }

kill_node() {
    # A node's slurmd and slurmstepds hold its log open (slurmstepd's title overwrites its environment).
    local daemons jobs
    daemons=$(find /proc/[0-9]*/fd -lname "$dir/$1.log" 2>/dev/null | cut -d/ -f3 | sort -nu) || true
    jobs=$(grep -lzxF "SLURMD_NODENAME=$1" /proc/[0-9]*/environ 2>/dev/null |
        xargs -r grep -lzxF "SLURM_CONF=$SLURM_CONF" 2>/dev/null | cut -d/ -f3) || true
    # The daemons first: a slurmstepd must not live to report that its job was killed.
    # shellcheck disable=SC2086
    kill -KILL $daemons $jobs 2>/dev/null || true
}

idle_nodes() { sinfo -h -N -o %t 2>/dev/null | grep -cx idle || true; }  # "idle*" does not answer

up() {
    local end
    [[ ! -e $SLURM_CONF ]] || { echo "$dir has a cluster already; run: $0 down $dir" >&2; exit 1; }
    install_packages
    mkdir -p "$dir/state"
    trap 'tail -n 20 "$dir"/*.log >&2; down' EXIT  # unless all goes well
    configure
    (umask 077; head -c 1024 /dev/urandom >"$dir/munge.key")
    # --force: allow root, and a DIR below a private folder such as pytest's.
    munged --force --key-file="$dir/munge.key" --socket="$dir/munge.sock" --seed-file="$dir/munge.seed" \
        --pid-file="$dir/munged.pid" --log-file="$dir/munged.log" >/dev/null 2>&1 </dev/null
    slurmctld >/dev/null </dev/null
    start_node node1
    start_node node2
    end=$((SECONDS + 30))
    while [[ $(idle_nodes) -ne 2 ]]; do ((SECONDS < end)); sleep 0.2; done
    trap - EXIT
    echo "export SLURM_CONF=$SLURM_CONF"
}

down() {
    kill_node node1
    kill_node node2
    kill_node ctld  # the controller and its slurmscriptd hold a log open likewise
    [[ ! -S $dir/munge.sock ]] || munged --stop --socket="$dir/munge.sock" >&2 || true
    rm -rf "$dir"/{state,spool.*,{ctld,node[12]}.{pid,log},slurm.conf,munge.*,munged.*}
    rmdir "$dir" 2>/dev/null || true  # unless the caller keeps files of its own in it
}

case $1:$node in
    up:) up ;;
    down:) down ;;
    kill:[12]) kill_node "node$node" ;;
    revive:[12]) start_node "node$node" ;;
    *) usage ;;
esac
