#!/bin/bash
# A throw-away Slurm on this machine: no systemd, no cgroups, nothing in /etc, no root needed.
#
#   slurm.sh start | stop | status
#
# After the start: export SLURM_CONF=BASE/slurm.conf; srun ...
#
# BASE=/tmp/ame-slurm    everything that is kept; a short absolute path, writable
# NODES=3                nodes n1..nN, one slurmd each on 127.0.0.1 (their names do not resolve); 0: one node, this host
# BED=DIR                the nodes are the fake hosts h1..hN of `BASE=DIR hosts.sh up N`, slurmctld and munged run on
#                        h1; BASE is then DIR/shared/slurm, and srun is run with `hosts.sh exec`
# CPUS=8                 CPUs that each node pretends to have
# AUTH=munge             none: without munged
# PORT=17000             slurmctld's; PORT+1.. are slurmd's, PORT+200..PORT+299 the reserved ones; srun takes free ones
# RESV=ports=A-B         MpiParams; empty: SLURM_STEP_RESV_PORTS is not set
set -u
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
BED=${BED:-} NODES=${NODES:-3} CPUS=${CPUS:-8} AUTH=${AUTH:-munge} PORT=${PORT:-17000}
RESV=${RESV-ports=$((PORT + 200))-$((PORT + 299))}
if [ -n "$BED" ]; then
    BASE=${BASE:-$BED/shared/slurm} control=h1 address=10.77.0.1
else
    BASE=${BASE:-/tmp/ame-slurm} control=$(hostname -s) address=127.0.0.1
fi
export SLURM_CONF=$BASE/slurm.conf

on() { # on K COMMAND...: on fake host K, or here
    local k=$1
    shift
    if [ -n "$BED" ]; then BASE=$BED "$here/hosts.sh" exec "$k" env SLURM_CONF="$SLURM_CONF" "$@"; else "$@"; fi
}

pid_files() { ls "$BASE"/slurmd*.pid "$BASE"/slurmctld.pid "$BASE"/munge/pid 2>/dev/null; }

host_of() { # the fake host on which a pid file's process runs
    local k=1
    case $1 in *slurmd.h*)
        k=${1##*slurmd.h}
        k=${k%.pid}
        ;;
    esac
    echo "$k"
}

alive() { # alive PIDFILE; kill -0 would also find the dead that nobody has reaped yet
    local pid
    pid=$(cat "$1" 2>/dev/null)
    [ -n "$pid" ] && on "$(host_of "$1")" grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$pid/status"
}

nodes() {
    local k
    if [ -n "$BED" ]; then
        for ((k = 1; k <= NODES; k++)); do
            echo "NodeName=h$k NodeAddr=10.77.0.$k Port=$((PORT + 1)) CPUs=$CPUS State=UNKNOWN"
        done
    elif [ "$NODES" = 0 ]; then
        echo "NodeName=$control NodeAddr=127.0.0.1 Port=$((PORT + 1)) CPUs=$CPUS State=UNKNOWN"
    else
        for ((k = 1; k <= NODES; k++)); do
            echo "NodeName=n$k NodeHostname=$control NodeAddr=127.0.0.1 Port=$((PORT + k)) CPUs=$CPUS State=UNKNOWN"
        done
    fi
}

# config_overrides: believe CPUS. TmpFS with %n: several slurmd of one host would collide in it with PMIx. The
# SchedulerParameters make jobs start at once, which otherwise takes up to 27 s.
configuration() {
    local name=%n temporary user
    [ "$NODES" = 0 ] && name=0
    temporary=$BASE/tmp.$name
    [ -n "$BED" ] && temporary=/tmp
    user=$(id -un)
    cat <<END
ClusterName=amebed
SlurmctldHost=$control($address)
SlurmctldPort=$PORT
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=$user
SlurmdUser=$user
StateSaveLocation=$BASE/ctld
SlurmdSpoolDir=$BASE/spool.$name
SlurmctldPidFile=$BASE/slurmctld.pid
SlurmdPidFile=$BASE/slurmd.$name.pid
SlurmctldLogFile=$BASE/log/slurmctld.log
SlurmdLogFile=$BASE/log/slurmd.$name.log
TmpFS=$temporary
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MailProg=/bin/true
SchedulerParameters=sched_min_interval=0,sched_interval=1,bf_interval=1,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
PropagateResourceLimitsExcept=MEMLOCK
SlurmctldTimeout=300
SlurmdTimeout=300
KillWait=2
MinJobAge=10
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:16
${RESV:+MpiParams=$RESV}
END
    if [ "$AUTH" = munge ]; then
        printf 'AuthType=auth/munge\nAuthInfo=socket=%s\nCredType=cred/munge\n' "$BASE/munge/sock"
    else
        printf 'AuthType=auth/none\nCredType=cred/none\n'
    fi
    nodes
}

start_munged() {
    if [ ! -s "$BASE/munge/key" ]; then
        head -c 128 /dev/urandom >"$BASE/munge/key"
        chmod 400 "$BASE/munge/key"
    fi
    # --force: also as root and below /tmp. A socket in a shared directory serves all fake hosts.
    on 1 munged --force --key-file="$BASE/munge/key" --socket="$BASE/munge/sock" --pid-file="$BASE/munge/pid" \
        --log-file="$BASE/log/munged.log" --seed-file="$BASE/munge/seed" --num-threads=2 >"$BASE/log/munged.out" 2>&1 || {
        cat "$BASE/log/munged.out" "$BASE/log/munged.log" >&2
        return 1
    }
}

start() {
    local k i want=$NODES
    [ "$NODES" = 0 ] && want=1
    mkdir -p "$BASE"/{ctld,log,munge} || return 1
    chmod 755 "$BASE" "$BASE/munge"
    configuration >"$SLURM_CONF"
    printf 'CgroupAutomount=no\nCgroupPlugin=cgroup/v1\n' >"$BASE/cgroup.conf"
    if [ "$AUTH" = munge ]; then start_munged || return 1; fi
    on 1 slurmctld -c || return 1
    for ((k = 1; k <= want; k++)); do
        if [ -n "$BED" ]; then
            mkdir -p "$BASE/spool.h$k"
            on "$k" slurmd -c || return 1
        elif [ "$NODES" = 0 ]; then
            mkdir -p "$BASE"/{spool,tmp}.0
            slurmd -c || return 1
        else
            mkdir -p "$BASE"/{spool,tmp}.n"$k"
            slurmd -c -N "n$k" || return 1
        fi
    done
    for ((i = 0; i < 400; i++)); do
        [ "$(on 1 sinfo -h -o '%T %D' 2>/dev/null)" = "idle $want" ] && return 0
        sleep 0.05
    done
    echo "slurm.sh: the nodes did not become idle" >&2
    tail -n 20 "$BASE"/log/*.log >&2
    return 1
}

stop() {
    local file jobs i
    if alive "$BASE/slurmctld.pid"; then # slurmd does not end the steps of its node
        jobs=$(on 1 squeue -h -o %A 2>/dev/null)
        # shellcheck disable=SC2086
        [ -z "$jobs" ] || on 1 scancel --quiet $jobs 2>/dev/null
        for ((i = 0; i < 100; i++)); do
            [ -z "$(on 1 squeue -h 2>/dev/null)" ] && break
            sleep 0.1
        done
    fi
    for file in $(pid_files); do
        if alive "$file"; then on "$(host_of "$file")" kill "$(cat "$file")"; fi
    done
    for file in $(pid_files); do
        for ((i = 0; i < 100; i++)); do
            alive "$file" || break
            sleep 0.05
        done
        if alive "$file"; then on "$(host_of "$file")" kill -9 "$(cat "$file")"; fi
        rm -f "$file"
    done
}

status() {
    local file state
    for file in $(pid_files); do
        state=down
        alive "$file" && state=up
        echo "$file $(cat "$file") $state"
    done
    on 1 sinfo -N
}

case ${1:-} in
start | stop | status) "$1" ;;
*)
    echo "usage: slurm.sh start | stop | status" >&2
    exit 2
    ;;
esac
